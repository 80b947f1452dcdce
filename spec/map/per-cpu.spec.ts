import { expect } from 'chai'
import { bytes, LruPerCpuHashMap, PerCpuArrayMap, PerCpuHashMap, possibleCpus, struct, u8, u32, u64 } from '../../lib'
import { perCpuCodec } from '../../lib/map/per-cpu'
import * as uapi from '../../syscalls/uapi'
import { SCALE } from '../support/compiled'
import { requireFeature, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { bpftoolDump, needsBpftool } from './kit'

describe('per-CPU maps', () => {
  const cpus = possibleCpus()

  before(function () {
    requireRoot(this)
  })

  /** A value of this size for each CPU, all different. */
  const valuesOf = (size: number, key: number) =>
    Array.from({ length: cpus }, (_, cpu) =>
      Uint8Array.from({ length: size }, (_, i) => (key * 31 + cpu * 7 + i) & 255),
    )

  // The kernel gives each CPU a multiple of 8 bytes, whatever the value's size.
  for (const size of [1, 3, 8, 12, 20, 1000]) {
    it(`have values of ${size} bytes, one by one and in batches`, () => {
      recorded((recording) => {
        using map = PerCpuHashMap.create({ name: 'odd', key: u32, value: bytes(size), maxEntries: 600 })
        using other = PerCpuHashMap.fromId(map.id, { key: u32, value: bytes(size) })
        const entries = Array.from({ length: 500 * SCALE }, (_, key) => [key, valuesOf(size, key)] as const)
        expect(map.setMany(entries)).to.equal(entries.length)
        expect(recording.bpf(uapi.BPF_MAP_UPDATE_BATCH).length).to.be.above(0)
        expect(recording.bpf(uapi.BPF_MAP_UPDATE_ELEM)).to.have.length(0)
        for (const [key, values] of entries) expect(other.get(key)).to.deep.equal(values)
        expect(other.snapshot()).to.deep.equal(new Map(entries))
        for (const [key] of entries.slice(0, 5)) map.set(key, valuesOf(size, key + 100))
        expect(other.getMany([0, 4, 5, 600])).to.deep.equal([
          valuesOf(size, 100),
          valuesOf(size, 104),
          valuesOf(size, 5),
          undefined,
        ])
        expect(map.delete(7)).to.equal(true)
        expect(map.clear()).to.equal(entries.length - 1)
        expect(other.size).to.equal(0)
      })
    })

    it(`of ${size} bytes are given away in one step`, function () {
      requireFeature(this, 'lookupAndDelete')
      using map = PerCpuHashMap.create({ name: 'odd', key: u32, value: bytes(size), maxEntries: 4 })
      map.set(7, valuesOf(size, 7))
      expect([map.getAndDelete(7), map.getAndDelete(7)]).to.deep.equal([valuesOf(size, 7), undefined])
      expect(map.size).to.equal(0)
    })

    it(`of ${size} bytes are arrays too`, () => {
      using map = PerCpuArrayMap.create({ name: 'odd', value: bytes(size), maxEntries: 300 })
      using other = PerCpuArrayMap.fromId(map.id, { value: bytes(size) })
      const all = Array.from({ length: 300 }, (_, index) => valuesOf(size, index))
      expect(map.setMany(all.entries())).to.equal(300)
      expect(other.snapshot()).to.deep.equal(all)
      map.set(3, valuesOf(size, 9))
      expect(other.get(3)).to.deep.equal(valuesOf(size, 9))
      expect(other.get(2)).to.deep.equal(valuesOf(size, 2))
      expect(other.get(300)).to.equal(undefined)
    })
  }

  it('are for another tool what they are here', function () {
    needsBpftool(this)
    using map = PerCpuHashMap.create({ key: u8, value: bytes(3), maxEntries: 4 })
    map.set(5, valuesOf(3, 1))
    const dumped = bpftoolDump(map).get('05') as { cpu: number; value: string[] }[]
    expect(dumped.map(({ cpu, value }) => [cpu, Uint8Array.from(value.map(Number))])).to.deep.equal(
      valuesOf(3, 1).map((value, cpu) => [cpu, value]),
    )
  })

  it('write the padding behind a value as zeros', () => {
    const codec = perCpuCodec(u8)
    expect(codec.size).to.equal(8 * cpus)
    const view = new DataView(new Uint8Array(codec.size).fill(0xaa).buffer)
    codec.write(view, 0, Array(cpus).fill(255))
    for (let cpu = 0; cpu < cpus; cpu++) expect(view.getBigUint64(cpu * 8, true)).to.equal(255n)
  })

  it('are summed up', () => {
    const Stats = struct({ packets: u64, sizes: u32 })
    using map = PerCpuHashMap.create({ key: u32, value: Stats, maxEntries: 4 })
    map.set(
      1,
      Array.from({ length: cpus }, (_, cpu) => ({ packets: BigInt(cpu), sizes: 2 })),
    )
    const total = Array.from({ length: cpus }, (_, cpu) => cpu).reduce((a, b) => a + b, 0)
    expect(map.sum(1)).to.deep.equal({ packets: BigInt(total), sizes: 2 * cpus })
    expect(map.sum(2)).to.equal(undefined)
    using list = PerCpuArrayMap.create({ value: u32, maxEntries: 2 })
    list.set(1, Array(cpus).fill(3))
    expect([list.sum(0), list.sum(1), list.sum(2)]).to.deep.equal([0, 3 * cpus, undefined])
    using blobs = PerCpuArrayMap.create({ value: bytes(3), maxEntries: 2 })
    if (cpus > 1) expect(() => blobs.sum(0)).to.throw(TypeError, /cannot add up/)
  })

  it('take a list with a value for each possible CPU, and nothing else', () => {
    using map = PerCpuHashMap.create({ key: u32, value: u32, maxEntries: 4 })
    expect(() => map.set(1, 5 as never)).to.throw(TypeError, /a per-CPU value is a list/)
    expect(() => map.set(1, [])).to.throw(RangeError, new RegExp(`0 values for ${cpus} possible CPUs`))
    const wrong = Array<number>(cpus).fill(1)
    wrong[cpus - 1] = -1
    expect(() => map.set(1, wrong)).to.throw(RangeError, new RegExp(`^value\\[${cpus - 1}\\]: -1`))
    expect(map.size).to.equal(0)
  })

  it('drop old entries where they are LRU', () => {
    using map = LruPerCpuHashMap.create({ key: u32, value: bytes(12), maxEntries: 50 })
    for (let i = 0; i < 400; i++) map.set(i, valuesOf(12, i))
    using other = LruPerCpuHashMap.fromId(map.id, { key: u32, value: bytes(12) })
    const entries = [...other]
    expect(entries.length).to.be.within(1, 50)
    for (const [key, values] of entries) expect(values).to.deep.equal(valuesOf(12, key))
  })
})
