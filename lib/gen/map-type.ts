import type { ObjectMap } from '../elf'
import type { MapType } from '../map'

/** A type of the library's with what it is of: `HashOfMaps<number, HashMap<number, bigint>>`. */
export interface TypeText {
  readonly name: string
  readonly of: readonly (TypeText | string)[]
}

/** The types of what is in a map, asked for only where its class is of them. */
export interface MapValues {
  key(): string
  value(): string
  /** Of an outer map. */
  inner(): TypeText | string
}

/** What a class is of; `programs` and `buildIds` are `true` where values hold them, and left out where not. */
type Parameter = keyof MapValues | 'programs' | 'buildIds'

/** What an object's maps are when they are loaded: the classes of the families in elf/map-spec.ts. */
const CLASSES: Readonly<Partial<Record<MapType, readonly [name: string, ...of: Parameter[]]>>> = {
  HASH: ['HashMap', 'key', 'value'],
  ARRAY: ['ArrayMap', 'value'],
  PROG_ARRAY: ['ProgArray'],
  PERF_EVENT_ARRAY: ['PerfEventArray'],
  PERCPU_HASH: ['PerCpuHashMap', 'key', 'value'],
  PERCPU_ARRAY: ['PerCpuArrayMap', 'value'],
  STACK_TRACE: ['StackTrace', 'buildIds'],
  CGROUP_ARRAY: ['CgroupArray'],
  LRU_HASH: ['LruHashMap', 'key', 'value'],
  LRU_PERCPU_HASH: ['LruPerCpuHashMap', 'key', 'value'],
  LPM_TRIE: ['LpmTrie', 'key', 'value'],
  ARRAY_OF_MAPS: ['ArrayOfMaps', 'inner'],
  HASH_OF_MAPS: ['HashOfMaps', 'key', 'inner'],
  DEVMAP: ['DevMap', 'programs'],
  DEVMAP_HASH: ['DevMapHash', 'programs'],
  CPUMAP: ['CpuMap', 'programs'],
  SOCKMAP: ['SockMap'],
  SOCKHASH: ['SockHash', 'key'],
  REUSEPORT_SOCKARRAY: ['ReuseportSockArray'],
  XSKMAP: ['XskMap'],
  CGROUP_STORAGE: ['LegacyCgroupStorage', 'key', 'value'],
  PERCPU_CGROUP_STORAGE: ['LegacyPerCpuCgroupStorage', 'key', 'value'],
  QUEUE: ['Queue', 'value'],
  STACK: ['Stack', 'value'],
  SK_STORAGE: ['SkStorage', 'value'],
  INODE_STORAGE: ['InodeStorage', 'value'],
  TASK_STORAGE: ['TaskStorage', 'value'],
  CGRP_STORAGE: ['CgroupStorage', 'value'],
  RINGBUF: ['RingBuf'],
  USER_RINGBUF: ['UserRingBuf'],
  BLOOM_FILTER: ['BloomFilter', 'value'],
  ARENA: ['Arena'],
  STRUCT_OPS: ['StructOpsMap'],
}

/** What a map is of which no more is known. */
export const ANY_MAP = 'BpfMap'

/** The names of all of them, which a module may import. */
export const MAP_CLASSES: readonly string[] = [...Object.values(CLASSES).map(([name]) => name), ANY_MAP]

/** The class of a map, and what it is of. */
export function classOfMap(map: ObjectMap, values: MapValues): TypeText {
  const [name, ...parameters] = CLASSES[map.type] ?? [ANY_MAP]
  const of = parameters.flatMap((parameter): (TypeText | string)[] => {
    // struct bpf_devmap_val and bpf_cpumap_val have room for a program's fd.
    if (parameter === 'programs') return map.valueSize === 8 ? ['true'] : []
    if (parameter === 'buildIds') return map.flags.includes('STACK_BUILD_ID') ? ['true'] : []
    return [values[parameter]()]
  })
  return { name, of }
}

/** All names of the library's in a type. */
export function namesIn(type: TypeText | string): string[] {
  return typeof type === 'string' ? [] : [type.name, ...type.of.flatMap(namesIn)]
}

/** A type behind `start`; what it is of has lines of its own where the whole is too long for one. */
export function typeLines(type: TypeText | string, start: string, width: number): string {
  const line = flat(type)
  if (typeof type === 'string' || type.of.length === 0 || start.length + line.length <= width) return line
  const outside = /^ */.exec(start)?.[0] ?? ''
  const indent = `${outside}  `
  const of = type.of.map((each) => `${indent}${typeLines(each, indent, width)}`)
  return `${type.name}<\n${of.join(',\n')}\n${outside}>`
}

function flat(type: TypeText | string): string {
  if (typeof type === 'string') return type
  return type.of.length === 0 ? type.name : `${type.name}<${type.of.map(flat).join(', ')}>`
}
