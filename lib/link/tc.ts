import { readlinkSync } from 'node:fs'
import { KernelError, type Subject } from '../../syscalls/errno'
import { openRouteSocket } from '../../syscalls/netlink'
import {
  addClsact,
  type Direction,
  type Filter,
  type FilterPlace,
  getFilter,
  listFilters,
  removeClsact,
  removeFilter,
  setFilter,
} from '../../syscalls/route'
import { UnsupportedError } from '../features/unsupported'
import { Handle } from '../handle/handle'
import type { Attachment } from './attachment'
import { type NetworkInterface, resolveInterface } from './interface'
import { OWN_NAMESPACE } from './netns'
import { OwnAttachment, refusal } from './own'
import { checkProgram, type KnownProgram, type ProgramLike, programLabel } from './program'

export interface TcOptions {
  /** 1 to 65535: smaller ones are asked first. Chosen by the kernel where not given, before those that it chose before. */
  readonly priority?: number | undefined
  /** The filter's number among those of one priority. */
  readonly handle?: number | undefined
}

/** What the kernel tells of a filter. */
export interface TcInfo {
  readonly type: 'tc'
  /** 0 where the filter is gone. */
  readonly programId: number
  readonly ifindex: number
  readonly direction: Direction
  readonly priority: number
  readonly handle: number
}

/**
 * Attaches a program of type sched_cls to what comes in at a device, or goes out, as a filter (cls_bpf, direct-action) in
 * the queueing discipline clsact: the way from before TCX, which is asked after it. A discipline that was not there
 * before is removed with the last of these filters.
 *
 * The end of the process does not remove a filter. Errors: UnsupportedError (built without clsact or cls_bpf); ENODEV;
 * EEXIST (priority and handle are taken); EPERM. Linux 4.5.
 */
export function attachTc(
  program: ProgramLike,
  device: NetworkInterface,
  direction: Direction,
  options: TcOptions = {},
): Attachment {
  if (direction !== 'ingress' && direction !== 'egress') {
    throw new TypeError(`direction is 'ingress' or 'egress', not ${String(direction)}`)
  }
  const priority = checkNumber('priority', options.priority, 0xffff)
  const handle = checkNumber('handle', options.handle, 0xffffffff)
  const { ifindex, label } = resolveInterface(device)
  const where = `tc ${direction} on ${label}`
  const known = checkProgram(program, where, 'sched_cls')
  return TcAttachment.make(known, { ifindex, direction, priority, handle }, where)
}

function checkNumber(what: string, value: number | undefined, most: number): number {
  if (value === undefined) return 0
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number, not ${typeof value}`)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RangeError(`${value} cannot be a ${what}: integers from 1 to ${most} can`)
}

class TcAttachment extends OwnAttachment {
  readonly type = 'tc'
  readonly #where: string
  readonly #discipline: Discipline
  #place: FilterPlace

  private constructor(program: KnownProgram, socket: Handle, place: FilterPlace, where: string) {
    super(program, socket)
    this.#where = where
    this.#place = place
    this.#discipline = new Discipline(place.ifindex)
  }

  static make(program: KnownProgram, place: FilterPlace, where: string): TcAttachment {
    // Kept: what is asked of it is asked in the network namespace that it was made in.
    const socket = new Handle(openRouteSocket(), where)
    return OwnAttachment.begin(new TcAttachment(program, socket, place, where), program)
  }

  get description(): string {
    return this.#where
  }

  override info(): TcInfo {
    const { ifindex, direction, priority, handle } = this.#place
    return { type: 'tc', programId: this.#there()?.programId ?? 0, ifindex, direction, priority, handle }
  }

  protected set(program: KnownProgram, first: boolean): void {
    const socket = this.handle.fd
    const subject = { description: this.#where }
    if (!first && this.#there()?.programId !== this.programId) {
      throw refusal('ENOLINK', 'RTM_NEWTFILTER', this.#where, 'the filter was removed, or replaced by somebody else')
    }
    if (first) this.#discipline.enter(socket, subject)
    try {
      const named = { fd: program.fd, name: program.description }
      this.#place = setFilter(socket, this.#place, named, { replace: !first, subject })
    } catch (error) {
      if (first) this.#discipline.leave(socket, subject)
      throw lacking(error, 'classifiers of type bpf (CONFIG_NET_CLS_BPF)', '4.4', subject)
    }
  }

  protected undo(): void {
    const subject = { description: this.#where }
    // Somebody else may have put another program in its place.
    if (this.#there()?.programId === this.programId) removeFilter(this.handle.fd, this.#place, subject)
    this.#discipline.leave(this.handle.fd, subject)
  }

  protected check(program: ProgramLike): KnownProgram {
    return checkProgram(program, this.#where, 'sched_cls')
  }

  protected override headline(): string {
    const { priority, handle } = this.#place
    const programId = this.#there()?.programId
    const program = programId === undefined ? ', detached' : ` → ${programLabel(programId)}`
    return `${this.#where} priority ${priority} handle ${handle}${program}`
  }

  #there(): Filter | undefined {
    return getFilter(this.handle.fd, this.#place, { description: this.#where })
  }
}

/** How many filters of this thread are in a clsact that was made for the first of them: by namespace and device. */
const made = new Map<string, number>()

/** The clsact that a filter needs, which goes when the last filter leaves that it was made for. */
class Discipline {
  readonly #key: string
  #inside = false

  constructor(readonly ifindex: number) {
    this.#key = `${readlinkSync(OWN_NAMESPACE)} ${ifindex}`
  }

  enter(socket: number, subject: Subject): void {
    let isNew: boolean
    try {
      isNew = addClsact(socket, this.ifindex, subject)
    } catch (error) {
      throw lacking(error, 'queueing disciplines of type clsact (CONFIG_NET_SCH_INGRESS)', '4.5', subject)
    }
    // One that is new takes the place of one that somebody else has removed, with all filters that were in it.
    const users = isNew ? 0 : made.get(this.#key)
    if (users !== undefined) made.set(this.#key, users + 1)
    this.#inside = users !== undefined
  }

  leave(socket: number, subject: Subject): void {
    if (!this.#inside) return
    this.#inside = false
    const users = (made.get(this.#key) ?? 1) - 1
    if (users > 0) {
      made.set(this.#key, users)
      return
    }
    made.delete(this.#key)
    // Others may have come to use it.
    const others = ([] as Filter[]).concat(
      listFilters(socket, this.ifindex, 'ingress', subject),
      listFilters(socket, this.ifindex, 'egress', subject),
    )
    if (others.length === 0) removeClsact(socket, this.ifindex, subject)
  }
}

/** ENOENT of what is to be created: the kernel does not know its kind. */
function lacking(error: unknown, feature: string, since: string, subject: Subject): unknown {
  if (!(error instanceof KernelError) || error.code !== 'ENOENT') return error
  const { errno, syscall, command } = error
  const hint = () => `this kernel has no ${feature}, or may not load the module`
  const about = { syscall, command, subject: { description: subject.description, hint } }
  return new UnsupportedError(-errno, about, feature, since)
}
