import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  ArrayMap,
  ArrayOfMaps,
  bytes,
  type Codec,
  HashMap,
  PerCpuMaps,
  perCpuMaps,
  possibleCpus,
  RingBuf,
  struct,
  u32,
  u64,
} from '../../lib'
import { parseCpuList } from '../../lib/cpu/possible'
import { errorOf } from '../support/error'
import { eventually, mapIds, needs, requireRoot, useBpffs } from '../support/kernel'
import { idsOfMapsNamed } from '../support/named'

const Stats = struct({ packets: u64, bytes: u64 })
const Ports = HashMap.spec({ key: u32, value: Stats, maxEntries: 16 })

describe('perCpuMaps', () => {
  before(function () {
    requireRoot(this)
  })
  const bpffs = useBpffs()

  it('has an inner map of its own for each possible CPU from the start', () => {
    using counters = perCpuMaps({ name: 'ports', inner: Ports })
    const [first, last] = readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim().split('-').map(Number)
    expect(counters.cpus.length).to.equal((last ?? first ?? 0) + 1)
    using plain = ArrayOfMaps.fromId(counters.id, { inner: Ports })
    expect([...plain.keys()]).to.deep.equal(counters.cpus)
    expect(new Set([...plain].map(([, id]) => id)).size).to.equal(counters.cpus.length)
  })

  it('merges what the CPUs have, adding up the fields of structs', () => {
    using counters = perCpuMaps({ inner: Ports })
    for (const cpu of counters.cpus) {
      counters.use(cpu, (inner) =>
        inner.set(80, { packets: 1n, bytes: BigInt(cpu) }).set(1000 + cpu, { packets: 7n, bytes: 0n }),
      )
    }
    const merged: Map<number, { packets: bigint; bytes: bigint }> = counters.merge()
    const cpus = BigInt(counters.cpus.length)
    expect(merged.get(80)).to.deep.equal({ packets: cpus, bytes: (cpus * (cpus - 1n)) / 2n })
    expect(merged.get(1000)).to.deep.equal({ packets: 7n, bytes: 0n })
    expect(merged.size).to.equal(counters.cpus.length + 1)
  })

  it('merges as it is told to', () => {
    using counters = perCpuMaps({ inner: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }) })
    for (const cpu of counters.cpus) counters.use(cpu, (inner) => inner.set(1, 10 + cpu))
    expect(counters.merge((a, b) => Math.max(a, b))).to.deep.equal(new Map([[1, 9 + counters.cpus.length]]))
  })

  it('merges arrays index by index', () => {
    using counters = perCpuMaps({ inner: ArrayMap.spec({ value: u64, maxEntries: 3 }) })
    for (const cpu of counters.cpus) counters.use(cpu, (inner) => inner.set(1, 5n))
    const merged: bigint[] = counters.merge()
    expect(merged).to.deep.equal([0n, 5n * BigInt(counters.cpus.length), 0n])
  })

  it('merges under keys that are structs or bytes', () => {
    const keys = [
      [struct({ port: u32, proto: u32 }), { port: 80, proto: 6 }],
      [bytes(3), new Uint8Array([1, 2, 3])],
    ] as const
    for (const [key, one] of keys) {
      using counters = perCpuMaps({ inner: HashMap.spec({ key: key as Codec<unknown>, value: u32, maxEntries: 4 }) })
      for (const cpu of counters.cpus) counters.use(cpu, (inner) => inner.set(one, 1))
      expect([...counters.merge()]).to.deep.equal([[one, counters.cpus.length]])
    }
  })

  it('merges arrays of differing lengths', function () {
    needs(this, possibleCpus() > 1, 'two CPUs')
    using counters = perCpuMaps({ inner: ArrayMap.spec({ value: u32, maxEntries: 2, dynamicSize: true }) })
    const rest = counters.cpus.length - 2
    counters.set(0, [[0, 10]], { maxEntries: 1 }).set(1, [[2, 5]], { maxEntries: 3 })
    for (const cpu of counters.cpus.slice(2)) counters.set(cpu, [[0, 1]])
    expect(counters.merge()).to.deep.equal([10 + rest, 0, 5])
    counters.set(1, [[0, 1]], { maxEntries: 1 }).set(0, [[2, 5]], { maxEntries: 3 })
    expect(counters.merge()).to.deep.equal([1 + rest, 0, 5])
  })

  it('says what cannot be merged', () => {
    using rings = perCpuMaps({ inner: RingBuf.spec({ size: 4096 }) })
    expect(errorOf(() => rings.merge()).message).to.match(/RingBuf hold no values to merge/)
  })

  it('puts fresh inner maps in place of the old ones', async () => {
    using counters = perCpuMaps({ inner: Ports })
    counters.use(0, (inner) => inner.set(80, { packets: 1n, bytes: 1n }))
    const ids = [...counters].map(([, id]) => id)
    counters.reset()
    expect(counters.merge()).to.deep.equal(new Map())
    await eventually(() => mapIds().every((id) => !ids.includes(id)), 'the old inner maps are gone')
    counters.set(0, [[443, { packets: 2n, bytes: 2n }]])
    expect(counters.merge()).to.deep.equal(new Map([[443, { packets: 2n, bytes: 2n }]]))
    const past = errorOf(() => counters.set(Math.max(...counters.cpus) + 1, []))
    expect(past).to.include({ code: 'E2BIG' })
    expect(past.message).to.match(/the index is past the end: there are \d+ slots, from 0/)
    const closed = counters.use(0, (inner) => inner)
    expect(inspect(closed)).to.match(/^HashMap#\d+ .* closed$/)
  })

  it('is opened again by its pin and id, and refuses an array of another length', () => {
    const path = join(bpffs.path, 'per_cpu')
    {
      using counters = perCpuMaps({ inner: Ports })
      counters.use(0, (inner) => inner.set(80, { packets: 1n, bytes: 1n }))
      counters.pin(path)
    }
    using again = PerCpuMaps.fromPin(path, { inner: Ports })
    expect(again.merge()).to.deep.equal(new Map([[80, { packets: 1n, bytes: 1n }]]))
    using byId = PerCpuMaps.fromId(again.id, { inner: Ports })
    expect(byId.cpus.length).to.equal(possibleCpus())
    again.unpin(path)
    using longer = ArrayOfMaps.create({ maxEntries: possibleCpus() + 1, inner: Ports })
    expect(errorOf(() => PerCpuMaps.fromId(longer.id, { inner: Ports }))).to.be.instanceOf(RangeError)
  })

  it('leaves nothing behind', async () => {
    const inner = HashMap.spec({ name: 'on_a_cpu', key: u32, value: u64, maxEntries: 4 })
    const counters = perCpuMaps({ inner })
    expect(idsOfMapsNamed('on_a_cpu').length).to.equal(possibleCpus())
    counters.close()
    await eventually(() => idsOfMapsNamed('on_a_cpu').length === 0, 'all of them are gone')
  })

  it('counts possible CPUs as the kernel writes them', () => {
    expect(parseCpuList('0')).to.deep.equal([0])
    expect(parseCpuList('0-3')).to.deep.equal([0, 1, 2, 3])
    expect(parseCpuList('0-1,4,8-9')).to.deep.equal([0, 1, 4, 8, 9])
    for (const bad of ['', '0-', 'x', '3-1', '0;1'])
      expect(errorOf(() => parseCpuList(bad)).message).to.match(/no list of CPUs/)
  })
})
