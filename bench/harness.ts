/**
 * Rounds of all sides alternate, in an order that is drawn anew for each turn: what one side leaves in the caches,
 * the next finds, and no side may always be the next. Ratios are taken between rounds of the same turn: on a machine
 * whose speed drifts, a ratio of neighbours says more than a ratio of two averages. Nothing here asserts anything.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { median, spread } from './statistics'

/**
 * Does `operations` operations and answers what they cost, in the benchmark's unit: nanoseconds by its own clock, or
 * bytes.
 */
export type Round = (operations: number) => number | Promise<number>

export type Unit = 'ns' | 'bytes'

export interface Side {
  name: string
  /** Operations in one round; a round should take some 10 ms or more. */
  operations: number
  round: Round
}

/** A side that cannot run on this machine, and why. */
export interface AbsentSide {
  name: string
  absent: string
}

export interface Benchmark {
  name: string
  /** What is done, in one line. */
  what: string
  /** What a figure is: `ns` unless told. */
  unit?: Unit
  rounds: number
  /** Rounds before the first that counts: the optimising compiler and the caches settle. */
  warmUp?: number
  /**
   * Each round begins after a random time of up to so many milliseconds, out of step with the clock ticks that the
   * last one waited for.
   */
  pause?: number
  sides: readonly (Side | AbsentSide)[]
  /** The side that the ratios are taken to; the figures stand alone without. */
  baseline?: string
  goals?: readonly Goal[]
}

export interface Goal {
  text: string
  /** The figure that is held against the goal; undefined where a side is absent. */
  measure(result: Result): number | undefined
  met(figure: number): boolean
}

export interface SideResult {
  name: string
  /** One figure an operation, for each round. */
  samples: number[]
  median: number
  spread: number
  /** Median of the ratios to the baseline's round of the same turn. */
  ratio?: number
}

export interface GoalResult {
  text: string
  figure: number | undefined
  met: boolean | undefined
}

export interface Result {
  name: string
  what: string
  unit: Unit
  baseline: string | undefined
  sides: (SideResult | AbsentSide)[]
  goals: GoalResult[]
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void

export async function run(benchmark: Benchmark, quick: boolean): Promise<Result> {
  const present = benchmark.sides.filter((side): side is Side => 'round' in side)
  const samples = new Map<string, number[]>(present.map((side) => [side.name, []]))
  const turns = quick ? Math.min(5, benchmark.rounds) : benchmark.rounds
  const warmUp = benchmark.warmUp ?? 3
  const random = randomNumbers()
  for (let turn = -warmUp; turn < turns; turn++) {
    for (const side of shuffled(present, random)) {
      // No side pays for the garbage of the one before. A major collection would also throw compiled code away.
      collectGarbage({ type: 'minor' })
      if (benchmark.pause) await sleep(random() * benchmark.pause)
      const cost = await side.round(side.operations)
      if (turn >= 0) samples.get(side.name)?.push(cost / side.operations)
    }
  }
  return resultOf(benchmark, samples)
}

/** Numbers in [0, 1), the same in every run: mulberry32. */
function randomNumbers(): () => number {
  let state = 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

function resultOf(benchmark: Benchmark, samples: Map<string, number[]>): Result {
  const base = benchmark.baseline === undefined ? undefined : samples.get(benchmark.baseline)
  const result: Result = {
    name: benchmark.name,
    what: benchmark.what,
    unit: benchmark.unit ?? 'ns',
    baseline: benchmark.baseline,
    sides: benchmark.sides.map((side) => {
      if ('absent' in side) return side
      const own = samples.get(side.name) ?? []
      const figures = { name: side.name, samples: own, median: median(own), spread: spread(own) }
      return base ? { ...figures, ratio: pairedRatio(own, base) } : figures
    }),
    goals: [],
  }
  result.goals = (benchmark.goals ?? []).map((goal) => {
    const figure = goal.measure(result)
    return { text: goal.text, figure, met: figure === undefined ? undefined : goal.met(figure) }
  })
  return result
}

/** The median, over the turns, of one side's figure by the other's. */
export function pairedRatio(side: readonly number[], other: readonly number[]): number {
  return median(side.map((figure, turn) => figure / (other[turn] as number)))
}

export function sideOf(result: Result, name: string): SideResult | undefined {
  return result.sides.find((side): side is SideResult => side.name === name && 'samples' in side)
}

function ratioOf(result: Result, name: string, other: string): number | undefined {
  const [a, b] = [sideOf(result, name), sideOf(result, other)]
  return a && b ? pairedRatio(a.samples, b.samples) : undefined
}

/** `side` takes at most `limit` times what `other` takes. */
export function atMost(limit: number, side: string, other: string): Goal {
  return {
    text: `${side} ≤ ${limit} × ${other}`,
    measure: (result) => ratioOf(result, side, other),
    met: (ratio) => ratio <= limit,
  }
}

/** `other` takes at least `times` what `side` takes. */
export function fasterThan(other: string, side: string, times = 1): Goal {
  return {
    text: times === 1 ? `${side} faster than ${other}` : `${side} ≥ ${times} × faster than ${other}`,
    measure: (result) => ratioOf(result, other, side),
    met: (ratio) => (times === 1 ? ratio > 1 : ratio >= times),
  }
}

/** `side` itself costs at most `limit`, in the benchmark's unit. */
export function noMoreThan(limit: number, unit: Unit, side: string): Goal {
  return {
    text: `${side} ≤ ${limit} ${unit}`,
    measure: (result) => sideOf(result, side)?.median,
    met: (figure) => figure <= limit,
  }
}

/** A side that takes part where its peer is there. */
export function peerSide<P extends object>(
  name: string,
  peer: P | string,
  operations: number,
  roundOf: (peer: P) => Round,
): Side | AbsentSide {
  return typeof peer === 'string' ? { name, absent: peer } : { name, operations, round: roundOf(peer) }
}

/** Times the work by the monotonic clock. */
export function timed(work: () => void): number {
  const start = process.hrtime.bigint()
  work()
  return Number(process.hrtime.bigint() - start)
}
