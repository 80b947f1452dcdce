/** Every kind of map, and what opening and describing them takes. */
export { Arena, type ArenaOptions } from './arena'
export { ArrayMap, type ArrayMapOptions } from './array'
export { ArrayOfMaps, type ArrayOfMapsOpenOptions, type ArrayOfMapsOptions } from './array-of-maps'
export type { MapFlag, MapType } from './attributes'
export { BloomFilter, type BloomFilterCodec, type BloomFilterOptions } from './bloom-filter'
export { BpfMap, type MapInfo } from './bpf-map'
export { MapNameError } from './by-name'
export { CgroupArray, type FdArrayOptions, PerfEventArray, ProgArray } from './fd-array'

export type { ContentOf } from './fillable'
export { HashMap, LpmTrie, LruHashMap } from './hash'
export {
  HashOfMaps,
  type HashOfMapsOpenOptions,
  type HashOfMapsOptions,
  type OuterSetOptions,
} from './hash-of-maps'
export { mapIds } from './ids'
export type { GetOptions, SetOptions } from './keyed-map'
export {
  cgroupStorageKey,
  LegacyCgroupStorage,
  LegacyPerCpuCgroupStorage,
  type LegacyStorageOpen,
  type LegacyStorageOptions,
} from './legacy-storage'
export {
  CgroupStorage,
  InodeStorage,
  SkStorage,
  type StorageCodec,
  type StorageOptions,
  TaskStorage,
} from './local-storage'
export { MapMismatchError } from './mismatch'
export { type AnyMapOptions, type MapSource, maps, type OpenedMap, type OpenMapOptions, openMap } from './open'
export { type InnerChanges, type InnerContent, OuterMap } from './outer'
export type { OuterOpenOptions, OuterOptions } from './outer-options'
export { PerCpuMaps, type PerCpuMapsOptions, perCpuMaps } from './per-cpu-maps'
export { LruPerCpuHashMap, PerCpuArrayMap, PerCpuHashMap } from './per-cpu-tables'
export { type PushOptions, Queue, type QueueCodec, type QueueOptions, Stack } from './queue'
export { RawMap } from './raw'
export {
  CpuMap,
  type CpuQueue,
  type CpuQueueEntry,
  type Device,
  type DeviceEntry,
  DevMap,
  DevMapHash,
  type RedirectOpen,
  type RedirectOptions,
} from './redirect'
export { RingBuf, type RingOptions, UserRingBuf } from './ring'
export { IterationError } from './seen-keys'
export type { SnapshotOf } from './snapshot'
export {
  ReuseportSockArray,
  type SocketArrayOpen,
  type SocketArrayOptions,
  SockHash,
  type SockHashOpen,
  type SockHashOptions,
  SockMap,
  XskMap,
  type XskMapOptions,
} from './sockets'
export type { CreateOptions, MapAttributes, MapBtf, MapSpec, MapTypes, OpenOptions } from './spec'
export {
  type BuildIdFrame,
  type StackFrame,
  StackTrace,
  type StackTraceOpen,
  type StackTraceOptions,
} from './stack-trace'
export type { ArrayCodec, ArrayOptions, TableCodecs, TableOptions } from './table-options'
