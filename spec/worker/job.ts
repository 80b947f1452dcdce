/** What the workers of worker.spec.ts do; each opens maps by id, as any other process would. */
import { parentPort, workerData } from 'node:worker_threads'
import { ArrayMap, HashMap, HashOfMaps, u32, u64 } from '../../lib'

export interface Job {
  readonly does: 'write' | 'install' | 'open' | 'fill'
  /** The map to work on; 0 for one that the worker makes. */
  readonly id: number
  /** Tells the workers' writes apart: the upper half of each key, and the values. */
  readonly worker: number
  readonly count: number
  /** [0] ready, [1] go: all begin to write at the same time. */
  readonly gate: Int32Array
  /** How the worker ends, once it has done its work and left its handles open. */
  readonly end?: 'by itself' | 'process.exit' | 'exception'
}

export const Numbers = { key: u32, value: u64 }
export const Slots = ArrayMap.spec({ value: u32, maxEntries: 2 })

export const keyOf = (worker: number, i: number): number => worker * 0x10000 + i
export const numberOf = (worker: number, i: number): bigint => (BigInt(worker) << 32n) | BigInt(i)

/** Waits until every thread is ready to write. */
export function passGate(gate: Int32Array): void {
  Atomics.add(gate, 0, 1)
  Atomics.notify(gate, 0)
  if (Atomics.wait(gate, 1, 0, 10_000) === 'timed-out') throw new Error('the gate did not open')
}

export function write({ id, worker, count }: Pick<Job, 'id' | 'worker' | 'count'>): void {
  using map = HashMap.fromId(id, Numbers)
  for (let i = 0; i < count; i++) {
    map.set(keyOf(worker, i), numberOf(worker, i))
    // Everybody's key: whoever comes last is kept, but never a mixture.
    map.set(0xffffffff, numberOf(worker, i))
  }
}

export async function install({ id, worker, count }: Pick<Job, 'id' | 'worker' | 'count'>): Promise<void> {
  using outer = HashOfMaps.fromId(id, { key: u32, inner: Slots })
  const keys = Array.from({ length: count }, (_, i) => keyOf(worker, i))
  await Promise.all(
    keys.map((key, i) =>
      outer.setAsync(key, [
        [0, worker],
        [1, i],
      ]),
    ),
  )
}

async function run(job: Job): Promise<void> {
  const { does, id, count, gate, worker } = job
  if (does === 'open') {
    const map =
      id === 0 ? HashMap.create({ ...Numbers, name: 'of_worker', maxEntries: 8 }) : HashMap.fromId(id, Numbers)
    parentPort?.postMessage({ fd: map.fd, id: map.id })
    passGate(gate)
    if (job.end === 'process.exit') process.exit(0)
    if (job.end === 'exception') throw new Error('on purpose')
    return
  }
  if (does === 'fill') {
    // Writes for ever, until it is terminated.
    for (;;) {
      await install({ id, worker, count })
      Atomics.add(gate, 0, 1)
    }
  }
  passGate(gate)
  if (does === 'write') write(job)
  else await install(job)
}

if (parentPort !== null) void run(workerData as Job)
