import { expect } from 'chai'
import { ArrayMap, ArrayOfMaps } from '../../lib'
import { u32 } from '../../lib/codec'
import { errorOf } from '../support/error'
import { eventually, mapIds, requireRoot } from '../support/kernel'

describe('ArrayOfMaps', () => {
  const Numbers = ArrayMap.spec({ value: u32, maxEntries: 2, dynamicSize: true })
  let outer: ArrayOfMaps<ArrayMap<number>>

  before(function () {
    requireRoot(this)
  })
  beforeEach(() => {
    outer = ArrayOfMaps.create({ name: 'slots', maxEntries: 4, inner: Numbers })
  })
  afterEach(() => outer.close())

  it('holds inner arrays of differing lengths', () => {
    outer.set(2, [7, 8, 9].entries(), { maxEntries: 3 }).set(0, [[0, 1]])
    using again = ArrayOfMaps.fromId(outer.id, { inner: Numbers })
    expect(again.snapshot()).to.deep.equal(
      new Map([
        [0, [1, 0]],
        [2, [7, 8, 9]],
      ]),
    )
    using inner = ArrayMap.fromId(outer.idOf(2) ?? 0, { value: u32 })
    expect(inner.info()).to.deep.include({ maxEntries: 3, flags: ['INNER_MAP'] })
  })

  it('needs dynamicSize on both sides for that', () => {
    using fixed = ArrayOfMaps.create({ maxEntries: 2, inner: ArrayMap.spec({ value: u32, maxEntries: 2 }) })
    using longer = ArrayMap.create({ value: u32, maxEntries: 3 })
    expect(errorOf(() => fixed.set(0, longer))).to.include({
      code: 'ERR_EBPF_MISMATCH',
      attribute: 'maxEntries',
      expected: 2,
      actual: 3,
    })
    using dynamic = ArrayMap.create({ value: u32, maxEntries: 2, dynamicSize: true })
    expect(errorOf(() => fixed.set(0, dynamic))).to.include({ code: 'ERR_EBPF_MISMATCH', attribute: 'flags' })
  })

  it('passes over empty slots', () => {
    outer.set(3, []).set(1, [])
    expect([...outer.keys()]).to.deep.equal([1, 3])
    expect(outer.size).to.equal(2)
    expect([outer.has(0), outer.has(1), outer.idOf(0), outer.open(2)]).to.deep.equal([
      false,
      true,
      undefined,
      undefined,
    ])
    expect(outer.delete(1)).to.equal(true)
    expect(outer.delete(1)).to.equal(false)
    expect([...outer.keys()]).to.deep.equal([3])
  })

  it('refuses the conditions that the kernel refuses, with the reason', async () => {
    for (const only of ['create', 'replace'] as const) {
      const error = errorOf(() => outer.set(0, [], { only } as object))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.match(/ARRAY_OF_MAPS takes no `only`.*HashOfMaps/)
      const later = await outer.setAsync(0, [], { only } as object).then(
        () => undefined,
        (reason) => reason,
      )
      expect(later).to.be.instanceOf(TypeError)
    }
    expect(outer.size).to.equal(0)
  })

  it('says where the array ends', () => {
    const error = errorOf(() => outer.set(4, []))
    expect(error).to.include({ code: 'E2BIG' })
    expect(error.message).to.match(/past the end: there are 4 slots, from 0/)
    expect(outer.idOf(4)).to.equal(undefined)
    expect(errorOf(() => outer.set(-1, [])).message).to.match(/^key: -1 is out of range for u32/)
    expect(outer.length).to.equal(4)
  })

  it('deletes many, which the kernel does one by one', async () => {
    outer.setMany([
      [0, []],
      [1, []],
      [3, []],
    ])
    const ids = [...outer].map(([, id]) => id)
    expect(outer.deleteMany([0, 1, 2, 3])).to.equal(3)
    await eventually(() => mapIds().every((id) => !ids.includes(id)), 'all inner maps are gone')
  })
})
