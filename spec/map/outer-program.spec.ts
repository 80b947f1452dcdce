import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { ArrayMap, ArrayOfMaps, HashMap, HashOfMaps, u32, u64 } from '../../lib'
import { progTestRun } from '../../syscalls/bpf-test-run'
import { closeFd } from '../../syscalls/fd'
import { builtLibrary } from '../support/built'
import { requireRoot } from '../support/kernel'
import { ABSENT, loadOuterReader, MIXED, SAME } from '../support/outer-program'

const PACKET = new Uint8Array(64)

/** Runs the program in a thread of its own until told to stop. */
const RUNNER = `
  const { workerData, parentPort } = require('node:worker_threads')
  const { progTestRun } = require(require('node:path').join(workerData.library, 'syscalls/bpf-test-run'))
  const stop = new Int32Array(workerData.stop)
  let runs = 0
  parentPort.postMessage('running')
  while (Atomics.load(stop, 0) === 0) {
    progTestRun({ prog_fd: workerData.prog, data_in: new Uint8Array(64), repeat: 10000 })
    runs += 10000
  }
  parentPort.postMessage(runs)
`

describe('a running BPF program', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  it('finds what was installed, in hashes and arrays of maps', () => {
    const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })
    using counters = ArrayMap.create({ value: u64, maxEntries: 3 })
    using hash = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Inner })
    using array = ArrayOfMaps.create({ maxEntries: 4, inner: Inner })
    for (const outer of [hash, array]) {
      const prog = loadOuterReader(outer.fd, counters.fd)
      try {
        const run = () => progTestRun({ prog_fd: prog, data_in: PACKET }).retval
        counters.fill(0n)
        expect(run()).to.equal(0)
        outer.set(0, [
          [0, 34],
          [1, 34],
        ])
        expect(run()).to.equal(34)
        outer.use(0, (inner) => inner.set(1, 35))
        expect(run()).to.equal(34)
        outer.delete(0)
        expect(run()).to.equal(0)
        expect(counters.snapshot()).to.deep.equal([1n, 1n, 2n])
      } finally {
        closeFd(prog)
      }
    }
  })

  it('sees the old inner map or the new one, never a half, while it is replaced', async () => {
    using counters = ArrayMap.create({ value: u64, maxEntries: 3 })
    using outer = HashOfMaps.create({
      key: u32,
      maxEntries: 4,
      inner: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }),
    })
    const rows = (generation: number): [number, number][] => [
      [0, generation],
      [1, generation],
    ]
    outer.set(0, rows(1))
    const prog = loadOuterReader(outer.fd, counters.fd)
    const stop = new Int32Array(new SharedArrayBuffer(4))
    const workerData = { library: builtLibrary(), prog, stop: stop.buffer }
    const runner = new Worker(RUNNER, { eval: true, workerData })
    try {
      const message = () =>
        new Promise<unknown>((resolve, reject) => {
          runner.once('message', resolve)
          runner.once('error', reject)
        })
      expect(await message()).to.equal('running')
      const ended = message()
      for (let generation = 2; generation < 60; generation++) outer.set(0, rows(generation))
      for (let generation = 60; generation < 100; generation++) await outer.setAsync(0, rows(generation))
      // The other way, for comparison: an inner map changed in place is seen half-changed, so the counting does see halves.
      const inPlace = counters.get(MIXED)
      using inner = outer.open(0) as HashMap<number, number>
      const deadline = Date.now() + 20_000
      for (let i = 0; counters.get(MIXED) === inPlace && Date.now() < deadline; i++) inner.set(0, i).set(1, i)
      const mixedInPlace = counters.get(MIXED)
      Atomics.store(stop, 0, 1)
      const runs = BigInt(Number(await ended))
      const [same = 0n, mixed = 0n, absent = 0n] = counters.snapshot()
      expect(same + mixed + absent).to.equal(runs)
      expect(inPlace, 'halves seen while whole maps were replaced').to.equal(0n)
      expect(mixedInPlace, 'halves seen while one map was changed in place').to.not.equal(0n)
      expect(counters.get(ABSENT)).to.equal(0n)
      expect(counters.get(SAME)).to.not.equal(0n)
    } finally {
      Atomics.store(stop, 0, 1)
      await runner.terminate()
      closeFd(prog)
    }
  })
})
