/** One map of each family, small, and what the kernel should then say of it. */
import { type BpfMap, type MapSpec, possibleCpus, u8, u32, u64 } from '../../lib'
import { ipv4Prefix } from '../../lib/codec'
import { Arena } from '../../lib/map/arena'
import { ArrayMap } from '../../lib/map/array'
import { BloomFilter } from '../../lib/map/bloom-filter'
import { CgroupArray, PerfEventArray, ProgArray } from '../../lib/map/fd-array'
import { HashMap, LpmTrie, LruHashMap } from '../../lib/map/hash'
import { cgroupStorageKey, LegacyCgroupStorage, LegacyPerCpuCgroupStorage } from '../../lib/map/legacy-storage'
import { CgroupStorage, InodeStorage, SkStorage, TaskStorage } from '../../lib/map/local-storage'
import { LruPerCpuHashMap, PerCpuArrayMap, PerCpuHashMap } from '../../lib/map/per-cpu-tables'
import { Queue, Stack } from '../../lib/map/queue'
import { CpuMap, DevMap, DevMapHash } from '../../lib/map/redirect'
import { RingBuf, UserRingBuf } from '../../lib/map/ring'
import { ReuseportSockArray, SockHash, SockMap, XskMap } from '../../lib/map/sockets'
import { StackTrace } from '../../lib/map/stack-trace'

export interface FamilyCase<M extends BpfMap = BpfMap> {
  readonly spec: MapSpec<M>
  /** BPF_MAP_TYPE_..., and the sizes that the kernel should have been told: key, value, max_entries. */
  readonly is: readonly [type: number, key: number, value: number, maxEntries: number]
  /** What `util.inspect` says between name and fd. */
  readonly shown: string
  /** Every operation of the class, for a map that is closed. */
  readonly uses: readonly ((map: M) => unknown)[]
  /** Why it cannot be an inner map. */
  readonly notInner?: RegExp
}

function family<M extends BpfMap>(
  spec: MapSpec<M>,
  is: FamilyCase['is'],
  shown: string,
  uses: readonly ((map: M) => unknown)[],
  notInner?: RegExp,
): FamilyCase {
  const found: FamilyCase<M> = { spec, is, shown, uses, ...(notInner === undefined ? {} : { notInner }) }
  return found as unknown as FamilyCase
}

const size = { name: 'one', maxEntries: 2 }
const ones = Array<number>(possibleCpus()).fill(1)

interface AnyTable<K, V> extends BpfMap {
  get(key: K): unknown
  has(key: K): boolean
  set(key: K, value: V): unknown
  delete(key: K): boolean
  getMany(keys: K[]): unknown
  setMany(entries: [K, V][]): number
  deleteMany(keys: K[]): number
  clear(): number
  readonly size: number
  entries(): Iterable<unknown>
  keys(): Iterable<unknown>
  values(): Iterable<unknown>
  snapshot(): unknown
  forEach(callback: () => void): void
}

const tableUses = <K, V>(key: K, value: V): ((map: AnyTable<K, V>) => unknown)[] => [
  (map) => map.get(key),
  (map) => map.has(key),
  (map) => map.set(key, value),
  (map) => map.delete(key),
  (map) => map.getMany([key]),
  (map) => map.setMany([[key, value]]),
  (map) => map.setMany(Array.from({ length: 6 }, () => [key, value] as [K, V])),
  (map) => map.deleteMany([key]),
  (map) => map.deleteMany(Array<K>(6).fill(key)),
  (map) => map.clear(),
  (map) => map.size,
  (map) => [...map.entries()],
  (map) => [...map.keys()],
  (map) => [...map.values()],
  (map) => map.snapshot(),
  (map) => map.forEach(() => {}),
]

interface AnyArray<V> extends BpfMap {
  get(index: number): unknown
  has(index: number): boolean
  set(index: number, value: V): unknown
  getMany(indices: number[]): unknown
  setMany(entries: [number, V][]): number
  fill(value: V): unknown
  entries(): Iterable<unknown>
  values(): Iterable<unknown>
  snapshot(): unknown
  forEach(callback: () => void): void
}

