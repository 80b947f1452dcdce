/** The public names of ebpf-ts, and nothing else. Importing them loads neither koffi nor libc: the first call does. */

export { KernelError } from '../syscalls/errno'
export type { Capability } from '../syscalls/privilege'
export { hasCapability } from '../syscalls/privilege'
export * from './codec'
export { possibleCpus } from './cpu/possible'
export { ClosedError } from './handle/handle'
export { ArrayMap, type ArrayMapOptions } from './map/array'
export { ArrayOfMaps, type ArrayOfMapsOpenOptions, type ArrayOfMapsOptions } from './map/array-of-maps'
export type { MapFlag, MapType } from './map/attributes'
export { BpfMap, type MapInfo } from './map/bpf-map'
export type { ContentOf } from './map/fillable'
export { HashMap, LpmTrie, LruHashMap } from './map/hash'
export {
  HashOfMaps,
  type HashOfMapsOpenOptions,
  type HashOfMapsOptions,
  type OuterSetOptions,
} from './map/hash-of-maps'
export { mapIds } from './map/ids'
export type { GetOptions, SetOptions } from './map/keyed-map'
export { MapMismatchError } from './map/mismatch'
export { type InnerChanges, type InnerContent, OuterMap, type SnapshotOf } from './map/outer'
export { PerCpuMaps, type PerCpuMapsOptions, perCpuMaps } from './map/per-cpu-maps'
export { LruPerCpuHashMap, PerCpuArrayMap, PerCpuHashMap } from './map/per-cpu-tables'
export type { CreateOptions, MapAttributes, MapBtf, MapSpec, OpenOptions } from './map/spec'
export type { ArrayCodec, ArrayOptions, TableCodecs, TableOptions } from './map/table-options'
export { IterationError } from './map/seen-keys'
