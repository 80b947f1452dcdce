import { readlinkSync } from 'node:fs'
import { abi } from './abi'
import { type Subject, throwKernelError } from './errno'
import { NR } from './numbers'

const F_DUPFD_CLOEXEC = 1030

/** 0, 1 and 2 belong to the terminal; and 0 is what an attr says where it means "no map". */
const LOWEST_FD = 3

/** Refuses what cannot be a BPF object's fd. 0 above all: in an attr it means both "none" and standard input. */
export function checkFd(fd: number, what = 'fd'): void {
  if (typeof fd !== 'number') throw new TypeError(`${what} must be a number, not ${fd === null ? 'null' : typeof fd}`)
  if (!Number.isInteger(fd) || fd < 1 || fd > 0x7fffffff) {
    const why = fd === 0 ? ': 0 is standard input' : ''
    throw new RangeError(`${fd} is not a file descriptor of a BPF object${why} (${what})`)
  }
}

/** The same for several, by their names in the attr; those that are undefined are not given. */
export function checkFds(fds: Readonly<Record<string, number | undefined>>): void {
  for (const [name, fd] of Object.entries(fds)) if (fd !== undefined) checkFd(fd, name)
}

/** The kinds of BPF objects, as the links in /proc/self/fd name them: 'anon_inode:bpf-map'. */
const KINDS = ['bpf-map', 'bpf-prog', 'bpf_link', 'btf', 'bpf-token', 'bpf_iter'] as const
export type FdKind = (typeof KINDS)[number]

/** A link that is opened by its pin or its id goes by another name than one that was just made (bpf_link_new_fd). */
const OPENED_LINK = 'bpf-link'

/**
 * Refuses the fd of a BPF object of another kind, by the name that it has for who gave it. What /proc does not tell is left
 * to the kernel.
 */
export function checkKind(fd: number, kind: FdKind, called = `fd ${fd}`): void {
  let link: string
  try {
    link = readlinkSync(`/proc/thread-self/fd/${fd}`)
  } catch {
    return
  }
  const name = /^anon_inode:\[?(.*?)\]?$/.exec(link)?.[1]
  const found = name === OPENED_LINK ? 'bpf_link' : KINDS.find((each) => each === name)
  if (found !== undefined && found !== kind) throw new TypeError(`${called} is a ${found}, not a ${kind}`)
}

/**
 * The owner of a fresh fd may keep it: one below 3 (a process that closed its standard streams gets those) is moved
 * up, so that no BPF object is ever mistaken for standard input, or closed by whoever reopens the streams.
 */
export function settleFd(fd: number): number {
  if (fd >= LOWEST_FD) return fd
  try {
    return duplicateFd(fd)
  } finally {
    closeFd(fd)
  }
}

/** The kernel looks at the low 32 bits alone: 2^32 + 5 would close 5. */
function checkNumber(fd: number): void {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) throw new RangeError(`${fd} is not a file descriptor`)
}

/** A second fd of the same object, close-on-exec, 3 or above. Errors: EBADF, EMFILE. */
export function duplicateFd(fd: number, subject?: Subject): number {
  checkNumber(fd)
  const result = abi().syscall(NR.fcntl, fd, F_DUPFD_CLOEXEC, LOWEST_FD)
  if (result < 0) throwKernelError(-result, { syscall: 'fcntl', command: 'F_DUPFD_CLOEXEC', subject })
  return result
}

/** Closes an fd. EBADF throws: somebody else closed what was ours. EINTR is success on Linux (man 2 close). */
export function closeFd(fd: number, subject?: Subject): void {
  checkNumber(fd)
  const result = abi().syscall(NR.close, fd, 0, 0)
  if (result < 0 && result !== -EINTR) throwKernelError(-result, { syscall: 'close', command: 'close', subject })
}

const EINTR = 4