const arrayUses = <V>(value: V): ((map: AnyArray<V>) => unknown)[] => [
  (map) => map.get(0),
  (map) => map.has(0),
  (map) => map.set(0, value),
  (map) => map.getMany([0]),
  (map) => map.setMany([[0, value]]),
  (map) => map.fill(value),
  (map) => [...map.entries()],
  (map) => [...map.values()],
  (map) => map.snapshot(),
  (map) => map.forEach(() => {}),
]

interface AnyRef<K, In> extends BpfMap {
  set(key: K, value: In): unknown
  setMany(entries: [K, In][]): number
  delete(key: K): boolean
}

const refUses = <K, In>(key: K, value: In): ((map: AnyRef<K, In>) => unknown)[] => [
  (map) => map.set(key, value),
  (map) => map.setMany([[key, value]]),
  (map) => map.delete(key),
]

interface AnyReadable<K> extends BpfMap {
  has(key: K): boolean
  readonly size: number
  entries(): Iterable<unknown>
  keys(): Iterable<unknown>
  values(): Iterable<unknown>
  snapshot(): unknown
}

const readUses = <K>(key: K): ((map: AnyReadable<K>) => unknown)[] => [
  (map) => map.has(key),
  (map) => map.size,
  (map) => [...map.entries()],
  (map) => [...map.keys()],
  (map) => [...map.values()],
  (map) => map.snapshot(),
]

const queueUses = [
  (map: Queue<number> | Stack<number>) => map.push(1),
  (map: Queue<number> | Stack<number>) => map.pop(),
  (map: Queue<number> | Stack<number>) => map.peek(),
  (map: Queue<number> | Stack<number>) => map.pushMany([1]),
]

const storageUses = [
  (map: SkStorage<bigint>) => map.get(5),
  (map: SkStorage<bigint>) => map.has(5),
  (map: SkStorage<bigint>) => map.set(5, 1n),
  (map: SkStorage<bigint>) => map.delete(5),
]

