/** Bytes that one call leaves behind for the garbage collector. */
import { type Benchmark, noMoreThan, peerSide } from '../harness'
import { allocated } from './allocated'
import { calls } from './calls'
import { createSharedMap, openNpmMaps } from './shared-map'
import type { Peers, Suite } from './suite'

/** Few enough that no collection comes in between: the young generation begins with 1 MiB. */
const OPERATIONS = 1_000

/** A bigint of 64 bits: map, bitfield, one digit. */
const BIGINT = 24

const LIMITS = { get: BIGINT, set: 0, delete: 0 }
const nameOf = (verb: string): string => `allocation of ${verb}`

export const allocation: Suite = { names: Object.keys(LIMITS).map(nameOf), benchmarks }

async function* benchmarks({ npmBpf }: Peers): AsyncGenerator<Benchmark> {
  using map = createSharedMap()
  const npm = openNpmMaps(npmBpf, map.id)
  try {
    const measure = allocated()
    const ours = calls(map, measure)
    const conv = typeof npm === 'string' ? npm : calls(npm.conv, measure)
    const bytes = typeof npm === 'string' ? npm : calls(npm.raw, measure)
    for (const verb of Object.keys(LIMITS) as (keyof typeof LIMITS)[]) {
      yield {
        name: nameOf(verb),
        what: `bytes that one ${verb} allocates, in steady state`,
        unit: 'bytes',
        warmUp: 100,
        rounds: 101,
        sides: [
          { name: 'ebpf-ts', operations: OPERATIONS, round: ours[verb] },
          peerSide('bpf', conv, OPERATIONS, (side) => side[verb]),
          peerSide('bpf raw', bytes, OPERATIONS, (side) => side[verb]),
        ],
        goals: [noMoreThan(LIMITS[verb], 'bytes', 'ebpf-ts')],
      }
    }
  } finally {
    if (typeof npm !== 'string') npm[Symbol.dispose]()
  }
}
