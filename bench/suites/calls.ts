/** The loops around one map's verbs, the same for every JavaScript side. Each walks on where its last round ended. */
import { Cursor, probes, values } from '../workload'
import type { Entries } from './shared-map'

/** Runs the calls inside `measure`, which answers what they cost. */
export type Measure = (calls: () => void) => number

export function calls(map: Entries, measure: Measure) {
  const cursor = new Cursor()

  const set = (n: number): number =>
    measure(() => {
      for (let i = 0; i < n; i++) {
        const at = cursor.next()
        map.set(probes[at] as number, values[at] as bigint)
      }
    })

  return {
    get: (n: number): number =>
      measure(() => {
        for (let i = 0; i < n; i++) {
          if (map.get(probes[cursor.next()] as number) === undefined) throw new Error('an entry is missing')
        }
      }),
    set,
    /** Puts back what it deletes, outside of the measure. */
    delete: (n: number): number => {
      const first = cursor.at
      const cost = measure(() => {
        for (let i = 0; i < n; i++) {
          if (!map.delete(probes[cursor.next()] as number)) throw new Error('an entry is missing')
        }
      })
      cursor.at = first
      set(n)
      return cost
    },
  }
}