export const FAMILIES: readonly FamilyCase[] = [
  family(HashMap.spec({ ...size, key: u32, value: u64 }), [1, 4, 8, 2], 'u32 → u64 0/2', [
    ...tableUses(1, 1n),
    (map) => map.getAndDelete(1),
  ]),
  family(ArrayMap.spec({ ...size, value: u64 }), [2, 4, 8, 2], 'u64 2/2', arrayUses(1n)),
  family(
    ProgArray.spec(size),
    [3, 4, 4, 2],
    'program fd 0/2',
    [...refUses(0, 5), ...readUses(0), (map) => map.idOf(0)],
    /PROG_ARRAY/,
  ),
  family(PerfEventArray.spec(size), [4, 4, 4, 2], 'perf event fd 2', refUses(0, 5)),
  family(PerCpuHashMap.spec({ ...size, key: u32, value: u32 }), [5, 4, 4, 2], 'u32 → u32 0/2', [
    ...tableUses(1, ones),
    (map) => map.sum(1),
  ]),
  family(PerCpuArrayMap.spec({ ...size, value: u32 }), [6, 4, 4, 2], 'u32 2/2', [
    ...arrayUses(ones),
    (map) => map.sum(0),
  ]),
  family(StackTrace.spec(size), [7, 4, 1016, 2], 'addresses 0/2', [
    ...readUses(1),
    (map) => map.get(1),
    (map) => map.delete(1),
    (map) => map.clear(),
  ]),
  family(StackTrace.spec({ ...size, buildIds: true, depth: 10 }), [7, 4, 320, 2], 'build ids 0/2', []),
  family(CgroupArray.spec(size), [8, 4, 4, 2], 'cgroup fd 2', refUses(0, 5)),
  family(LruHashMap.spec({ ...size, key: u8, value: u32 }), [9, 1, 4, 2], 'u8 → u32 0/2', tableUses(1, 1)),
  family(LruPerCpuHashMap.spec({ ...size, key: u8, value: u32 }), [10, 1, 4, 2], 'u8 → u32 0/2', tableUses(1, ones)),
  family(
    LpmTrie.spec({ ...size, key: ipv4Prefix, value: u32 }),
    [11, 8, 4, 2],
    'ipv4Prefix → u32 0/2',
    tableUses('10.0.0.0/8', 1),
  ),
  family(DevMap.spec(size), [14, 4, 4, 2], 'ifindex 0/2', [...refUses(0, 1), ...readUses(0)]),
  family(
    DevMap.spec({ ...size, programs: true }),
    [14, 4, 8, 2],
    'ifindex and program 0/2',
    refUses(0, { ifindex: 1 }),
  ),
  family(SockMap.spec(size), [15, 4, 8, 2], 'socket fd 0/2', [
    ...refUses(0, 5),
    ...readUses(0),
    (map) => map.cookieOf(0),
  ]),
  family(SockMap.spec({ ...size, valueSize: 4 }), [15, 4, 4, 2], 'socket fd 2', []),
  family(CpuMap.spec(size), [16, 4, 4, 2], 'queueSize 0/2', [...refUses(0, 64), ...readUses(0)]),
  family(XskMap.spec(size), [17, 4, 4, 2], 'AF_XDP socket fd 2', refUses(0, 5)),
  family(SockHash.spec({ ...size, key: u64 }), [18, 8, 8, 2], 'u64 → socket fd 0/2', [
    ...refUses(1n, 5),
    ...readUses(1n),
  ]),
  family(
    LegacyCgroupStorage.spec({ name: 'one', key: cgroupStorageKey, value: u64 }),
    [19, 16, 8, 0],
    'struct { cgroup: u64, attachType: u32 } → u64 0',
    [...readUses({ cgroup: 1n, attachType: 0 }), (map) => map.set({ cgroup: 1n, attachType: 0 }, 1n)],
    /CGROUP_STORAGE/,
  ),
  family(ReuseportSockArray.spec(size), [20, 4, 8, 2], 'socket fd 0/2', [...refUses(0, 5), ...readUses(0)]),
  family(
    LegacyPerCpuCgroupStorage.spec({ name: 'one', key: u64, value: u64 }),
    [21, 8, 8, 0],
    'u64 → u64 0',
    [...readUses(1n), (map) => map.get(1n)],
    /PERCPU_CGROUP_STORAGE/,
  ),
  family(Queue.spec({ ...size, value: u32 }), [22, 0, 4, 2], 'u32 up to 2', queueUses),
  family(Stack.spec({ ...size, value: u32 }), [23, 0, 4, 2], 'u32 up to 2', queueUses),
  family(SkStorage.spec({ name: 'one', value: u64 }), [24, 4, 8, 0], 'socket fd → u64', storageUses),
  family(DevMapHash.spec(size), [25, 4, 4, 2], 'ifindex 0/2', [...refUses(9, 1), ...readUses(9)]),
  family(RingBuf.spec({ name: 'one', size: 65536 }), [27, 0, 0, 65536], '65536 bytes', []),
  family(InodeStorage.spec({ name: 'one', value: u64 }), [28, 4, 8, 0], 'file fd → u64', []),
  family(TaskStorage.spec({ name: 'one', value: u64 }), [29, 4, 8, 0], 'pidfd → u64', []),
  family(BloomFilter.spec({ ...size, value: u64 }), [30, 0, 8, 2], 'u64 2', [
    (map) => map.add(1n),
    (map) => map.has(1n),
    (map) => map.addMany([1n]),
  ]),
  family(UserRingBuf.spec({ name: 'one', size: 65536 }), [31, 0, 0, 65536], '65536 bytes', []),
  family(CgroupStorage.spec({ name: 'one', value: u64 }), [32, 4, 8, 0], 'cgroup fd → u64', []),
  family(Arena.spec({ name: 'one', pages: 4 }), [33, 0, 0, 4], '4 pages', []),
]
