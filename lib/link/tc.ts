import { KernelError, type Subject } from '../../syscalls/errno'
import { openRouteSocket } from '../../syscalls/netlink'
import {
  type Direction,
  type Filter,
  type FilterPlace,
  getFilter,
  listFilters,
  removeFilter,
  setFilter,
} from '../../syscalls/route'
import { Handle } from '../handle/handle'
import { checkKnownOptions, optionNames } from '../text/known-options'
import type { Attachment } from './attachment'
import { Clsact, lacking } from './clsact'
import { type NetworkInterface, resolveInterface } from './interface'
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

const OPTIONS = optionNames<TcOptions>({ priority: true, handle: true })

/**
 * Attaches a program of type sched_cls to what comes in at a device, or goes out, as a filter (cls_bpf, direct-action) in
 * the queueing discipline clsact: the way from before TCX, which is asked after it. A discipline that was not there
 * before is removed with the last of these filters.
 *
 * The end of the process does not remove a filter. Errors: UnsupportedError (built without clsact or cls_bpf); ENODEV;
 * EEXIST (priority and handle are taken); EINVAL (the priority is one of filters of another kind); EBUSY (the device has
 * the queueing discipline ingress, which keeps clsact away and has no egress); EPERM. Linux 4.5.
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
  checkKnownOptions(options, OPTIONS)
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
  readonly #clsact: Clsact
  #place: FilterPlace

  private constructor(program: KnownProgram, socket: Handle, place: FilterPlace, clsact: Clsact, where: string) {
    super(program, socket)
    this.#where = where
    this.#place = place
    this.#clsact = clsact
  }

  static make(program: KnownProgram, place: FilterPlace, where: string): TcAttachment {
    const clsact = new Clsact(place.ifindex)
    // Kept: what is asked of it is asked in the network namespace that it was made in.
    const socket = new Handle(openRouteSocket(), where)
    return OwnAttachment.begin(new TcAttachment(program, socket, place, clsact, where), program)
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
      const why = 'the filter was removed, or replaced by somebody else'
      throw refusal('ENOLINK', 'RTM_NEWTFILTER', this.#where, why, 'sendto')
    }
    const named = { fd: program.fd, name: program.description }
    if (first) this.#place = this.#add(socket, named, program.id, subject)
    else this.#place = setFilter(socket, this.#place, named, { replace: true, subject })
  }

  /** The first filter, or nothing that was not there before. */
  #add(socket: number, named: { fd: number; name: string }, programId: number, subject: Subject): Filter {
    const { ifindex, direction } = this.#place
    this.#clsact.enter(socket, direction, subject)
    try {
      const before = listFilters(socket, ifindex, direction, subject)
      try {
        return setFilter(socket, this.#place, named, { subject })
      } catch (error) {
        // The answer is lost, and with it the numbers that the kernel has chosen.
        if (error instanceof KernelError && error.syscall === 'recvfrom') {
          for (const found of listFilters(socket, ifindex, direction, subject)) {
            const isNew = !before.some((old) => old.priority === found.priority && old.handle === found.handle)
            if (isNew && found.programId === programId) removeFilter(socket, found, subject)
          }
        }
        throw error
      }
    } catch (error) {
      this.#clsact.leave(socket, subject)
      throw lacking(error, 'classifiers of type bpf (CONFIG_NET_CLS_BPF)', '4.4', subject)
    }
  }

  protected undo(): void {
    const subject = { description: this.#where }
    try {
      // Somebody else may have put another program in its place.
      if (this.#there()?.programId === this.programId) removeFilter(this.handle.fd, this.#place, subject)
    } finally {
      this.#clsact.leave(this.handle.fd, subject)
    }
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
