import { expect } from 'chai'
import { HashOfMaps, KernelError, u32, u64 } from '../../lib'
import { BloomFilter } from '../../lib/map/bloom-filter'
import { Queue, Stack } from '../../lib/map/queue'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { fdInfo, openFds } from './kit'

describe('values without keys', () => {
  before(function () {
    requireRoot(this)
  })

  const drain = (map: Queue<number> | Stack<number>) => {
    const values: number[] = []
    for (let value = map.pop(); value !== undefined; value = map.pop()) values.push(value)
    return values
  }

  it('leave a Queue in the order in which they came', () => {
    using queue = Queue.create({ name: 'jobs', value: u32, maxEntries: 3 })
    using other = Queue.fromId(queue.id, { value: u32 })
    expect(other.peek()).to.equal(undefined)
    expect(other.pop()).to.equal(undefined)
    expect(queue.push(1).push(2)).to.equal(queue)
    expect(queue.pushMany([3])).to.equal(1)
    expect([other.peek(), other.peek()]).to.deep.equal([1, 1])
    expect(drain(other)).to.deep.equal([1, 2, 3])
    expect(queue.peek()).to.equal(undefined)
  })

  it('leave a Stack the other way round', () => {
    using stack = Stack.create({ name: 'undo', value: u32, maxEntries: 3 })
    using other = Stack.fromId(stack.id, { value: u32 })
    stack.pushMany(new Set([1, 2, 3]))
    expect(other.peek()).to.equal(3)
    expect(drain(other)).to.deep.equal([3, 2, 1])
  })

  for (const Kind of [Queue, Stack]) {
    it(`are dropped by a full ${Kind.name} only when asked: the oldest goes`, () => {
      using map = Kind.create({ value: u32, maxEntries: 3 })
      const error = errorOf(() => map.pushMany([1, 2, 3, 4, 5])) as KernelError
      expect(error).to.be.instanceOf(KernelError)
      expect(error).to.include({ code: 'E2BIG', done: 3 })
      expect(error.message).to.match(/it is full: maxEntries is 3; \{ overwrite: true \} drops the oldest/)
      map.push(4, { overwrite: true })
      expect(map.pushMany([5], { overwrite: true })).to.equal(1)
      expect(drain(map).sort()).to.deep.equal([3, 4, 5])
    })
  }

  it('are checked before the kernel is asked', () => {
    using queue = Queue.create({ value: u32, maxEntries: 3 })
    expect(() => queue.push(-1)).to.throw(RangeError, /^value: -1/)
    expect(() => queue.pushMany([1, -1])).to.throw(RangeError, /^\[1\]\.value: -1/)
    expect(drain(queue)).to.deep.equal([1])
    expect(() => Queue.create({ maxEntries: 3 } as never)).to.throw(TypeError, /expected a codec/)
  })

  it('fill a new inner map', () => {
    const inner = Queue.spec({ value: u32, maxEntries: 8 })
    using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner })
    const fds = openFds()
    outer.set(1, [7, 8, 9])
    outer.use(1, (queue) => expect(drain(queue)).to.deep.equal([7, 8, 9]))
    expect(errorOf(() => outer.set(2, Array(9).fill(1))).code).to.equal('E2BIG')
    expect(outer.has(2)).to.equal(false)
    expect(openFds()).to.equal(fds)
  })

  describe('in a BloomFilter', () => {
    before(function () {
      requireFeature(this, 'mapType', 'bloom_filter')
    })

    it('are found again, and what was not added as a rule is not', () => {
      using seen = BloomFilter.create({ name: 'seen', value: u64, maxEntries: 1000, hashes: 7 })
      using other = BloomFilter.fromId(seen.id, { value: u64 })
      expect(other.has(1n)).to.equal(false)
      expect(seen.add(1n)).to.equal(seen)
      expect(seen.addMany(Array.from({ length: 500 }, (_, n) => BigInt(n * 2)))).to.equal(500)
      for (let n = 0n; n < 500n; n++) expect(other.has(n * 2n)).to.equal(true)
      const wrong = Array.from({ length: 500 }, (_, n) => other.has(BigInt(n * 2 + 100_001))).filter(Boolean)
      expect(wrong.length).to.be.below(250)
    })

    it('have as many hash functions as asked for', () => {
      using seven = BloomFilter.create({ value: u64, maxEntries: 10, hashes: 7 })
      expect(fdInfo(seven.fd, 'map_extra')).to.equal('0x7')
      expect(seven.hashes).to.equal(7)
      using other = BloomFilter.fromId(seven.id, { value: u64 })
      expect(other.hashes).to.equal(7)
      using some = BloomFilter.create({ value: u64, maxEntries: 10 })
      expect([fdInfo(some.fd, 'map_extra'), some.hashes]).to.deep.equal(['0x0', 0])
      for (const hashes of [0, 16, 1.5, -1]) {
        expect(() => BloomFilter.spec({ value: u64, maxEntries: 10, hashes })).to.throw(
          RangeError,
          /integers from 1 to 15/,
        )
      }
      expect(() => BloomFilter.spec({ value: u64, maxEntries: 1, hashes: '5' as never })).to.throw(TypeError)
    })

    it('fill a new inner map', () => {
      const inner = BloomFilter.spec({ value: u32, maxEntries: 8 })
      using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner })
      outer.set(1, [7, 8])
      expect(outer.use(1, (filter) => [filter.has(7), filter.has(8)])).to.deep.equal([true, true])
    })
  })
})
