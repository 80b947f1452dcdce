import { expect } from 'chai'
import { ArrayMap, bytes, HashMap, KernelError, LpmTrie, Queue, u32, u64 } from '../../lib'
import { ipv4Prefix } from '../../lib/codec'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'

const BATCHES: readonly (number | undefined)[] = [
  uapi.BPF_MAP_LOOKUP_BATCH,
  uapi.BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  uapi.BPF_MAP_UPDATE_BATCH,
  uapi.BPF_MAP_DELETE_BATCH,
]
/** A kernel from before the batch commands were there for this type. */
const noBatches: Answer = (call) => (BATCHES.includes(call.command) ? -524 : undefined)

const pairs = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i): [number, bigint] => [from + i, BigInt(i) * 3n])

describe('many entries at once', () => {
  before(function () {
    requireRoot(this)
  })

  const table = () => HashMap.create({ name: 'many', key: u32, value: u64, maxEntries: 20_000 })

  it('are written, read and deleted in few calls', () => {
    recorded((recording) => {
      using map = table()
      using other = HashMap.fromId(map.id, { key: u32, value: u64 })
      expect(map.setMany(pairs(10_000))).to.equal(10_000)
      expect(recording.bpf(uapi.BPF_MAP_UPDATE_BATCH).length).to.be.within(1, 5)
      expect(other.snapshot()).to.deep.equal(new Map(pairs(10_000)))
      expect(recording.bpf(uapi.BPF_MAP_LOOKUP_BATCH).length).to.be.within(1, 30)
      expect(map.getMany([0, 5, 10_000])).to.deep.equal([0n, 15n, undefined])
      const keys = Array.from({ length: 10_000 }, (_, i) => i * 2)
      expect(map.deleteMany(keys)).to.equal(5000)
      expect(other.size).to.equal(5000)
      expect(other.has(1)).to.equal(true)
      expect(recording.bpf(uapi.BPF_MAP_UPDATE_ELEM)).to.deep.equal([])
      expect(recording.bpf(uapi.BPF_MAP_DELETE_ELEM)).to.deep.equal([])
    })
  })

  it('come from any iterable: a Map, a generator, an empty list', () => {
    using map = table()
    expect(map.setMany(new Map(pairs(10)))).to.equal(10)
    function* later() {
      yield* pairs(5000, 10)
    }
    expect(map.setMany(later())).to.equal(5000)
    expect(map.setMany([])).to.equal(0)
    expect(map.deleteMany(new Set([1, 2, 99_999]))).to.equal(2)
    expect(map.deleteMany([])).to.equal(0)
    expect(map.getMany([])).to.deep.equal([])
    expect(map.size).to.equal(5008)
  })

  it('are deleted among keys that are not there', () => {
    recorded((recording) => {
      using map = table()
      map.setMany(pairs(100))
      const keys = Array.from({ length: 100 }, (_, n) => (n % 3 === 0 ? n + 1000 : n))
      expect(map.deleteMany(keys)).to.equal(66)
      expect(recording.bpf(uapi.BPF_MAP_DELETE_ELEM)).to.have.length(0)
      expect([...map.keys()]).to.have.members(Array.from({ length: 34 }, (_, n) => n * 3))
    })
  })

  it('are cleared in calls that do not grow with what is left', () => {
    recorded((recording) => {
      using map = table()
      map.setMany(pairs(20_000))
      recording.calls.length = 0
      expect(map.clear()).to.equal(20_000)
      expect(recording.bpf(uapi.BPF_MAP_LOOKUP_AND_DELETE_BATCH).length).to.be.within(1, 30)
      expect(recording.bpf().length).to.equal(recording.bpf(uapi.BPF_MAP_LOOKUP_AND_DELETE_BATCH).length)
      using other = HashMap.fromId(map.id, { key: u32, value: u64 })
      expect(other.size).to.equal(0)
      expect(map.clear()).to.equal(0)
    })
  })

  it('are read and cleared where a bucket holds more than a batch has room for', () => {
    recorded((recording) => {
      // Two values of this size are a batch; of 200 keys in 256 buckets some share one with two others.
      using map = HashMap.create({ key: u32, value: bytes(100_000), maxEntries: 200, flags: ['NO_PREALLOC'] })
      const value = new Uint8Array(100_000)
      for (let n = 0; n < 200; n++) map.set(n, value.fill(n, 0, 1))
      const keys = [...map].map(([key, found]) => [key, found[0]])
      expect(new Map(keys as [number, number][])).to.deep.equal(new Map(Array.from({ length: 200 }, (_, n) => [n, n])))
      expect(keys).to.have.length(200)
      const refused = (command: number) => recording.bpf(command).filter((call) => call.result === -28).length
      expect(refused(uapi.BPF_MAP_LOOKUP_BATCH)).to.be.above(0)
      expect(map.clear()).to.equal(200)
      expect(refused(uapi.BPF_MAP_LOOKUP_AND_DELETE_BATCH)).to.be.above(0)
      expect(map.size).to.equal(0)
    })
  })

  it('are cleared without being decoded', () => {
    using map = HashMap.create({ key: u32, value: bytes(8), maxEntries: 10 })
    map.set(1, new Uint8Array(8))
    const unreadable = {
      ...u32,
      read(): number {
        throw new Error('read')
      },
    }
    using other = HashMap.fromId(map.id, { key: unreadable, value: bytes(8) })
    expect(other.clear()).to.equal(1)
    expect(map.size).to.equal(0)
  })

  describe('in a kernel without batches', () => {
    it('are written, read, deleted and cleared one by one', () => {
      recorded((recording) => {
        using map = table()
        expect(map.setMany(pairs(500))).to.equal(500)
        expect(map.deleteMany([1, 3, 5, 7, 9, 600])).to.equal(5)
        const expected = new Map(pairs(500).filter(([key]) => key > 9 || key % 2 === 0))
        expect(map.snapshot()).to.deep.equal(expected)
        expect([...map.keys()]).to.have.members([...expected.keys()])
        expect([...map.values()]).to.have.members([...expected.values()])
        expect(map.size).to.equal(495)
        expect(map.clear()).to.equal(495)
        expect(map.size).to.equal(0)
        // Each is tried once, and then known to be missing.
        for (const command of BATCHES) expect(recording.bpf(command).length).to.equal(1)
      }, noBatches)
    })

    it('are cleared in a number of calls that is linear', () => {
      recorded((recording) => {
        using map = table()
        map.setMany(pairs(1000))
        recording.calls.length = 0
        expect(map.clear()).to.equal(1000)
        expect(recording.bpf().length).to.be.below(4 * 1000)
      }, noBatches)
    })

    it('say how many were done before a failure', () => {
      recorded(() => {
        using map = HashMap.create({ key: u32, value: u64, maxEntries: 10 })
        const error = errorOf(() => map.setMany(pairs(20)))
        expect(error).to.include({ code: 'E2BIG', command: 'BPF_MAP_UPDATE_ELEM', done: 10 })
        expect(map.size).to.equal(10)
      }, noBatches)
    })
  })

  it('say how many were done before a failure', () => {
    using map = HashMap.create({ name: 'small', key: u32, value: u64, maxEntries: 10 })
    const error = errorOf(() => map.setMany(pairs(20))) as KernelError
    expect(error).to.be.instanceOf(KernelError)
    expect(error).to.include({ code: 'E2BIG', command: 'BPF_MAP_UPDATE_BATCH', done: 10 })
    expect(error.message).to.match(/small'? \(10 done before\): the map is full: maxEntries is 10/)
    using other = HashMap.fromId(map.id, { key: u32, value: u64 })
    expect(other.snapshot()).to.deep.equal(new Map(pairs(10)))
  })

  it('count over the borders of batches', () => {
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 5000 })
    const error = errorOf(() => map.setMany(pairs(9000)))
    expect(error).to.include({ code: 'E2BIG', done: 5000 })
    expect(map.size).to.equal(5000)
  })

  it('take conditions one by one', () => {
    using map = table()
    map.set(3, 0n)
    const error = errorOf(() => map.setMany(pairs(6), { only: 'create' }))
    expect(error).to.include({ code: 'EEXIST', done: 3 })
    expect([...map.keys()]).to.have.members([0, 1, 2, 3])
    expect(errorOf(() => map.setMany(pairs(2, 3), { only: 'replace' }))).to.include({ code: 'ENOENT', done: 1 })
    expect(map.get(3)).to.equal(0n)
  })

  it('refuse what is no list of pairs, and say which one is wrong', () => {
    using map = table()
    const wrong = (entries: unknown, options?: object) => errorOf(() => map.setMany(entries as never, options))
    expect(wrong([1, 2, 3, 4, 5]).message).to.match(
      /^entry 0 is 1, a number, not a pair \[key, value\] \(of a plain list: list\.entries\(\)\)$/,
    )
    expect(wrong([[1, 1n], [2]]).message).to.match(/^entry 1 is \[ 2 \], not a pair/)
    expect(wrong([1, 2], { only: 'create' }).message).to.match(/^entry 0 is 1, a number, not a pair/)
    expect(wrong([...pairs(5), [-1, 0n]]).message).to.match(/^\[5\]\.key: -1/)
    expect(wrong([...pairs(5), [1, 'x']]).message).to.match(/^\[5\]\.value:/)
    expect(wrong([[1, 'x']]).message).to.match(/^\[0\]\.value:/)
    expect(() => map.deleteMany([1, 2, 3, 4, -5])).to.throw(RangeError, /^\[4\]\.key: -5/)
    // Nothing was written: what goes out together is encoded whole before.
    expect([...map.keys()]).to.deep.equal([])
    const late = Array.from({ length: 9000 }, (_, n) => [n % 100, n === 8999 ? -1n : 0n] as const)
    expect(wrong(late)).to.include({ name: 'RangeError', done: 8192 })
    map.clear()
    expect(wrong({ 1: 2n }).message).to.equal("setMany takes [key, value] pairs, as a list or a Map, not { '1': 2n }")
    expect(wrong({ 1: 2n }, { only: 'create' }).message).to.match(/^setMany takes/)
    expect(() => map.getMany(1 as never)).to.throw(TypeError, 'getMany takes a list of keys, not 1')
    expect(() => map.deleteMany(1 as never)).to.throw(TypeError, 'deleteMany takes a list of keys, not 1')
    using array = ArrayMap.create({ value: u32, maxEntries: 2 })
    expect(() => array.getMany(undefined as never)).to.throw(TypeError, 'getMany takes a list of keys, not undefined')
    expect(() => array.setMany({ 0: 1 } as never)).to.throw(TypeError, "not { '0': 1 }")
    using queue = Queue.create({ value: u32, maxEntries: 2 })
    expect(() => queue.pushMany(5 as never)).to.throw(TypeError, 'pushMany takes a list of values, not 5')
  })

  it('fill an array, and change many of its elements', () => {
    using list = ArrayMap.create({ name: 'list', value: u32, maxEntries: 6000 })
    using other = ArrayMap.fromId(list.id, { value: u32 })
    list.fill(7)
    expect(new Set(other.values())).to.deep.equal(new Set([7]))
    expect(list.setMany([5, 6, 7, 8, 9].entries())).to.equal(5)
    expect(other.getMany([0, 4, 5, 6000])).to.deep.equal([5, 9, 7, undefined])
    expect(errorOf(() => list.setMany([5, 6].map((n) => [6000 + n, n] as const))).message).to.match(
      /E2BIG.*the index is past the end: the array has 6000 elements/,
    )
    expect(other.snapshot()).to.have.length(6000)
  })

  it('clear an LPM trie, whose place in a walk is a key', () => {
    using trie = LpmTrie.create({ key: ipv4Prefix, value: u32, maxEntries: 5000 })
    trie.setMany(Array.from({ length: 5000 }, (_, n) => [`10.${n >> 8}.${n & 255}.0/24`, n] as const))
    using other = LpmTrie.fromId(trie.id, { key: ipv4Prefix, value: u32 })
    expect(new Set(other.values()).size).to.equal(5000)
    expect(trie.clear()).to.equal(5000)
    expect(other.size).to.equal(0)
  })
})
