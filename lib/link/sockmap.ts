import { progAttach, progDetach, progQuery } from '../../syscalls/bpf-attach'
import { KernelError } from '../../syscalls/errno'
import { duplicateFd } from '../../syscalls/fd'
import { BPF_MAP_TYPE_SOCKHASH, BPF_MAP_TYPE_SOCKMAP } from '../../syscalls/uapi-map'
import { ATTACH_TYPES, type AttachTypeName, type ProgramTypeName } from '../../syscalls/uapi-names'
import { unsupportedOr } from '../features/unsupported'
import type { HasFd } from '../handle/fd-of'
import { Handle } from '../handle/handle'
import { mapTypeLabel } from '../map/attributes'
import type { Attachment } from './attachment'
import { createLink } from './link'
import { lookAtMap } from './map-target'
import { OwnAttachment, refusal } from './own'
import { checkProgram, type KnownProgram, type ProgramLike } from './program'

/** The hooks of a SOCKMAP or SOCKHASH, each with the type of its programs. */
const HOOKS = {
  sk_skb_stream_parser: 'sk_skb',
  sk_skb_stream_verdict: 'sk_skb',
  sk_skb_verdict: 'sk_skb',
  sk_msg_verdict: 'sk_msg',
} as const satisfies Partial<Record<AttachTypeName, ProgramTypeName>>

export type SockmapHook = keyof typeof HOOKS

/**
 * Attaches a program to all sockets that are put into a SOCKMAP or SOCKHASH from now on: of type sk_skb for what they
 * receive, of type sk_msg for what they send. A socket keeps what was there when it was put in until it is taken out.
 * The hook is that for which the program was loaded where not given.
 *
 * A `Link` from Linux 6.10 on; before, an object that detaches at its end, and whose program replaces one that is there.
 *
 * Errors: TypeError (another map, a program of another type); EBUSY (a program is there; also a verdict of the other kind).
 * Linux 4.14; sk_skb_verdict 5.13.
 */
export function attachSockmap(program: ProgramLike, map: HasFd, hook?: SockmapHook): Attachment {
  if (hook !== undefined && !Object.hasOwn(HOOKS, hook)) {
    throw new TypeError(`a sockmap has the hooks ${Object.keys(HOOKS).join(', ')}, not ${JSON.stringify(hook)}`)
  }
  const { fd: target_fd, type, label } = lookAtMap(map)
  if (type !== BPF_MAP_TYPE_SOCKMAP && type !== BPF_MAP_TYPE_SOCKHASH) {
    throw new TypeError(`programs are attached to a SOCKMAP or SOCKHASH: ${label} is of type ${mapTypeLabel(type)}`)
  }
  const types = hook === undefined ? (['sk_skb', 'sk_msg'] as const) : ([HOOKS[hook]] as const)
  const known = checkProgram(program, hook === undefined ? label : `${hook} of ${label}`, ...types)
  const attachType = hook ?? hookOf(known)
  const where = `${attachType} of ${label}`
  try {
    return createLink({ prog_fd: known.fd, target_fd, attach_type: ATTACH_TYPES[attachType] }, where, [])
  } catch (error) {
    // What a kernel says that has no such links: also of what it would refuse by the older way.
    if (!(error instanceof KernelError) || error.code !== 'EINVAL') throw error
  }
  return SockmapAttachment.make(known, target_fd, attachType, where)
}

function hookOf({ type, expectedAttachType, description }: KnownProgram): SockmapHook {
  if (type === 'sk_msg') return 'sk_msg_verdict'
  if (expectedAttachType?.startsWith('sk_skb_') === true) return expectedAttachType as SockmapHook
  throw new TypeError(`${description} does not tell its hook: say one of ${Object.keys(HOOKS).join(', ')}`)
}

class SockmapAttachment extends OwnAttachment {
  readonly type = 'sockmap'
  readonly #hook: SockmapHook
  readonly #where: string

  private constructor(program: KnownProgram, map: Handle, hook: SockmapHook, where: string) {
    super(program, map)
    this.#hook = hook
    this.#where = where
  }

  static make(program: KnownProgram, map: number, hook: SockmapHook, where: string): SockmapAttachment {
    const handle = new Handle(duplicateFd(map), where)
    return OwnAttachment.begin(new SockmapAttachment(program, handle, hook, where), program)
  }

  get description(): string {
    return this.#where
  }

  protected set(program: KnownProgram, first: boolean): void {
    const there = first ? undefined : this.#there()
    if (there !== undefined && there !== this.programId) {
      const why = 'the program was detached, or replaced by somebody else'
      throw refusal('ENOLINK', 'BPF_PROG_ATTACH', this.#where, why)
    }
    const fields = { target_fd: this.handle.fd, attach_bpf_fd: program.fd, attach_type: ATTACH_TYPES[this.#hook] }
    try {
      progAttach(fields, { description: this.#where })
    } catch (error) {
      throw unsupportedOr(error, () => [['attach', 'sockmap']])
    }
  }

  protected undo(): void {
    const fields = { target_fd: this.handle.fd, attach_bpf_fd: this.programFd, attach_type: ATTACH_TYPES[this.#hook] }
    try {
      progDetach(fields, { description: this.#where })
    } catch (error) {
      // Somebody else has put another program there, or none: this one is gone.
      if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error
    }
  }

  protected check(program: ProgramLike): KnownProgram {
    return checkProgram(program, this.#where, HOOKS[this.#hook])
  }

  /** 0 where no program is there; undefined where the kernel does not tell: before Linux 5.17. */
  #there(): number | undefined {
    const prog_ids = new Uint32Array(1)
    const query = { target_fd: this.handle.fd, attach_type: ATTACH_TYPES[this.#hook], prog_ids }
    try {
      return progQuery(query, { description: this.#where }).count === 0 ? 0 : prog_ids[0]
    } catch (error) {
      if (error instanceof KernelError && error.code === 'EINVAL') return undefined
      throw error
    }
  }
}
