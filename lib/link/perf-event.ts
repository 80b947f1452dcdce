import { readFileSync } from 'node:fs'
import { PERF_TYPE_SOFTWARE, SOFTWARE_EVENTS, type SoftwareEvent } from '../../syscalls/perf-event'
import { onlineCpuIds } from '../cpu/online'
import { possibleCpuIds } from '../cpu/possible'
import { checkKnown } from '../features/names'
import { checkU32, checkU64 } from '../map/attributes'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { Attachment, type UpdateOptions } from './attachment'
import { attachToEvent, type Cookie, type EventLink, type EventTarget } from './event'
import { checkCpu, checkPid } from './pid'
import { checkProgram, type ProgramLike, programLabel } from './program'

/** What is counted: an event of the kernel by its name, or any by the numbers of struct perf_event_attr. */
export type CountedEvent =
  | { readonly software: SoftwareEvent }
  | {
      /** perf_event_attr.type: 0 for the processor's own counters, or one of /sys/bus/event_source/devices. */
      readonly type: number
      /** perf_event_attr.config: which of that type. */
      readonly config: number | bigint
    }

/** When the program is run. */
export type Sampling =
  /** So many times a second, about. */
  | { readonly frequency: number; readonly period?: undefined }
  /** After so many events: of clocks, nanoseconds. */
  | { readonly period: number; readonly frequency?: undefined }

export interface PerfEventScope {
  /** The one CPU; else all that are online. */
  readonly cpu?: number | undefined
  /** The one thread, by its id, on whichever CPU it is: a process id is that of its main thread. */
  readonly pid?: number | undefined
  /** What bpf_get_attach_cookie gives to the program: 64 bits, 0 where not given. Linux 5.15. */
  readonly cookie?: Cookie | undefined
}

export type PerfEventOptions = CountedEvent & Sampling & PerfEventScope

const OPTIONS = optionNames<Record<'software' | 'type' | 'config' | 'frequency' | 'period', unknown> & PerfEventScope>({
  ...{ software: true, type: true, config: true, frequency: true, period: true },
  ...{ cpu: true, pid: true, cookie: true },
})

/**
 * Runs a program of type `perf_event` on samples of an event: `attachPerfEvent(program, { software: 'cpu-clock',
 * frequency: 99 })` is a profiler. Its context is struct bpf_perf_event_data: the registers, and the sample's period.
 * Of all CPUs there is an event each, which begin and end together.
 *
 * Errors: TypeError (a program of another type); ENOENT (this machine has no such event), EINVAL (the frequency is above
 * kernel.perf_event_max_sample_rate), ENODEV (the CPU is offline), ESRCH (no such thread), EACCES and EPERM
 * (kernel.perf_event_paranoid), EMFILE. Linux 4.9; by links from Linux 5.15 on.
 */
export function attachPerfEvent(program: ProgramLike, options: PerfEventOptions): EventLink | PerfEvents {
  checkKnownOptions(options, OPTIONS)
  const event = eventOf(options)
  const sampling = samplingOf(options)
  const { cpu, pid, cookie } = options
  if (pid !== undefined) checkPid('pid', pid)
  if (cpu !== undefined) checkCpu(cpu)
  const known = checkProgram(program, `perf_event ${event.name}`, 'perf_event')
  const attach = (on: { readonly cpu: number; readonly pid: number }, target: string): EventLink => {
    const fields = { type: event.type, config: event.config, ...sampling, ...on }
    const hint = (command: string, code: string) => sampleHint(command, code, sampling.frequency, cpu)
    const where: EventTarget = { fields, kind: 'event', target, cookie, hint }
    return attachToEvent(known, where)
  }
  const name = `perf_event ${event.name}`
  if (pid !== undefined) return attach({ cpu: cpu ?? -1, pid }, `${name} of thread ${pid}`)
  if (cpu !== undefined) return attach({ cpu, pid: -1 }, `${name} on CPU ${cpu}`)
  const events: EventLink[] = []
  try {
    for (const cpu of onlineCpuIds()) events.push(attach({ cpu, pid: -1 }, `${name} on CPU ${cpu}`))
    return new PerfEvents(events, name)
  } catch (error) {
    closeAll(events)
    throw error
  }
}

