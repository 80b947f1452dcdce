import type { Btf } from '../btf'
import type { BtfKind, BtfType } from '../types'

/** What a name may mean: the first of these that there is. */
type Order = readonly BtfKind[]

/** For C: what describes itself before what is only another name. */
export const C_ORDER: Order = [
  ...(['struct', 'union', 'enum', 'enum64', 'typedef', 'fwd', 'func', 'var', 'datasec', 'int', 'float'] as const),
]

/** For values: as codecOf has it, as C has typedefs and basic types by their name alone. */
export const VALUE_ORDER: Order = ['typedef', 'struct', 'union', 'enum', 'enum64', 'int', 'float', 'datasec', 'var']

/** The type of that name, or of that id. Throws BtfError with code ENOENT where there is none of that name. */
export function typeCalled(btf: Btf, what: string | number, order: Order): BtfType {
  if (typeof what === 'number') return btf.type(what)
  if (typeof what !== 'string') {
    throw new TypeError(`a type is told by its name or its id, not by ${what === null ? 'null' : typeof what}`)
  }
  for (const kind of order) {
    const found = btf.find(what, kind)
    if (found !== undefined) return found
  }
  return btf.require(what)
}
