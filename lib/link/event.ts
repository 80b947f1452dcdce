import type { Subject } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { type PerfEventFields, perfEventEnable, perfEventOpen, perfEventSetProgram } from '../../syscalls/perf-event'
import { BPF_PERF_EVENT } from '../../syscalls/uapi-attach-type'
import { UnsupportedError } from '../features/unsupported'
import { Handle } from '../handle/handle'
import { checkU64 } from '../map/attributes'
import { Attachment, type UpdateOptions } from './attachment'
import type { PerfEventKind } from './info'
import { createLink, type Link } from './link'
import { checkProgram, type KnownProgram, type ProgramLike, programLabel } from './program'

/** What tracepoints, probes and samples have in common: the program is run by an event of perf_event_open(2). */

/** A number that the program reads by bpf_get_attach_cookie, so that one program can tell its hooks apart. */
export type Cookie = number | bigint

/** A program at an event: a link, or before Linux 5.15 the event itself. */
export type EventLink = Link | EventAttachment

/** How a program comes to an event. */
export interface EventTarget {
  readonly fields: PerfEventFields
  readonly kind: PerfEventKind
  /** What messages call it: 'kprobe do_unlinkat'. */
  readonly target: string
  readonly cookie: Cookie | undefined
  /** What most likely is wrong where the event is refused ('perf_event_open'), or the program at it. */
  readonly hint?: Subject['hint']
}

/**
 * Opens the event and attaches the program: by a link from Linux 5.15 on, which keeps the event; before by the event
 * itself, which then is what is owned. Leaves nothing behind where it fails.
 */
export function attachToEvent(program: KnownProgram, where: EventTarget): EventLink {
  const { target, hint } = where
  const cookie = where.cookie === undefined ? 0n : checkU64('cookie', where.cookie)
  const subject: Subject = { description: target, ...(hint && { hint }) }
  const event = perfEventOpen(where.fields, subject)
  let owned = true
  try {
    const link = linkToEvent(program, event, cookie, where)
    if (link !== undefined) {
      enable(event, link)
      return link
    }
    perfEventSetProgram(event, program.fd, subject)
    perfEventEnable(event, subject)
    owned = false
    return new EventAttachment(event, program.id, where)
  } finally {
    if (owned) closeFd(event)
  }
}

/** undefined where the kernel has no links to events, and the program is not to be given a cookie. */
function linkToEvent(
  program: KnownProgram,
  event: number,
  bpf_cookie: bigint,
  { target, hint }: EventTarget,
): Link | undefined {
  const union = { member: 'perf_event', bpf_cookie } as const
  const fields = { prog_fd: program.fd, target_fd: event, attach_type: BPF_PERF_EVENT, union }
  try {
    return createLink(fields, target, [['bpfCookie']], hint)
  } catch (error) {
    if (error instanceof UnsupportedError && bpf_cookie === 0n) return undefined
    throw error
  }
}

function enable(event: number, link: Link): void {
  try {
    perfEventEnable(event, { description: link.description })
  } catch (error) {
    link.close()
    throw error
  }
}

/**
 * A program at an event, in kernels from before links to events (Linux 5.15). It ends with its fd, hence with the process
 * at the latest, as a link does; it cannot be pinned.
 */
export class EventAttachment extends Attachment {
  readonly type = 'perf_event'
  readonly kind: PerfEventKind
  readonly #target: string
  readonly #programId: number

  /** @internal Takes the event over. */
  constructor(event: number, programId: number, { kind, target }: EventTarget) {
    super(new Handle(event, target))
    this.kind = kind
    this.#target = target
    this.#programId = programId
  }

  /** The file descriptor of the event, which stays this object's own. Throws ClosedError once it is closed. */
  get fd(): number {
    return this.handle.fd
  }

  get programId(): number {
    return this.#programId
  }

  info(): { readonly type: 'perf_event'; readonly programId: number; readonly kind: PerfEventKind } {
    return { type: this.type, programId: this.#programId, kind: this.kind }
  }

  /** Events keep the program that they were given: fails with EEXIST. */
  update(program: ProgramLike, _options?: UpdateOptions): void {
    perfEventSetProgram(this.fd, checkProgram(program, this.#target).fd, { description: this.#target })
  }

  /** The same as `close()`: there is nothing to an event but its end. */
  detach(): void {
    this.close()
  }

  get description(): string {
    return this.#target
  }

  protected headline(): string {
    return `${this.#target} → ${programLabel(this.#programId)} fd ${this.fd}`
  }
}
