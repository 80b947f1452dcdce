import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { HashMap, HashOfMaps, u32 } from '../../lib'
import { builtLibrary } from '../support/built'
import { SCALE } from '../support/compiled'
import { eventually, mapIds, requireRoot } from '../support/kernel'

const SLOTS = 500 * SCALE
const ROUNDS = 40 * SCALE
const Inner = HashMap.spec({ name: 'soak', key: u32, value: u32, maxEntries: 4 })

/** A reader in a thread of its own: opens, walks and reads inner maps as long as it may; answers what it has seen. */
const READER = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { join } = require('node:path')
  const { HashMap, HashOfMaps, u32 } = require(join(workerData.library, 'lib'))
  const inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })
  const outer = HashOfMaps.fromId(workerData.id, { key: u32, inner })
  const seen = { reads: 0, walks: 0, mixed: 0, absent: 0 }
  const stop = new Int32Array(workerData.stop)
  const check = (map) => {
    const values = new Set(map.values())
    seen.reads++
    if (values.size > 1) seen.mixed++
  }
  parentPort.postMessage('ready')
  while (Atomics.load(stop, 0) === 0) {
    for (let i = 0; i < 50; i++) if (outer.use(Math.floor(Math.random() * ${SLOTS}), check) === undefined) seen.absent++
    for (const [, map] of outer.inners()) check(map)
    seen.walks++
  }
  outer.close()
  parentPort.postMessage(seen)
`

describe('map-in-map over tens of thousands of inner maps', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  it('leaves no map, no fd and no memory behind', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const fdsBefore = bpfFds()
    const made = new Set<number>()
    let count = 0
    const rss: number[] = []
    const memlock = new Set<number>()

    const outer = HashOfMaps.create({ name: 'soak_outer', key: u32, maxEntries: SLOTS, inner: Inner })
    const note = () => {
      for (const [, id] of outer) made.add(id)
    }
    const rowsOf = (generation: number): [number, number][] => [
      [1, generation],
      [2, generation],
      [3, generation],
    ]
    const all = (generation: number) => Array.from({ length: SLOTS }, (_, key) => [key, rowsOf(generation)] as const)

    const stop = new Int32Array(new SharedArrayBuffer(4))
    const workerData = { library: builtLibrary(), id: outer.id, stop: stop.buffer }
    const reader = new Worker(READER, { eval: true, workerData })
    await once(reader, 'message')
    const answer = once(reader, 'message') as Promise<[Record<string, number>]>
    try {
      for (let round = 0; round < ROUNDS; round++) {
        // Batched: insert or replace all of them, replace some, delete some; in this thread and off it.
        count += outer.setMany(all(round))
        note()
        count += await outer.setManyAsync(all(round + 1000).slice(0, SLOTS / 2))
        note()
        outer.deleteMany(Array.from({ length: SLOTS / 4 }, (_, i) => i * 3))
        // Single: each one waits for the kernel.
        for (let i = 0; i < 4; i++) outer.set((round * 7 + i) % SLOTS, rowsOf(round + 2000))
        note()
        outer.delete(round % SLOTS)
        const writes = Array.from({ length: SLOTS / 5 }, (_, i) =>
          outer.setAsync((round + i) % SLOTS, rowsOf(round + 3000)),
        )
        await Promise.all(writes)
        count += 4 + SLOTS / 5
        note()
        if (round % 8 === 3) await outer.deleteManyAsync([...outer.keys()])
        // What the kernel charges: the outer map, and each inner map, cost at the end what they cost at the beginning.
        memlock.add(outer.info().memlock ?? -1)
        for (const [, inner] of outer.inners()) memlock.add(inner.info().memlock ?? -1)
        collect()
        rss.push(process.memoryUsage().rss)
      }
    } finally {
      Atomics.store(stop, 0, 1)
    }
    const [seen] = await answer
    await reader.terminate()
    outer.close()

    const expected = ROUNDS * SLOTS * 1.5
    expect(count).to.be.at.least(expected)
    expect(made.size).to.be.at.least(expected)
    expect(seen.mixed, 'a reader saw a half-filled inner map').to.equal(0)
    expect(seen.reads).to.be.greaterThan(1000 * SCALE)
    await eventually(() => {
      const alive = new Set(mapIds())
      return [...made].every((id) => !alive.has(id))
    }, 'every id that was made is gone')
    await eventually(() => bpfFds().length === fdsBefore.length, 'every fd is closed')

    expect([...memlock].every((bytes) => bytes > 0)).to.equal(true)
    expect(memlock.size, `bytes charged for the outer map and for inner maps: ${[...memlock].join(' ')}`).to.be.within(
      1,
      2,
    )

    // Of the second half, when everything that is made once has been made.
    const half = rss.slice(rss.length / 2)
    const growth = median(half.slice(half.length / 2)) - median(half.slice(0, half.length / 2))
    expect(growth, `resident memory over the rounds: ${rss.join(' ')}`).to.be.lessThan(24 * 2 ** 20)
    console.log(
      `      ${made.size} inner maps seen of ${count} made, ${seen.reads} reads alongside, 0 ids and 0 fds left, ` +
        `resident memory ${(growth / 2 ** 20).toFixed(1)} MiB`,
    )
  })
})

function bpfFds(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd)).startsWith('anon_inode:bpf')
    } catch {
      return false // The fd by which the folder itself was read.
    }
  })
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
