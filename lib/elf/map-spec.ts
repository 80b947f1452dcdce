import type { Codec } from '../codec'
import { pageSize } from '../cpu/page-size'
import { possibleCpus } from '../cpu/possible'
import type { BpfMap, CreateOptions, MapBtf, MapSpec, MapType } from '../map'
import * as maps from '../map'
import { BUILD_ID_BYTES } from '../map/stack-trace'
import type { ObjectMap } from './description'
import { hasEvents } from './map-shape'

/** All that the families of maps may want to know. */
interface Parts {
  readonly same: CreateOptions & { readonly maxEntries: number }
  readonly key: Codec<unknown>
  readonly value: Codec<unknown>
  readonly valueSize: number
  readonly inner: MapSpec | undefined
}

const FAMILIES: Readonly<Partial<Record<MapType, (parts: Parts) => MapSpec>>> = {
  HASH: ({ same, key, value }) => maps.HashMap.spec({ key, value, ...same }),
  ARRAY: ({ same, value }) => maps.ArrayMap.spec({ value, ...same }),
  PROG_ARRAY: ({ same }) => maps.ProgArray.spec(same),
  PERF_EVENT_ARRAY: ({ same }) => maps.PerfEventArray.spec(same),
  PERCPU_HASH: ({ same, key, value }) => maps.PerCpuHashMap.spec({ key, value, ...same }),
  PERCPU_ARRAY: ({ same, value }) => maps.PerCpuArrayMap.spec({ value, ...same }),
  STACK_TRACE: ({ same, valueSize }) => {
    const buildIds = same.flags?.includes('STACK_BUILD_ID') === true
    return maps.StackTrace.spec<boolean>({ buildIds, depth: valueSize / (buildIds ? BUILD_ID_BYTES : 8), ...same })
  },
  CGROUP_ARRAY: ({ same }) => maps.CgroupArray.spec(same),
  LRU_HASH: ({ same, key, value }) => maps.LruHashMap.spec({ key, value, ...same }),
  LRU_PERCPU_HASH: ({ same, key, value }) => maps.LruPerCpuHashMap.spec({ key, value, ...same }),
  LPM_TRIE: ({ same, key, value }) => maps.LpmTrie.spec({ key, value, ...same }),
  ARRAY_OF_MAPS: ({ same, inner }) => maps.ArrayOfMaps.spec({ inner: inner as MapSpec, ...same }),
  HASH_OF_MAPS: ({ same, key, inner }) => maps.HashOfMaps.spec({ key, inner: inner as MapSpec, ...same }),
  DEVMAP: ({ same, valueSize }) => maps.DevMap.spec<boolean>({ programs: valueSize === 8, ...same }),
  DEVMAP_HASH: ({ same, valueSize }) => maps.DevMapHash.spec<boolean>({ programs: valueSize === 8, ...same }),
  CPUMAP: ({ same, valueSize }) => maps.CpuMap.spec<boolean>({ programs: valueSize === 8, ...same }),
  SOCKMAP: ({ same, valueSize }) => maps.SockMap.spec({ valueSize: valueSize as 4 | 8, ...same }),
  SOCKHASH: ({ same, key, valueSize }) => maps.SockHash.spec({ key, valueSize: valueSize as 4 | 8, ...same }),
  REUSEPORT_SOCKARRAY: ({ same, valueSize }) => {
    return maps.ReuseportSockArray.spec({ valueSize: valueSize as 4 | 8, ...same })
  },
  XSKMAP: ({ same }) => maps.XskMap.spec(same),
  CGROUP_STORAGE: ({ same, key, value }) => maps.LegacyCgroupStorage.spec({ key, value, ...same }),
  PERCPU_CGROUP_STORAGE: ({ same, key, value }) => maps.LegacyPerCpuCgroupStorage.spec({ key, value, ...same }),
  QUEUE: ({ same, value }) => maps.Queue.spec({ value, ...same }),
  STACK: ({ same, value }) => maps.Stack.spec({ value, ...same }),
  SK_STORAGE: ({ same, value }) => maps.SkStorage.spec({ value, ...same }),
  INODE_STORAGE: ({ same, value }) => maps.InodeStorage.spec({ value, ...same }),
  TASK_STORAGE: ({ same, value }) => maps.TaskStorage.spec({ value, ...same }),
  CGRP_STORAGE: ({ same, value }) => maps.CgroupStorage.spec({ value, ...same }),
  RINGBUF: ({ same }) => maps.RingBuf.spec({ ...same, size: same.maxEntries }),
  USER_RINGBUF: ({ same }) => maps.UserRingBuf.spec({ ...same, size: same.maxEntries }),
  BLOOM_FILTER: ({ same: { mapExtra, ...same }, value }) => {
    const hashes = Number(mapExtra ?? 0)
    return maps.BloomFilter.spec({ ...same, value, ...(hashes === 0 ? {} : { hashes }) })
  },
  ARENA: ({ same }) => maps.Arena.spec({ ...same, pages: same.maxEntries }),
}

/** Types whose keys and values the kernel wants to know the BTF of, or takes it: others refuse it (map_check_btf). */
const WITH_BTF: ReadonlySet<MapType> = new Set<MapType>([
  ...(['HASH', 'ARRAY', 'PERCPU_HASH', 'PERCPU_ARRAY', 'LRU_HASH', 'LRU_PERCPU_HASH', 'LPM_TRIE'] as const),
  ...(['SK_STORAGE', 'INODE_STORAGE', 'TASK_STORAGE', 'CGRP_STORAGE', 'CGROUP_STORAGE'] as const),
  ...(['PERCPU_CGROUP_STORAGE', 'BLOOM_FILTER'] as const),
])

