import { abi, keepAlive } from './abi'
import { LE, put64 } from './attr-common'
import { addressOfBytes, cstring } from './buffer'
import { type Subject, throwKernelError } from './errno'
import { checkFd, settleFd } from './fd'
import { NR } from './numbers'

/** perf_event_open(2), as far as BPF programs are attached to what it opens. */

/** enum perf_type_id of include/uapi/linux/perf_event.h; kprobes and uprobes have types that sysfs tells. */
export const PERF_TYPE_SOFTWARE = 1
export const PERF_TYPE_TRACEPOINT = 2

/** enum perf_sw_ids, by the names that perf(1) has for them */
export const SOFTWARE_EVENTS = {
  'cpu-clock': 0,
  'task-clock': 1,
  'page-faults': 2,
  'context-switches': 3,
  'cpu-migrations': 4,
  'minor-faults': 5,
  'major-faults': 6,
  'alignment-faults': 7,
  'emulation-faults': 8,
  dummy: 9,
  'bpf-output': 10,
  'cgroup-switches': 11,
} as const

export type SoftwareEvent = keyof typeof SOFTWARE_EVENTS

export const PERF_COUNT_SW_DUMMY = SOFTWARE_EVENTS.dummy

/** PERF_ATTR_SIZE_VER1: up to config2. */
const ATTR_BYTES = 72
const SAMPLE_PERIOD = 16
const FLAGS = 40
const CONFIG1 = 56
const CONFIG2 = 64
/** Bit fields, counted from the end that the byte order puts first: attr.disabled, attr.freq. */
const DISABLED = 0n
const FREQ = 10n
const PERF_FLAG_FD_CLOEXEC = 8

/** Some fields of struct perf_event_attr, of an event that is not counting yet. */
export interface PerfEventFields {
  readonly type: number
  readonly config?: number | bigint | undefined
  /** attr.kprobe_func or attr.uprobe_path */
  readonly name?: string | undefined
  /** attr.probe_offset */
  readonly offset?: number | undefined
  /** attr.sample_period: every so many events are a sample; or ... */
  readonly period?: number | undefined
  /** ... attr.sample_freq: so many samples a second are aimed at */
  readonly frequency?: number | undefined
  /** 0 is the calling thread, -1 all */
  readonly pid: number
  /** -1 is any */
  readonly cpu: number
}

/**
 * An event's fd, which the caller owns. Errors: EACCES, EPERM (kernel.perf_event_paranoid), ENOENT (no such event), ENODEV
 * (the CPU is offline), ESRCH (no such process), EINVAL, EMFILE.
 */
export function perfEventOpen(fields: PerfEventFields, subject?: Subject): number {
  const result = tryPerfEventOpen(fields)
  if (result < 0) throwKernelError(-result, { syscall: 'perf_event_open', command: 'perf_event_open', subject })
  return result
}

/** The same where refusals are answers: -errno. */
export function tryPerfEventOpen(fields: PerfEventFields): number {
  const attr = new ArrayBuffer(ATTR_BYTES)
  const view = new DataView(attr)
  const name = fields.name === undefined ? undefined : cstring(fields.name, 'name')
  view.setUint32(0, fields.type, LE)
  view.setUint32(4, ATTR_BYTES, LE)
  put64(view, 8, fields.config ?? 0)
  put64(view, SAMPLE_PERIOD, fields.frequency ?? fields.period ?? 0)
  view.setBigUint64(FLAGS, bit(DISABLED) | (fields.frequency === undefined ? 0n : bit(FREQ)), LE)
  if (name !== undefined) put64(view, CONFIG1, addressOfBytes(name, 'name'))
  put64(view, CONFIG2, fields.offset ?? 0)
  const address = addressOfBytes(attr, 'attr')
  // A register holds -1 as the machine's word has it; the kernel looks at the low 32 bits of pid, cpu and group_fd.
  const result = abi().syscall(
    NR.perf_event_open,
    address,
    fields.pid >>> 0,
    fields.cpu >>> 0,
    NO_GROUP,
    PERF_FLAG_FD_CLOEXEC,
  )
  keepAlive([attr, name])
  return result < 0 ? result : settleFd(result)
}

const NO_GROUP = -1 >>> 0

function bit(position: bigint): bigint {
  return 1n << (LE ? position : 63n - position)
}

/** ioctl(2) requests of include/uapi/linux/perf_event.h: _IO('$', 0) and _IOW('$', 8, __u32), which ppc64 packs otherwise. */
const [ENABLE, SET_BPF] = process.arch === 'ppc64' ? [0x20002400, 0x80042408] : [0x2400, 0x40042408]

/** PERF_EVENT_IOC_SET_BPF: the event runs the program until it is closed. Errors: EEXIST (it has one), EINVAL. */
export function perfEventSetProgram(event: number, program: number, subject?: Subject): void {
  checkFd(program, 'program')
  control(event, SET_BPF, program, 'PERF_EVENT_IOC_SET_BPF', subject)
}

/** PERF_EVENT_IOC_ENABLE: the event counts from now on. */
export function perfEventEnable(event: number, subject?: Subject): void {
  control(event, ENABLE, 0, 'PERF_EVENT_IOC_ENABLE', subject)
}

function control(event: number, request: number, argument: number, command: string, subject?: Subject): void {
  checkFd(event, 'event')
  const result = abi().syscall(NR.ioctl, event, request, argument)
  if (result < 0) throwKernelError(-result, { syscall: 'ioctl', command, subject })
}
