import { closeSync, constants, openSync } from 'node:fs'
import { BPF_FLOW_DISSECTOR, BPF_SK_LOOKUP } from '../../syscalls/uapi-attach-type'
import { fdOf, type HasFd } from '../handle/fd-of'
import { createLink, type Link } from './link'
import { checkProgram, type ProgramLike } from './program'

/** That of the calling thread: only the main thread's is in /proc/self. */
export const OWN_NAMESPACE = '/proc/thread-self/ns/net'

const ATTACH_TYPES = { sk_lookup: BPF_SK_LOOKUP, flow_dissector: BPF_FLOW_DISSECTOR } as const

/** A network namespace: a path such as /run/netns/blue or /proc/1234/ns/net, or an fd of such a file. */
export type NetworkNamespace = string | HasFd

/** Runs `use` with an fd of it, which is closed afterwards if it was opened here. Errors: those of open(2). */
export function withNamespace<T>(namespace: NetworkNamespace, use: (fd: number) => T): T {
  if (typeof namespace !== 'string') return use(fdOf(namespace, 'namespace'))
  const fd = openSync(namespace, constants.O_RDONLY)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Attaches a program to a network namespace, the calling thread's where none is given: of type sk_lookup, which chooses
 * the socket that a packet or connection goes to (64 at most), or of type flow_dissector (one).
 *
 * Errors: ENOENT of a path; EINVAL (the file is no network namespace), EBADF; E2BIG (no more are admitted); EEXIST (a flow
 * dissector is there that no link holds). Linux 5.8; sk_lookup 5.9.
 */
export function attachNetns(program: ProgramLike, namespace: NetworkNamespace = OWN_NAMESPACE): Link {
  const named = typeof namespace === 'string' && namespace !== OWN_NAMESPACE ? ` ${namespace}` : ''
  const where = `network namespace${named}`
  const { fd: prog_fd, type } = checkProgram(program, where, 'sk_lookup', 'flow_dissector')
  const kind = type === 'sk_lookup' ? 'sk_lookup' : 'flow_dissector'
  return withNamespace(namespace, (target_fd) => {
    const fields = { prog_fd, target_fd, attach_type: ATTACH_TYPES[kind] }
    return createLink(fields, `${kind} of ${where}`, [['attach', kind]], (_command, code) => HINTS[code])
  })
}

const HINTS: Readonly<Record<string, string>> = {
  E2BIG: 'no more programs are admitted there: 64 of type sk_lookup, one of type flow_dissector',
  EEXIST: 'a flow dissector is attached there, or to the initial namespace, without a link',
  EINVAL: 'the file is no network namespace, or the program was loaded for another place',
  EBADF: 'the file descriptor is not open',
}
