/** Many entries a call: reading a whole map, and writing a part of it. */
import { atMost, type Benchmark, fasterThan, peerSide, timed } from '../harness'
import { Cursor, ENTRIES, probes, values } from '../workload'
import { createSharedMap, openNpmMaps } from './shared-map'
import type { Peers, Suite } from './suite'

const MANY = 10_000

/** Times that a fast side reads the map in one round. */
const PASSES = 8

export const bulk: Suite = { names: ['entries', 'setMany'], benchmarks }

async function* benchmarks({ raw, npmBpf }: Peers): AsyncGenerator<Benchmark> {
  using map = createSharedMap()
  if (typeof raw !== 'string') await raw.run('open', map.id)
  const npm = openNpmMaps(npmBpf, map.id)
  const [count, countOfBpf, countBatches] = [reader(), reader(), batchReader()]
  try {
    yield {
      name: 'entries',
      what: 'each of 100,000 entries, read by iterating over the map (C: copied by batch, not looked at)',
      rounds: 11,
      baseline: 'C',
      sides: [
        peerSide('C', raw, PASSES * ENTRIES, (c) => () => c.run('entries', PASSES)),
        {
          name: 'ebpf-ts',
          operations: PASSES * ENTRIES,
          round: () => timed(() => repeat(PASSES, () => expectAll(count(map)))),
        },
        peerSide(
          'bpf',
          npm,
          ENTRIES,
          ({ conv }) =>
            () =>
              timed(() => expectAll(countOfBpf(conv.entries()))),
        ),
        peerSide(
          'bpf getBatch',
          npm,
          ENTRIES,
          ({ conv }) =>
            () =>
              timed(() => expectAll(countBatches(conv))),
        ),
      ],
      goals: [atMost(3, 'ebpf-ts', 'C'), fasterThan('bpf', 'ebpf-ts', 15)],
    }
    yield {
      name: 'setMany',
      what: 'each of 10,000 entries, written in one call',
      rounds: 21,
      baseline: 'C',
      sides: [
        peerSide('C', raw, MANY, (c) => (n) => c.run('set_many', n)),
        { name: 'ebpf-ts', operations: MANY, round: written((rows) => map.setMany(rows)) },
        peerSide('bpf', npm, MANY, ({ conv }) => written((rows) => conv.setBatch(rows))),
      ],
    }
  } finally {
    if (typeof npm !== 'string') npm[Symbol.dispose]()
  }
}

function repeat(times: number, work: () => void): void {
  for (let i = 0; i < times; i++) work()
}

/**
 * Touches each entry as a reader would. Each side has a loop of its own, as the programs would have that use it: one
 * that all of them shared would be compiled for the sum of them.
 */
function reader(): (entries: Iterable<[number, bigint]>) => number {
  return (entries) => {
    let total = 0
    for (const [key, value] of entries) if (key >= 0 && value >= 0n) total++
    return total
  }
}

function batchReader(): (map: { getBatch(size: number): Iterable<[number, bigint][]> }) => number {
  const count = reader()
  return (map) => {
    let total = 0
    for (const batch of map.getBatch(4096)) total += count(batch)
    return total
  }
}

function expectAll(total: number): void {
  if (total !== ENTRIES) throw new Error(`${total} entries were read, not ${ENTRIES}`)
}

/** Rows are made before the clock starts. */
function written(write: (rows: [number, bigint][]) => void) {
  const cursor = new Cursor()
  return (n: number): number => {
    const rows = Array.from({ length: n }, (): [number, bigint] => {
      const at = cursor.next()
      return [probes[at] as number, values[at] as bigint]
    })
    return timed(() => write(rows))
  }
}
