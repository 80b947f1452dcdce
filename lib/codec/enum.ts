import type { Codec } from './codec'
import { checkConstants, nameOf, unknownName } from './constants'
import { shown } from './error'
import { u32 } from './integer'
import { makeCodec } from './make'

/**
 * An integer whose values have names: reads and writes `'TCP'`, where `constants` is `{ TCP: 6, UDP: 17 }`.
 * `base` is the integer that stores it, `u32` as C has it; a 64-bit base takes bigint constants.
 *
 * A number without a name reads as that number, and numbers can be written, so that what a newer kernel says
 * survives. Where two names have one number, it reads as the first of them. Writing a name that is not there
 * is a RangeError that lists those that are.
 */
export function enumOf<S extends Readonly<Record<string, number>>>(
  constants: S,
  base?: Codec<number>,
): Codec<(keyof S & string) | number>
export function enumOf<S extends Readonly<Record<string, bigint>>>(
  constants: S,
  base: Codec<bigint>,
): Codec<(keyof S & string) | bigint>
export function enumOf(constants: unknown, base: Codec<number> | Codec<bigint> = u32): Codec<string | number | bigint> {
  const integer = base as Codec<number | bigint>
  const values = checkConstants('enumOf', constants, integer)
  const names = new Map<number | bigint, string>()
  for (const [name, value] of values) if (!names.has(value)) names.set(value, name)
  const title = nameOf('enum', values.keys())
  return makeCodec<string | number | bigint>({
    name: title,
    size: integer.size,
    align: integer.align,
    shape: { kind: 'enum', values, base: integer as Codec<unknown> },
    write(view, offset, value) {
      if (typeof value === 'string') {
        const number = values.get(value)
        if (number === undefined) throw unknownName(value, values.keys())
        integer.write(view, offset, number)
      } else if (typeof value === 'number' || typeof value === 'bigint') {
        integer.write(view, offset, value)
      } else {
        throw new TypeError(`${title} takes a name or a number, not ${shown(value)}`)
      }
    },
    read(view, offset) {
      const number = integer.read(view, offset)
      return names.get(number) ?? number
    },
  })
}
