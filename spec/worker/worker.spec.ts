import { once } from 'node:events'
import { closeSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { HashMap, HashOfMaps, u32 } from '../../lib'
import { builtLibrary } from '../support/built'
import { COMPILED } from '../support/compiled'
import { eventually, mapIds, requireRoot } from '../support/kernel'
import { install, type Job, keyOf, Numbers, numberOf, Slots, write } from './job'

const COUNT = 2000
const WORKERS = [1, 2]

const newGate = (): Int32Array => new Int32Array(new SharedArrayBuffer(8))

let script: string

/** job.ts as JavaScript beside the compiled library: workers that compile it themselves take seconds to start. */
function compileJob(): string {
  if (COMPILED) return join(__dirname, 'job.js')
  const { ModuleKind, ScriptTarget, transpileModule } = require('typescript') as typeof import('typescript')
  const folder = join(builtLibrary(), 'spec', 'worker')
  mkdirSync(folder, { recursive: true })
  const compilerOptions = { module: ModuleKind.CommonJS, target: ScriptTarget.ES2022 }
  const { outputText } = transpileModule(readFileSync(join(__dirname, 'job.ts'), 'utf8'), { compilerOptions })
  const path = join(folder, 'job.js')
  writeFileSync(path, outputText)
  return path
}

const start = (job: Job): Worker => new Worker(script, { workerData: job })

/** Resolves with the exit code; rejects with what the worker threw. */
async function ended(worker: Worker): Promise<number> {
  const [code] = (await once(worker, 'exit')) as [number]
  return code
}

/** Lets all begin once `count` are ready. */
async function openGate(gate: Int32Array, count: number): Promise<void> {
  await eventually(() => Atomics.load(gate, 0) >= count, 'every worker is ready', 60_000)
  Atomics.store(gate, 1, 1)
  Atomics.notify(gate, 1)
}

/** The fds of this process that are the map with an id, as /proc tells: workers have no fds of their own. */
const fdsOf = (id: number): number[] => fdsWith(new RegExp(`^map_id:\\s*${id}$`, 'm'))

/** Those that are any map, or BTF. */
const fdsOfBpf = (): number[] => fdsWith(/^(map|btf)_id:/m)

function fdsWith(line: RegExp): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return line.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))
      } catch {
        return false // The fd that read the folder.
      }
    })
}

/** What a worker that opens a map tells of it. */
async function told(worker: Worker): Promise<{ readonly fd: number; readonly id: number }> {
  const [message] = (await once(worker, 'message')) as [{ fd: number; id: number }]
  return message
}

