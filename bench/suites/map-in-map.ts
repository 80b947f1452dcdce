/**
 * Inner maps: made, filled, installed in an outer map and let go. Up to Linux 6.18 each write to the outer map waits
 * for an RCU grace period.
 */
import { HashMap, HashOfMaps, u32 } from '../../lib/index'
import { atMost, type Benchmark, fasterThan, peerSide, timed } from '../harness'
import { INNER_MAX_ENTRIES, OUTER_MAX_ENTRIES } from '../workload'
import type { Peers, Suite } from './suite'

/** Single writes in a round: enough for the average of some grace periods. */
const SINGLE = 8

export const mapInMap: Suite = { names: ['map-in-map'], benchmarks }

async function* benchmarks({ raw }: Peers): AsyncGenerator<Benchmark> {
  using outer = HashOfMaps.create({
    name: 'bench_outer',
    key: u32,
    maxEntries: OUTER_MAX_ENTRIES,
    inner: HashMap.spec({ key: u32, value: u32, maxEntries: INNER_MAX_ENTRIES }),
  })
  const rows: [number, number][] = [[12, 34]]
  const many = Array.from({ length: OUTER_MAX_ENTRIES }, (_, key): [number, [number, number][]] => [key, rows])

  yield {
    name: 'map-in-map',
    what: 'one inner map made, filled and installed: 256 by one setMany, or one by one',
    rounds: 31,
    pause: 20,
    baseline: 'C',
    sides: [
      peerSide('C', raw, OUTER_MAX_ENTRIES, (c) => (n) => c.run('outer_batch', n)),
      { name: 'ebpf-ts', operations: OUTER_MAX_ENTRIES, round: () => timed(() => outer.setMany(many)) },
      peerSide('C, one by one', raw, SINGLE, (c) => (n) => c.run('outer_single', n)),
      { name: 'ebpf-ts, one by one', operations: SINGLE, round: singly((key) => outer.set(key, rows)) },
    ],
    goals: [atMost(1.5, 'ebpf-ts', 'C'), fasterThan('ebpf-ts, one by one', 'ebpf-ts', 50)],
  }
}

function singly(set: (key: number) => void) {
  return (n: number): number =>
    timed(() => {
      for (let key = 0; key < n; key++) set(key)
    })
}