const RINGS: readonly MapType[] = ['RINGBUF', 'USER_RINGBUF']
/** Their keys and values have 4 bytes, which sources need not say. */
const OF_FDS: readonly MapType[] = ['PROG_ARRAY', 'PERF_EVENT_ARRAY', 'CGROUP_ARRAY']

/** What a spec is made from besides the description. */
export interface SpecSurroundings {
  /** The types of key and value by codecs, where the description has none of its own. */
  codecOf(type: number, size: number): Codec<unknown>
  /** The BTF object that is loaded; undefined for none. */
  readonly btfFd: number | undefined
  /** The template of an outer map's inner maps. */
  readonly inner: MapSpec | undefined
  /** Put before the name, where this is a map of variables. */
  readonly prefix: string
}

/** The spec that makes the map of a description, and opens one like it. Throws TypeError, RangeError. */
export function specOfMap(map: ObjectMap, surroundings: SpecSurroundings): MapSpec<BpfMap> {
  const { name, type } = map
  const family = FAMILIES[type]
  if (family === undefined) throw new TypeError(`map '${name}': maps of ${type} are not made from objects`)
  if ((type === 'ARRAY_OF_MAPS' || type === 'HASH_OF_MAPS') && surroundings.inner === undefined) {
    const give = `load({ inner: { ${name}: HashMap.spec({ ... }) } })`
    throw new TypeError(`map '${name}' holds maps, and its object does not tell which: ${give} does`)
  }
  const [keySize, valueSize] = sizesOf(map)
  const key = codecFor('key', map, keySize, surroundings)
  const value = codecFor('value', map, valueSize, surroundings)
  const btf = btfOf(map, surroundings.btfFd)
  const same = {
    name: kernelName(name, surroundings.prefix),
    flags: map.flags,
    maxEntries: maxEntriesOf(map),
    mapExtra: map.mapExtra,
    ...(map.numaNode === undefined ? {} : { numaNode: map.numaNode }),
    ...(btf === undefined ? {} : { btf }),
  }
  const spec = described(family({ same, key, value, valueSize, inner: surroundings.inner }), map, btf)
  for (const [what, is, wanted] of [
    ['keySize', keySize, spec.attributes.keySize],
    ['valueSize', valueSize, spec.attributes.valueSize],
  ] as const) {
    if (is !== wanted) throw new RangeError(`map '${name}': ${what} is ${is}, and of ${spec.typeName} it is ${wanted}`)
  }
  return spec
}

/**
 * Where the object has no types for a map, nor has the caller: none are made up for what are but bytes. Local storage is
 * not made without.
 */
function described(spec: MapSpec, { key, value }: ObjectMap, btf: MapBtf | undefined): MapSpec {
  const { content } = spec.family
  const told = btf !== undefined || key !== undefined || value !== undefined
  return told || content === undefined || content.key === 'fd' ? spec : spec.with({ content: undefined })
}

function sizesOf({ type, keySize, valueSize, valueType }: ObjectMap): [key: number, value: number] {
  // A type says what the events are, not how large the kernel shall take an element for: it has 4 bytes, or none.
  const size = valueType !== 0 && hasEvents(type) ? 0 : valueSize
  return OF_FDS.includes(type) ? [keySize || 4, size || 4] : [keySize, size]
}

function maxEntriesOf({ type, maxEntries }: ObjectMap): number {
  if (type === 'PERF_EVENT_ARRAY' && maxEntries === 0) return possibleCpus()
  // As adjust_ringbuf_sz of libbpf: the source cannot know the size of a page.
  if (RINGS.includes(type) && maxEntries > 0) {
    return 2 ** Math.ceil(Math.log2(Math.max(maxEntries, pageSize())))
  }
  return maxEntries
}

function codecFor(what: 'key' | 'value', map: ObjectMap, size: number, { codecOf }: SpecSurroundings): Codec<unknown> {
  const given = map[what]
  if (given === undefined) return codecOf(map[`${what}Type`], size)
  if (given.size === size) return given
  throw new RangeError(`map '${map.name}': its ${what} has ${size} bytes, and ${given.name} has ${given.size}`)
}

function btfOf({ type, keyType, valueType, maxEntries, name }: ObjectMap, fd: number | undefined): MapBtf | undefined {
  if (fd === undefined || valueType === 0 || !WITH_BTF.has(type)) return undefined
  // A filter has no key; nor has a map of variables, and its value is a section (array_map_check_btf).
  const keyless = type === 'BLOOM_FILTER' || (type === 'ARRAY' && maxEntries === 1 && name.startsWith('.'))
  if (keyType === 0 && !keyless) return undefined
  return { fd, keyTypeId: keyType, valueTypeId: valueType }
}

/** BPF_OBJ_NAME_LEN, without the NUL. */
const NAME_BYTES = 15

/**
 * What the kernel takes of a name; a map of variables is called after its object: 'my_app.rodata'. As libbpf has it
 * (internal_map_name), so that tools find it: there is room for '.rodata' in any case, and sections of the author's own,
 * '.data.custom', go without the object.
 */
export function kernelName(name: string, prefix: string): string {
  const room = name.includes('.', 1) ? 0 : NAME_BYTES - Math.max(name.length, '.rodata'.length)
  const whole = name.startsWith('.') ? `${prefix.slice(0, Math.max(0, room))}${name}` : name
  return whole.slice(0, NAME_BYTES).replace(/[^A-Za-z0-9_.]/g, '_')
}
