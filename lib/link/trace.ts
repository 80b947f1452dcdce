/** Programs at what the kernel and user code do: tracepoints, functions, probes, samples, iterators. */
export type { SoftwareEvent } from '../../syscalls/perf-event'
export { type UsdtProbe, usdtProbes } from '../elf-file/usdt'
export type { UsdtArgument, UsdtPlace } from '../elf-file/usdt-arguments'
export { type Cookie, EventAttachment, type EventLink } from './event'
export { attachIterator, IteratorLink, type IteratorTarget } from './iterator'
export { attachKprobe, attachKretprobe, type KprobeOptions } from './kprobe'
export { attachKprobeMulti, type ProbeMultiOptions } from './kprobe-multi'
export {
  attachPerfEvent,
  type CountedEvent,
  type PerfEventOptions,
  type PerfEventScope,
  PerfEvents,
  type Sampling,
} from './perf-event'
export { attachStructOps, StructOpsLink } from './struct-ops'
export { attachRawTracepoint, attachTracepoint, type CookieOptions } from './tracepoint'
export { attachFreplace, attachLsm, attachLsmCgroup, attachTracing, type FreplaceOptions } from './tracing'
export { attachUprobe, attachUretprobe, type UprobeOptions, type UserFunction } from './uprobe'
export { attachUprobeMulti, type UprobeMultiOptions } from './uprobe-multi'
export { attachUsdt, UsdtAttachment, type UsdtOptions } from './usdt'
