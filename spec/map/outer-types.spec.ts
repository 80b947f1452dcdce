import { expect } from 'chai'
import {
  Arena,
  ArrayMap,
  ArrayOfMaps,
  BloomFilter,
  type BpfMap,
  CgroupArray,
  CgroupStorage,
  CpuMap,
  DevMap,
  DevMapHash,
  HashMap,
  HashOfMaps,
  InodeStorage,
  ipv4Prefix,
  LegacyCgroupStorage,
  LegacyPerCpuCgroupStorage,
  LpmTrie,
  LruHashMap,
  LruPerCpuHashMap,
  type MapSpec,
  PerCpuArrayMap,
  PerCpuHashMap,
  PerfEventArray,
  ProgArray,
  possibleCpus,
  Queue,
  ReuseportSockArray,
  RingBuf,
  SkStorage,
  SockHash,
  SockMap,
  Stack,
  StackTrace,
  TaskStorage,
  UserRingBuf,
  u32,
  u64,
  XskMap,
} from '../../lib'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'

const sized = { maxEntries: 4 }
const table = { key: u32, value: u32, maxEntries: 4 }

/** A spec of every type that the kernel takes for inner maps. */
const INNER: readonly MapSpec[] = [
  HashMap.spec(table),
  LruHashMap.spec(table),
  PerCpuHashMap.spec(table),
  LruPerCpuHashMap.spec(table),
  ArrayMap.spec({ value: u32, ...sized }),
  ArrayMap.spec({ value: u32, ...sized, dynamicSize: true }),
  ArrayMap.spec({ value: u64, ...sized, flags: ['MMAPABLE'] }),
  PerCpuArrayMap.spec({ value: u32, ...sized }),
  LpmTrie.spec({ key: ipv4Prefix, value: u32, ...sized }),
  Queue.spec({ value: u32, ...sized }),
  Stack.spec({ value: u32, ...sized }),
  BloomFilter.spec({ value: u32, ...sized }),
  CgroupArray.spec(sized),
  PerfEventArray.spec(sized),
  DevMap.spec(sized),
  DevMap.spec({ ...sized, programs: true }),
  DevMapHash.spec(sized),
  CpuMap.spec({ maxEntries: 1 }),
  XskMap.spec(sized),
  SockMap.spec(sized),
  SockHash.spec({ key: u32, ...sized }),
  ReuseportSockArray.spec(sized),
  StackTrace.spec({ ...sized, depth: 8 }),
  RingBuf.spec({ size: 4096 }),
  UserRingBuf.spec({ size: 4096 }),
  Arena.spec({ pages: 1 }),
  SkStorage.spec({ value: u32 }),
  InodeStorage.spec({ value: u32 }),
  TaskStorage.spec({ value: u32 }),
  CgroupStorage.spec({ value: u32 }),
]

describe('inner maps of every type that the kernel takes', () => {
  before(function () {
    requireRoot(this)
  })

  for (const inner of INNER) {
    const flags = inner.attributes.flags === 0 ? '' : ` (flags ${inner.attributes.flags})`
    it(`${inner.typeName}${flags} is a template, and installed in both kinds of outer map`, function () {
      requireFeature(this, 'mapType', inner.family.type)
      using hash = HashOfMaps.create({ key: u32, maxEntries: 2, inner })
      using array = ArrayOfMaps.create({ maxEntries: 2, inner })
      for (const outer of [hash, array] as const) {
        using mine: BpfMap = outer.createInner({ name: 'mine' })
        outer.set(1, mine)
        using again: BpfMap = outer.open(1) as BpfMap
        expect(again.info()).to.deep.equal(mine.info())
        expect(again.constructor).to.equal(mine.constructor)
        expect(outer.snapshot().has(1)).to.equal(true)
        expect(outer.delete(1)).to.equal(true)
      }
    })
  }

  const filled: readonly [MapSpec, Iterable<unknown>, (inner: never) => unknown, unknown][] = [
    [LruHashMap.spec(table), [[1, 2]], (inner: LruHashMap<number, number>) => inner.get(1), 2],
    [
      LpmTrie.spec({ key: ipv4Prefix, value: u32, ...sized }),
      [['10.0.0.0/8', 7]],
      (inner: LpmTrie<string, number>) => inner.get('10.1.2.3/32'),
      7,
    ],
    [
      PerCpuHashMap.spec(table),
      [[1, Array.from({ length: possibleCpus() }, (_, cpu) => cpu + 1)]],
      (inner: PerCpuHashMap<number, number>) => inner.sum(1),
      (possibleCpus() * (possibleCpus() + 1)) / 2,
    ],
    [
      Queue.spec({ value: u32, ...sized }),
      [7, 8],
      (inner: Queue<number>) => [inner.pop(), inner.pop(), inner.pop()],
      [7, 8, undefined],
    ],
    [Stack.spec({ value: u32, ...sized }), [7, 8], (inner: Stack<number>) => [inner.pop(), inner.pop()], [8, 7]],
    [
      BloomFilter.spec({ value: u32, ...sized }),
      [7],
      (inner: BloomFilter<number>) => [inner.has(7), inner.has(8)],
      [true, false],
    ],
  ]
  for (const [inner, content, read, expected] of filled) {
    it(`a ${inner.typeName} is filled before it is installed`, function () {
      requireFeature(this, 'mapType', inner.family.type)
      using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner })
      outer.set(1, content as never)
      expect(outer.use(1, read as (inner: BpfMap) => unknown)).to.deep.equal(expected)
    })
  }

  it('an array of devmaps sends each key to its own devices', () => {
    using outer = ArrayOfMaps.create({ maxEntries: 4, inner: DevMap.spec(sized) })
    // Interface 1 is lo, in every network namespace.
    outer.set(2, [[0, 1]])
    expect(outer.use(2, (inner) => inner.get(0))).to.equal(1)
    expect(outer.use(2, (inner) => inner.get(1))).to.equal(undefined)
    expect(errorOf(() => outer.set(3, [[0, 0x7ffffff]])).message).to.match(/ENODEV|EINVAL/)
    expect([...outer.keys()]).to.deep.equal([2])
  })

  it('a ring buffer cannot be filled from a list, and is installed as a map', () => {
    using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner: RingBuf.spec({ size: 4096 }) })
    expect(errorOf(() => outer.set(1, [] as never)).message).to.match(
      /a RingBuf cannot be filled from a list: .*createInner\(\)/,
    )
    expect(outer.size).to.equal(0)
  })

  it('what the kernel takes for no inner map is refused with a reason', () => {
    const refused: [MapSpec, RegExp][] = [
      [ProgArray.spec(sized), /PROG_ARRAY/],
      [LegacyCgroupStorage.spec({ key: u64, value: u32 } as never), /CGROUP_STORAGE/],
      [LegacyPerCpuCgroupStorage.spec({ key: u64, value: u32 } as never), /PERCPU_CGROUP_STORAGE/],
      [HashOfMaps.spec({ key: u32, maxEntries: 2, inner: HashMap.spec(table) }), /do not nest/],
      [ArrayOfMaps.spec({ maxEntries: 2, inner: HashMap.spec(table) }), /do not nest/],
    ]
    for (const [inner, why] of refused) {
      for (const make of [
        () => HashOfMaps.create({ key: u32, maxEntries: 2, inner }),
        () => ArrayOfMaps.create({ maxEntries: 2, inner }),
      ]) {
        const error = errorOf(make)
        expect(error).to.be.instanceOf(TypeError)
        expect(error.message).to.match(why)
      }
    }
  })
})
