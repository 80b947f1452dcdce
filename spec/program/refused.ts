/** What the specs of refused programs share. */
import { expect } from 'chai'
import { bpf, type Code, HashMap, Program, type ProgramOptions, u32, u64, VerifierError } from '../../lib'
import type { FeatureQuestion } from '../../lib/features'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'

export type Refused = Partial<Omit<ProgramOptions, 'code'>>

/** The error of a program that the verifier of this kernel refuses. */
export function refusalOf(code: ProgramOptions['code'], options: Refused = {}): VerifierError {
  const error = errorOf(() => Program.load({ type: 'xdp', name: 'refused', code, ...options }).close())
  expect(error, error.message).to.be.instanceOf(VerifierError)
  return error as VerifierError
}

/** Of a program that begins with r1 = 0: behind what is said of its types and registers, its first instruction. */
export const FROM_THE_START = /^(?:(?!\d+: \().*\n)*0: \(b7\) r1 = 0/

/** A program that is refused, and what is said of it. */
export interface Case {
  readonly what: string
  readonly code: () => Code
  readonly options?: Refused
  /** What the hint says. */
  readonly hint: RegExp
  /** The instruction that is refused. */
  readonly at?: number
  /** What the kernel must have for it. */
  readonly feature?: FeatureQuestion
}

/** A spec for each. */
export function explains(cases: readonly Case[]): void {
  for (const { what, code, options, hint, at, feature } of cases) {
    it(`explains: ${what}`, function () {
      if (feature !== undefined) requireFeature(this, ...feature)
      const error = refusalOf(code(), options)
      expect(error.hint, error.log).to.match(hint)
      expect(error.message).to.include(error.hint as string)
      if (at !== undefined) expect(error.instruction?.index, error.log).to.equal(at)
    })
  }
}

/** For a suite: a map, and code that looks an entry of it up. */
export function useTable(): { readonly map: HashMap<number, bigint>; lookup(): Code } {
  let map: HashMap<number, bigint>
  before(function () {
    requireRoot(this)
    map = HashMap.create({ name: 'table', key: u32, value: u64, maxEntries: 1 })
  })
  after(() => map?.close())
  return {
    get map() {
      return map
    },
    /** r0 = the entry of key 0, or null; r6 = the context */
    lookup: () => bpf`
      r6 = r1
      *(u32 *)(r10 - 4) = 0
      r1 = ${map} ll
      r2 = r10
      r2 += -4
      call bpf_map_lookup_elem`,
  }
}
