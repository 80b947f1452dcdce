import { checkKnownOptions, optionNames } from '../text/known-options'
import type { ArenaOptions } from './arena'
import type { ArrayMapOptions } from './array'
import type { ArrayOfMapsOptions } from './array-of-maps'
import type { BloomFilterOptions } from './bloom-filter'
import type { BpfMap } from './bpf-map'
import type { FdArrayOptions } from './fd-array'
import type { HashOfMapsOptions } from './hash-of-maps'
import type { LegacyStorageOptions } from './legacy-storage'
import type { StorageOptions } from './local-storage'
import type { OuterOpenOptions } from './outer-options'
import type { PerCpuMapsOptions } from './per-cpu-maps'
import type { QueueOptions } from './queue'
import type { RedirectOptions } from './redirect'
import type { RingOptions } from './ring'
import type { SocketArrayOptions, SockHashOptions, XskMapOptions } from './sockets'
import type { CreateOptions, OpenOptions } from './spec'
import type { StackTraceOptions } from './stack-trace'
import type { ArrayOptions, TableOptions } from './table-options'

/** The names of what a family is told, when it makes maps and when it opens them. */
function names<T>(known: Readonly<Record<keyof Required<T & OpenOptions>, true>>): ReadonlySet<string> {
  return optionNames<T & OpenOptions>(known)
}

/** What any map can be told. */
const COMMON = { name: true, flags: true, numaNode: true, mapExtra: true, btf: true, access: true } as const
const { mapExtra: _, ...WITHOUT_EXTRA } = COMMON
const SIZED = { maxEntries: true, ...COMMON } as const

/** A size that compiled objects tell of all maps. */
interface Sized {
  readonly maxEntries: number
}

const TABLE = names<TableOptions<unknown, unknown>>({ key: true, value: true, ...SIZED })
const QUEUE = names<QueueOptions<unknown>>({ value: true, ...SIZED })
const FDS = names<FdArrayOptions>(SIZED)
const REDIRECT = names<RedirectOptions<boolean>>({ programs: true, ...SIZED })
const SOCKETS = names<SocketArrayOptions>({ valueSize: true, ...SIZED })
const RING = names<RingOptions & Sized>({ size: true, ...SIZED })
const STORAGE = names<StorageOptions<unknown> & Sized>({ value: true, ...SIZED })
const LEGACY = names<LegacyStorageOptions<unknown, unknown> & Sized>({ key: true, value: true, ...SIZED })

/** By the name of the family. What is opened as it is found knows no more than any map. */
const FAMILIES = {
  HashMap: TABLE,
  LruHashMap: TABLE,
  LpmTrie: TABLE,
  PerCpuHashMap: TABLE,
  LruPerCpuHashMap: TABLE,
  ArrayMap: names<ArrayMapOptions<unknown>>({ value: true, dynamicSize: true, ...SIZED }),
  PerCpuArrayMap: names<ArrayOptions<unknown>>({ value: true, ...SIZED }),
  Queue: QUEUE,
  Stack: QUEUE,
  BloomFilter: names<BloomFilterOptions<unknown>>({ value: true, maxEntries: true, hashes: true, ...WITHOUT_EXTRA }),
  StackTrace: names<StackTraceOptions<boolean>>({ depth: true, buildIds: true, ...SIZED }),
  ProgArray: FDS,
  CgroupArray: FDS,
  PerfEventArray: FDS,
  DevMap: REDIRECT,
  DevMapHash: REDIRECT,
  CpuMap: REDIRECT,
  SockMap: SOCKETS,
  ReuseportSockArray: SOCKETS,
  SockHash: names<SockHashOptions<unknown>>({ key: true, valueSize: true, ...SIZED }),
  XskMap: names<XskMapOptions>(SIZED),
  RingBuf: RING,
  UserRingBuf: RING,
  Arena: names<ArenaOptions & Sized>({ pages: true, ...SIZED }),
  SkStorage: STORAGE,
  InodeStorage: STORAGE,
  TaskStorage: STORAGE,
  CgroupStorage: STORAGE,
  LegacyCgroupStorage: LEGACY,
  LegacyPerCpuCgroupStorage: LEGACY,
  HashOfMaps: names<HashOfMapsOptions<unknown, BpfMap>>({ key: true, inner: true, hold: true, ...SIZED }),
  ArrayOfMaps: names<ArrayOfMapsOptions<BpfMap>>({ inner: true, hold: true, ...SIZED }),
  PerCpuMaps: names<PerCpuMapsOptions<BpfMap> & OuterOpenOptions<BpfMap>>({ inner: true, hold: true, ...COMMON }),
  RawMap: names<CreateOptions>(COMMON),
  StructOpsMap: names<CreateOptions>(COMMON),
} as const

export type FamilyName = keyof typeof FAMILIES

/** Refuses an option that maps of the family do not have: that of another would else be passed over in silence. */
export function checkFamilyOptions(family: FamilyName, options: unknown): void {
  checkKnownOptions(options, FAMILIES[family], { of: family })
}