/** All of them, also where one fails. */
function closeAll(events: readonly EventLink[]): void {
  const errors: unknown[] = []
  for (const event of events) {
    try {
      event.close()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}

/** A program at an event of each CPU: one attachment of several, which end together. */
export class PerfEvents extends Attachment {
  readonly type = 'perf_event'
  /** Those of the CPUs, in their order: each a `Link`, or before Linux 5.15 an `EventAttachment`. */
  readonly events: readonly EventLink[]
  readonly #name: string

  /** @internal Takes them over. There is at least one, as there is a CPU. */
  constructor(events: readonly EventLink[], name: string) {
    super((events[0] as EventLink).handle)
    this.events = events
    this.#name = name
  }

  get programId(): number {
    return (this.events[0] as EventLink).programId
  }

  info(): { readonly type: 'perf_event'; readonly programId: number; readonly events: readonly object[] } {
    return { type: this.type, programId: this.programId, events: this.events.map((event) => event.info()) }
  }

  /** Events keep the program that they were given: fails as that of the first of them does. */
  update(program: ProgramLike, options?: UpdateOptions): void {
    for (const event of this.events) event.update(program, options)
  }

  /** Fails with EOPNOTSUPP where there are links to events: they end when they are closed. */
  detach(): void {
    for (const event of this.events) event.detach()
  }

  override close(): void {
    closeAll(this.events)
  }

  get description(): string {
    return `${this.#name} on ${this.events.length} CPUs`
  }

  protected headline(): string {
    return `${this.description} → ${programLabel(this.programId)}`
  }
}

interface NumberedEvent {
  readonly name: string
  readonly type: number
  readonly config: bigint
}

function eventOf(options: PerfEventOptions): NumberedEvent {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("an event is told by { software: 'cpu-clock', frequency: 99 }")
  }
  if ('software' in options) {
    if ('type' in options || 'config' in options) throw new TypeError('software names the event: no type, no config')
    checkKnown('software event', options.software, Object.keys(SOFTWARE_EVENTS))
    const config = BigInt(SOFTWARE_EVENTS[options.software])
    return { name: options.software, type: PERF_TYPE_SOFTWARE, config }
  }
  checkU32('type', options.type)
  const config = checkU64('config', options.config)
  return { name: `type ${options.type} config 0x${config.toString(16)}`, type: options.type, config }
}

function samplingOf({ frequency, period }: PerfEventOptions): { frequency?: number; period?: number } {
  if ((frequency === undefined) === (period === undefined)) {
    throw new TypeError('say when the program is run: by frequency (times a second) or by period (events), one of them')
  }
  const [what, value] = frequency === undefined ? (['period', period] as const) : (['frequency', frequency] as const)
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number, not ${typeof value}`)
  checkU64(what, value)
  if (value === 0) throw new RangeError(`0 cannot be ${what}: the program would never be run`)
  return { [what]: value }
}

function sampleHint(command: string, code: string, frequency?: number, cpu?: number): string | undefined {
  if (command !== 'perf_event_open' || code !== 'EINVAL') return undefined
  if (cpu !== undefined && !possibleCpuIds().includes(cpu)) return `this machine has no CPU ${cpu}`
  const most = frequency === undefined ? Number.POSITIVE_INFINITY : maxSampleRate()
  if (frequency !== undefined && frequency > most) {
    return `${frequency} times a second is more than kernel.perf_event_max_sample_rate allows (${most})`
  }
  return 'there is no such event, or no such kind of sampling'
}

function maxSampleRate(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/perf_event_max_sample_rate', 'latin1'))
  } catch {
    // No /proc: the setting cannot be told apart from other causes.
    return Number.POSITIVE_INFINITY
  }
}
