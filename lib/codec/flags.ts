import type { Codec } from './codec'
import { checkConstants, nameOf, scratchFor, unknownName } from './constants'
import { shown, withPath } from './error'
import { u32 } from './integer'
import { makeCodec } from './make'

/** The three operations, once for 32-bit numbers and once for bigints. */
interface Bits<B> {
  join(a: B, b: B): B
  without(a: B, b: B): B
  covers(a: B, b: B): boolean
}

const numberBits: Bits<number> = {
  join: (a, b) => (a | b) >>> 0,
  without: (a, b) => (a & ~b) >>> 0,
  covers: (a, b) => (a & b) >>> 0 === b,
}

const bigintBits: Bits<bigint> = {
  join: (a, b) => a | b,
  without: (a, b) => a & ~b,
  covers: (a, b) => (a & b) === b,
}

/**
 * A bit set as the names of its bits: `['A', 'B']`, where `constants` is `{ A: 1, B: 2 }`.
 * `base` is the unsigned integer that stores it, `u32` unless told; a 64-bit base takes bigint constants.
 *
 * Names read in the order of their declaration, a mask of several bits when all of them are set. Bits without a name
 * read as one number after the names, and can be written so: reading and writing back changes nothing.
 * A constant of 0 can be written and is never read. An unknown name is a RangeError that lists the names.
 */
export function flagsOf<S extends Readonly<Record<string, number>>>(
  constants: S,
  base?: Codec<number>,
): Codec<readonly ((keyof S & string) | number)[]>
export function flagsOf<S extends Readonly<Record<string, bigint>>>(
  constants: S,
  base: Codec<bigint>,
): Codec<readonly ((keyof S & string) | bigint)[]>
export function flagsOf(
  constants: unknown,
  base: Codec<number> | Codec<bigint> = u32,
): Codec<readonly (string | number)[]> | Codec<readonly (string | bigint)[]> {
  const names = checkConstants<number | bigint>('flagsOf', constants, base as Codec<number | bigint>)
  const all = allOnes(base)
  return typeof all === 'bigint'
    ? flagsCodec(names as Map<string, bigint>, base as Codec<bigint>, bigintBits, 0n)
    : flagsCodec(names as Map<string, number>, base as Codec<number>, numberBits, 0)
}

/** The base with every bit set, which also tells what kind it is. */
function allOnes(base: Codec<number> | Codec<bigint>): number | bigint {
  const scratch = scratchFor(base)
  const zero = base.read(scratch, 0)
  if (typeof zero === 'bigint' || base.size <= 4) {
    for (let i = 0; i < base.size; i++) scratch.setUint8(i, 0xff)
    const all = base.read(scratch, 0)
    if (all > 0) return all
  }
  throw new TypeError(`flagsOf takes an unsigned base, u8 to u32 or u64, not ${base.name}`)
}

function flagsCodec<B extends number | bigint>(
  masks: Map<string, B>,
  base: Codec<B>,
  bits: Bits<B>,
  zero: B,
): Codec<readonly (string | B)[]> {
  const title = nameOf('flags', masks.keys())
  const readable = [...masks].filter(([, mask]) => mask !== zero)
  const scratch = scratchFor(base)

  function maskOf(flag: string | B): B {
    if (typeof flag === 'string') {
      const mask = masks.get(flag)
      if (mask === undefined) throw unknownName(flag, masks.keys())
      return mask
    }
    if (typeof flag !== 'number' && typeof flag !== 'bigint') {
      throw new TypeError(`${title} takes names and numbers, not ${shown(flag)}`)
    }
    // The base knows its range and its type: a bit operation would cut off in silence what does not fit.
    base.write(scratch, 0, flag)
    return flag
  }

  return makeCodec<readonly (string | B)[]>({
    name: title,
    size: base.size,
    align: base.align,
    shape: { kind: 'enum', values: masks, base: base as Codec<unknown> },
    write(view, offset, value) {
      if (!Array.isArray(value)) throw new TypeError(`${title} takes an array of names, not ${shown(value)}`)
      let sum = zero
      let i = 0
      try {
        for (; i < value.length; i++) sum = bits.join(sum, maskOf(value[i]))
      } catch (error) {
        throw withPath(i, error)
      }
      base.write(view, offset, sum)
    },
    read(view, offset) {
      const set = base.read(view, offset)
      const out: (string | B)[] = []
      let rest = set
      for (const [name, mask] of readable) {
        if (!bits.covers(set, mask)) continue
        out.push(name)
        rest = bits.without(rest, mask)
      }
      if (rest !== zero) out.push(rest)
      return out
    },
  })
}