describe('worker threads', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
    script = compileJob()
  })

  it('write to one map at the same time as the main thread, each by a handle of its own', async () => {
    using map = HashMap.create({ ...Numbers, name: 'shared', maxEntries: 3 * COUNT + 1 })
    const gate = newGate()
    const workers = WORKERS.map((worker) => start({ does: 'write', id: map.id, worker, count: COUNT, gate }))
    const ends = Promise.all(workers.map(ended))
    await openGate(gate, workers.length)
    write({ id: map.id, worker: 0, count: COUNT })
    expect(await ends).to.deep.equal([0, 0])

    expect(map.size).to.equal(3 * COUNT + 1)
    for (const worker of [0, ...WORKERS]) {
      for (let i = 0; i < COUNT; i++) expect(map.get(keyOf(worker, i))).to.equal(numberOf(worker, i))
    }
    const last = [0, ...WORKERS].map((worker) => numberOf(worker, COUNT - 1))
    expect(last).to.include(map.get(0xffffffff))
    expect(fdsOf(map.id)).to.deep.equal([map.fd])
  })

  it('install inner maps at the same time, off their event loops', async () => {
    const count = 100
    const others = new Set(mapIds())
    using outer = HashOfMaps.create({ name: 'shared', key: u32, maxEntries: 3 * count, inner: Slots })
    const gate = newGate()
    const workers = WORKERS.map((worker) => start({ does: 'install', id: outer.id, worker, count, gate }))
    const ends = Promise.all(workers.map(ended))
    await openGate(gate, workers.length)
    await install({ id: outer.id, worker: 0, count })
    expect(await ends).to.deep.equal([0, 0])

    const expected = new Map<number, number[]>()
    for (const worker of [0, ...WORKERS]) for (let i = 0; i < count; i++) expected.set(keyOf(worker, i), [worker, i])
    const found = new Map<number, number[]>()
    for (const [key, inner] of outer.inners()) found.set(key, [...inner.values()])
    expect(found).to.deep.equal(expected)
    // Every inner map is the outer map's alone: no thread has kept an fd of one, nor lost a map.
    const inner = new Set([...outer].map(([, id]) => id))
    expect([...inner].flatMap((id) => fdsOf(id))).to.deep.equal([])
    outer.clear()
    await eventually(
      () => mapIds().every((id) => others.has(id) || !inner.has(id)),
      'the inner maps are gone with their entries',
    )
  })

  describe('that end with handles open', () => {
    for (const end of ['by itself', 'process.exit', 'exception'] as const) {
      it(`give their fds back: ${end}`, async () => {
        using map = HashMap.create({ ...Numbers, maxEntries: 8 })
        const gate = newGate()
        const opened = start({ does: 'open', id: map.id, worker: 1, count: 0, gate, end })
        const made = start({ does: 'open', id: 0, worker: 2, count: 0, gate, end })
        const ends = Promise.allSettled([ended(opened), ended(made)])
        const [theirs, own] = await Promise.all([told(opened), told(made)])
        expect(fdsOf(map.id)).to.have.members([map.fd, theirs.fd])
        expect(fdsOf(own.id)).to.deep.equal([own.fd])

        await openGate(gate, 2)
        for (const result of await ends) {
          if (end === 'exception') expect(result).to.have.nested.property('reason.message', 'on purpose')
          else expect(result).to.have.property('value', 0)
        }
        await eventually(() => fdsOf(map.id).length === 1, 'the fd is closed when its worker ends')
        expect(fdsOf(map.id)).to.deep.equal([map.fd])
        expect(fdsOf(own.id)).to.deep.equal([])
        await eventually(() => !mapIds().includes(own.id), 'the map that nobody else has is gone')
        // The other thread's end was not ours.
        map.set(1, 1n)
        expect(map.get(1)).to.equal(1n)
      })
    }
  })

  // Node.js stops a terminated worker between two instructions: no 'exit' event, no finally, no finalizer.
  it('leave their fds to the process when they are terminated: ask a worker to end instead', async () => {
    const gate = newGate()
    const worker = start({ does: 'open', id: 0, worker: 1, count: 0, gate })
    const { fd, id } = await told(worker)
    await worker.terminate()
    expect(fdsOf(id)).to.deep.equal([fd])
    closeSync(fd)
    await eventually(() => !mapIds().includes(id), 'the map is gone')
  })

  it('may be terminated while the kernel works for them', async () => {
    using outer = HashOfMaps.create({ key: u32, maxEntries: 64, inner: Slots })
    const before = fdsOfBpf()
    for (let round = 0; round < 5; round++) {
      const gate = newGate()
      const worker = start({ does: 'fill', id: outer.id, worker: 1, count: 20, gate })
      await eventually(() => Atomics.load(gate, 0) >= 2, 'it has written', 60_000)
      await worker.terminate()
    }
    expect(outer.size).to.equal(20)
    // Calls that were under way go on in the thread pool, with buffers that are still theirs.
    outer.set(keyOf(2, 0), [
      [0, 1],
      [1, 2],
    ])
    expect(outer.use(keyOf(2, 0), (inner) => [...inner.values()])).to.deep.equal([1, 2])
    for (const fd of fdsOfBpf()) if (!before.includes(fd)) closeSync(fd)
  })
})
