/** What a map of maps costs on this kernel, in milliseconds: waits for RCU are of the kernel's clock, and so true in an emulated machine too. */
import { HashMap, HashOfMaps, u32 } from '../../../lib'

export interface Costs {
  /** One `set` of an entry that holds an inner map. */
  readonly set: number
  /** One look-up of an entry, up to the inner map's id. */
  readonly get: number
  /** One `setMany` of a hundred. */
  readonly setMany100: number
}

const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })

export function outerCosts(): Costs {
  using outer = HashOfMaps.create({ key: u32, maxEntries: 200, inner: Inner })
  const rows = Array.from({ length: 100 }, (_, key) => [key, [[1, 1]]] as const)
  return {
    set: median(9, (i) => outer.set(i, [[1, 1]])),
    get: median(9, (i) => outer.idOf(i)),
    setMany100: median(3, () => outer.setMany(rows)),
  }
}

function median(times: number, run: (i: number) => void): number {
  const taken = Array.from({ length: times }, (_, i) => {
    const began = performance.now()
    run(i)
    return performance.now() - began
  })
  return Number((taken.sort((a, b) => a - b)[times >> 1] ?? Number.NaN).toPrecision(2))
}
