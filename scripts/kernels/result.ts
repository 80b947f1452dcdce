/** What a run on one kernel came to. */
import type { Costs } from './guest/costs'
import type { GuestRecord } from './guest/records'

export interface KernelResult {
  readonly asked: string
  readonly architecture: string
  /** As the guest said it; undefined where it never came so far. */
  release: string | undefined
  node: string | undefined
  passed: number
  readonly failed: { readonly title: string; readonly error: string }[]
  readonly pending: { readonly title: string; readonly reason: string }[]
  /** What failed, and was tried again. */
  readonly retried: { readonly title: string; readonly error: string }[]
  /** Seconds until Node.js ran, of mocha, and of all. */
  bootSeconds: number
  specSeconds: number
  seconds: number
  features: unknown
  /** What a map of maps costs there. */
  costs: Costs | undefined
  /** Why the run as a whole failed, or did not take place. */
  problem: string | undefined
  /** What became of earlier guests of this run, whose machine died under them. */
  died: string[]
  readonly slowest: { readonly title: string; readonly ms: number }[]
}

/** Takes a guest's records in, and checks at the end that all have come. */
export class Collector {
  readonly result: KernelResult
  #counts: { passed: number; failed: number; pending: number } | undefined
  #code: number | null | undefined

  constructor(asked: string, architecture: string) {
    this.result = {
      asked,
      architecture,
      release: undefined,
      node: undefined,
      passed: 0,
      failed: [],
      pending: [],
      retried: [],
      bootSeconds: 0,
      specSeconds: 0,
      seconds: 0,
      features: undefined,
      costs: undefined,
      problem: undefined,
      died: [],
      slowest: [],
    }
  }

  take(record: GuestRecord): void {
    const { result } = this
    switch (record.kind) {
      case 'start':
        result.release = record.release
        result.node = record.node
        result.bootSeconds = record.seconds
        break
      case 'passed':
        result.passed++
        result.slowest.push({ title: record.title, ms: record.ms })
        break
      case 'pending':
        result.pending.push(record)
        break
      case 'failed':
        result.failed.push(record)
        break
      case 'retried':
        result.retried.push(record)
        break
      case 'end':
        this.#counts = record
        break
      case 'features':
        result.features = record.report
        break
      case 'costs':
        result.costs = record.costs
        break
      case 'done':
        this.#code = record.code
        result.specSeconds = record.seconds
    }
  }

  /** Whether the guest told that it was done: one that did not died under its specs, or before them. */
  get isDone(): boolean {
    return this.#code !== undefined
  }

  /** The result, once the guest has ended. */
  finish(seconds: number, problem?: string): KernelResult {
    const { result } = this
    result.seconds = seconds
    result.problem = problem ?? this.#missing()
    result.slowest.sort((a, b) => b.ms - a.ms).splice(5)
    return result
  }

  #missing(): string | undefined {
    const { release, passed, failed, pending, features, costs } = this.result
    if (release === undefined) return 'the guest never came to Node.js'
    const counts = this.#counts
    if (counts === undefined) return 'the specs did not come to their end'
    const lost = counts.passed + counts.failed + counts.pending - passed - failed.length - pending.length
    if (lost > 0) return `${lost} results were lost on the console`
    if (this.#code === undefined) return 'the guest ended before it was done'
    // mocha's exit code is the number of failures: anything else is a failure outside of the specs.
    if (this.#code !== Math.min(counts.failed, 255)) return `mocha ended with ${this.#code}`
    if (passed === 0) return 'no spec has run'
    return features === undefined || costs === undefined ? 'the guest could not tell what its kernel has' : undefined
  }
}

export function isGood({ problem, failed }: KernelResult): boolean {
  return problem === undefined && failed.length === 0
}
