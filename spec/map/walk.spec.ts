import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { ClosedError, HashMap, LpmTrie, LruHashMap, u32, u64 } from '../../lib'
import { ipv4Prefix } from '../../lib/codec'
import * as uapi from '../../syscalls/uapi'
import { builtLibrary } from '../support/built'
import { SCALE } from '../support/compiled'
import { requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'

/** Another thread that sets and deletes keys of a map of its own handle, until it is told to stop. */
const WRITER = `
  const { parentPort, workerData } = require('node:worker_threads')
  const lib = require(workerData.library + '/lib')
  const key = workerData.trie ? lib.ipv4Prefix : lib.u32
  const map = (workerData.trie ? lib.LpmTrie : lib.HashMap).fromId(workerData.id, { key, value: lib.u64 })
  const stop = new Int32Array(workerData.stop)
  const keyOf = (n) => (workerData.trie ? '10.' + (n >> 16) + '.' + ((n >> 8) & 255) + '.' + (n & 255) + '/32' : n)
  let writes = 0
  parentPort.postMessage('ready')
  while (Atomics.load(stop, 0) === 0) {
    for (let n = workerData.from; n < workerData.from + 2000; n++) map.set(keyOf(n), 1n)
    for (let n = workerData.from; n < workerData.from + 2000; n++) map.delete(keyOf(n))
    writes += 4000
  }
  map.close()
  parentPort.postMessage(writes)
`

async function whileOthersWrite(id: number, from: number, trie: boolean, run: () => void): Promise<number> {
  const stop = new SharedArrayBuffer(4)
  const workerData = { library: builtLibrary(), id, from, trie, stop }
  const worker = new Worker(WRITER, { eval: true, workerData })
  // Listened for from the start: the last message and the end may come in one turn of the event loop.
  const ended = once(worker, 'exit')
  try {
    await once(worker, 'message')
    run()
    Atomics.store(new Int32Array(stop), 0, 1)
    const [writes] = (await once(worker, 'message')) as [number]
    await ended
    return writes
  } finally {
    Atomics.store(new Int32Array(stop), 0, 1)
    await worker.terminate()
  }
}

const noBatches: Answer = (call) => (call.command === uapi.BPF_MAP_LOOKUP_BATCH ? -524 : undefined)

describe('iteration', () => {
  before(function () {
    requireRoot(this)
  })

  const STEADY = 3000 * SCALE
  const steady = Array.from({ length: STEADY }, (_, n): [number, bigint] => [n, BigInt(n)])

  /** Every key that was there all along is given exactly once, none that never was, and none twice. */
  function check(keys: readonly number[]): void {
    expect(new Set(keys).size).to.equal(keys.length)
    expect(keys.filter((key) => key < STEADY).length).to.equal(STEADY)
  }

  for (const flags of [[], ['NO_PREALLOC']] as const) {
    it(`of a hash (${flags[0] ?? 'preallocated'}) is whole while another thread writes`, async () => {
      using map = HashMap.create({ name: 'busy', key: u32, value: u64, maxEntries: 10_000, flags })
      map.setMany(steady)
      let rounds = 0
      let most = 0
      const writes = await whileOthersWrite(map.id, 1_000_000, false, () => {
        const until = Date.now() + 700
        // On a busy machine the other thread may have to be waited for.
        while (Date.now() < until || (most <= STEADY && Date.now() < until + 10_000)) {
          const keys = [...map.keys()]
          check(keys)
          check([...map].map(([key]) => key))
          most = Math.max(most, keys.length)
          rounds++
        }
      })
      expect(rounds).to.be.above(0)
      expect(writes).to.be.above(0)
      expect(most).to.be.above(STEADY)
    })
  }

  it('by next key is whole while another thread deletes', async function () {
    // It begins again each time that the key it stands on is deleted.
    this.timeout(300_000)
    using map = HashMap.create({ name: 'busy', key: u32, value: u64, maxEntries: 10_000 })
    map.setMany(steady)
    const id = map.id
    await whileOthersWrite(id, 1_000_000, false, () => {
      recorded(() => {
        using slow = HashMap.fromId(id, { key: u32, value: u64 })
        for (let round = 0; round < 2; round++) check([...slow.keys()])
      }, noBatches)
    })
  })

  it('of an LPM trie, which begins again where its place is deleted, gives none twice', async () => {
    using map = LpmTrie.create({ name: 'routes', key: ipv4Prefix, value: u64, maxEntries: 10_000 })
    const address = (n: number) => `192.${n >> 16}.${(n >> 8) & 255}.${n & 255}/32`
    map.setMany(steady.map(([n, value]) => [address(n), value] as const))
    await whileOthersWrite(map.id, 1000, true, () => {
      const until = Date.now() + 500
      do {
        const keys = [...map.keys()]
        expect(new Set(keys).size).to.equal(keys.length)
        expect(keys.filter((key) => key.startsWith('192.')).length).to.equal(STEADY)
      } while (Date.now() < until)
    })
  })

  it('of an LPM trie gives none twice where the last key of a batch is deleted', () => {
    const COUNT = 9000
    using map = LpmTrie.create({ key: ipv4Prefix, value: u64, maxEntries: COUNT })
    map.setMany(Array.from({ length: COUNT }, (_, n) => [`10.${n >> 8}.${n & 255}.0/24`, 0n] as const))
    const seen: string[] = []
    for (const key of map.keys()) {
      // 4096 entries are a batch: its last one is of odd number.
      if (seen.length % 2 === 1) expect(map.delete(key)).to.equal(true)
      seen.push(key)
    }
    expect(new Set(seen).size).to.equal(seen.length)
    expect(seen.length).to.equal(COUNT)
    expect(map.size).to.equal(COUNT / 2)
  })

  it('by next key does not begin again where its own loop deletes what it is given', () => {
    recorded((recording) => {
      using map = HashMap.create({ key: u32, value: u64, maxEntries: 3000 })
      map.setMany(steady)
      let count = 0
      for (const key of map.keys()) {
        expect(map.delete(key)).to.equal(true)
        count++
      }
      expect([count, map.size]).to.deep.equal([STEADY, 0])
      // One for each key, the end, and the count of what is left.
      expect(recording.bpf(uapi.BPF_MAP_GET_NEXT_KEY).length).to.be.at.most(STEADY + 2)
    }, noBatches)
  })

  it('goes on where its own loop deletes what it stands on', () => {
    for (const answer of [() => undefined, noBatches] as Answer[]) {
      recorded(() => {
        using map = HashMap.create({ key: u32, value: u64, maxEntries: 3000 })
        map.setMany(steady)
        let count = 0
        for (const [key] of map) {
          expect(map.delete(key)).to.equal(true)
          count++
        }
        expect(count).to.equal(STEADY)
        expect(map.size).to.equal(0)
      }, answer)
    }
  })

  it('goes on where its own loop deletes everything', () => {
    recorded(() => {
      using map = HashMap.create({ key: u32, value: u64, maxEntries: 3000 })
      map.setMany(steady)
      const seen: number[] = []
      for (const [key] of map) {
        seen.push(key)
        map.clear()
      }
      expect(seen).to.have.length(1)
    }, noBatches)
  })

  it('is left in the middle without a trace, and begun anew', () => {
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 3000 })
    map.setMany(steady)
    for (const _ of map) break
    const iterator = map.entries()
    iterator.next()
    expect(iterator.return?.()).to.deep.equal({ done: true, value: undefined })
    expect(iterator.next()).to.deep.equal({ done: true, value: undefined })
    expect([...map]).to.have.length(STEADY)
    // Two at a time, and writes between: each walk has memory of its own.
    const [one, two] = [map.keys(), map.keys()]
    const both: number[] = []
    for (;;) {
      const [a, b] = [one.next(), two.next()]
      expect(a.value).to.equal(b.value)
      if (a.done === true) break
      both.push(a.value)
      map.set(a.value, 0n)
    }
    check(both)
  })

  it('ends with a clear error where the map is closed in the middle', () => {
    const map = HashMap.create({ key: u32, value: u64, maxEntries: 10_000 })
    map.setMany(Array.from({ length: 9000 }, (_, n): [number, bigint] => [n, 0n]))
    expect(() => {
      for (const _ of map) map.close()
    }).to.throw(ClosedError, /is closed/)
  })

  it('gives up on a map where others delete faster than it can walk', () => {
    // Each step of the walk is told that it stands at the first key again.
    let first: Uint8Array | undefined
    const lost: Answer = (call, recording) => {
      if (call.command === uapi.BPF_MAP_LOOKUP_BATCH) return -524
      if (call.command !== uapi.BPF_MAP_GET_NEXT_KEY) return undefined
      const attr = new DataView((call.attr as Uint8Array).buffer)
      const next = recording.bytesAt(Number(attr.getBigUint64(16, true)), 4)
      first ??= Uint8Array.of(1, 0, 0, 0)
      next.set(first)
      return 0
    }
    recorded(() => {
      using map = HashMap.create({ name: 'mad', key: u32, value: u64, maxEntries: 4 })
      map.set(1, 1n)
      expect(() => [...map]).to.throw(/others delete keys so fast that the walk began again/)
    }, lost)
  })

  it('of an LRU hash under pressure gives none twice', () => {
    using lru = LruHashMap.create({ key: u32, value: u64, maxEntries: 2000 })
    let n = 0
    for (; n < 2000; n++) lru.set(n, 0n)
    const keys: number[] = []
    for (const [key] of lru) {
      keys.push(key)
      lru.set(n++, 0n)
    }
    expect(new Set(keys).size).to.equal(keys.length)
    expect(keys.length).to.be.above(0)
  })
})
