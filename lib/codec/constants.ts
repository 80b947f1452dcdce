import type { Codec } from './codec'
import { shown, withPath } from './error'
import { checkCodec } from './make'

/** Names and numbers as `enumOf` and `flagsOf` take them, held against the base that is to store them. */
export function checkConstants<B>(kind: string, constants: unknown, base: Codec<B>): Map<string, B> {
  try {
    checkCodec(base)
  } catch (error) {
    throw withPath('base', error)
  }
  if (typeof constants !== 'object' || constants === null || Array.isArray(constants)) {
    throw new TypeError(`${kind} takes an object of numbers by name, not ${shown(constants)}`)
  }
  const checked = new Map<string, B>()
  const scratch = scratchFor(base)
  for (const [name, value] of Object.entries(constants)) {
    try {
      base.write(scratch, 0, value)
    } catch (error) {
      throw withPath(name, error)
    }
    checked.set(name, value)
  }
  if (checked.size === 0) throw new TypeError(`${kind} takes one name at least`)
  return checked
}

export function scratchFor(codec: Codec<unknown>): DataView {
  return new DataView(new ArrayBuffer(codec.size))
}

/** `enum { TCP, UDP }`: the first names only, because some of the kernel's enums have dozens. */
export function nameOf(kind: string, names: Iterable<string>): string {
  const all = [...names]
  return `${kind} { ${all.slice(0, 4).join(', ')}${all.length > 4 ? ', ...' : ''} }`
}

/** The error for a name that is not among `names`. */
export function unknownName(value: string, names: Iterable<string>): RangeError {
  return new RangeError(`${shown(value)} is not one of ${[...names].join(', ')}`)
}
