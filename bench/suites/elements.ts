/** One entry a call: what koffi and the codecs add to the system call. */
import { atMost, type Benchmark, fasterThan, peerSide, timed } from '../harness'
import { koffiEntries } from '../peers/koffi'
import { calls } from './calls'
import { createSharedMap, openNpmMaps } from './shared-map'
import type { Peers, Suite } from './suite'

const OPERATIONS = 10_000

const VERBS = {
  get: 'one lookup in a HASH u32 → u64 of 100,000 entries',
  set: 'one update of a present entry',
  delete: 'one deletion of a present entry',
}

export const elements: Suite = { names: Object.keys(VERBS), benchmarks }

async function* benchmarks({ raw, npmBpf }: Peers): AsyncGenerator<Benchmark> {
  using map = createSharedMap()
  if (typeof raw !== 'string') await raw.run('open', map.id)
  const npm = openNpmMaps(npmBpf, map.id)
  try {
    const ours = calls(map, timed)
    const bare = calls(koffiEntries(map.fd), timed)
    const conv = typeof npm === 'string' ? npm : calls(npm.conv, timed)
    const bytes = typeof npm === 'string' ? npm : calls(npm.raw, timed)
    for (const verb of Object.keys(VERBS) as (keyof typeof VERBS)[]) {
      yield {
        name: verb,
        what: VERBS[verb],
        rounds: 61,
        baseline: 'C',
        sides: [
          peerSide('C', raw, OPERATIONS, (c) => (n) => c.run(verb, n)),
          { name: 'ebpf-ts', operations: OPERATIONS, round: ours[verb] },
          { name: 'koffi alone', operations: OPERATIONS, round: bare[verb] },
          peerSide('bpf', conv, OPERATIONS, (side) => side[verb]),
          peerSide('bpf raw', bytes, OPERATIONS, (side) => side[verb]),
        ],
        goals: [atMost(1.25, 'ebpf-ts', 'C'), fasterThan('bpf', 'ebpf-ts'), fasterThan('bpf raw', 'ebpf-ts')],
      }
    }
  } finally {
    if (typeof npm !== 'string') npm[Symbol.dispose]()
  }
}
