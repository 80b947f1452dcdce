import type { Codec } from './codec'
import { shown } from './error'
import { LITTLE_ENDIAN, unfitNumber } from './integer'
import { makeCodec } from './make'

const BIG = false
const TWO_32 = 0x1_0000_0000
const MAX = Number.MAX_SAFE_INTEGER

/** The error for a bigint codec that was given `value`; `twin` is the codec for numbers, where there is one. */
function unfitBigint(name: string, min: bigint, max: bigint, value: unknown, twin?: string): TypeError | RangeError {
  if (typeof value === 'bigint') return new RangeError(`${value}n is out of range for ${name} (${min} to ${max})`)
  if (typeof value !== 'number') return new TypeError(`${name} takes a bigint, not ${shown(value)}`)
  const or = twin === undefined ? '' : `, or use the codec ${twin}`
  return Number.isSafeInteger(value)
    ? new TypeError(`${name} takes a bigint: write ${value}n${or}`)
    : new TypeError(`${name} takes a bigint, not the number ${value}`)
}

function unsigned64(name: string, littleEndian: boolean, twin: string): Codec<bigint> {
  return makeCodec({
    name,
    size: 8,
    align: 8,
    shape: { kind: 'int', name: 'u64', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      // asUintN(64) compiles to a plain 64-bit truncation: cheaper than two comparisons of bigints.
      if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) {
        throw unfitBigint(name, 0n, 0xffff_ffff_ffff_ffffn, value, twin)
      }
      view.setBigUint64(offset, value, littleEndian)
    },
    read: (view, offset) => view.getBigUint64(offset, littleEndian),
  })
}

function signed64(name: string, littleEndian: boolean, twin?: string): Codec<bigint> {
  return makeCodec({
    name,
    size: 8,
    align: 8,
    shape: { kind: 'int', name: 'i64', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) {
        throw unfitBigint(name, -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, value, twin)
      }
      view.setBigInt64(offset, value, littleEndian)
    },
    read: (view, offset) => view.getBigInt64(offset, littleEndian),
  })
}

/** A 64-bit integer as a number: two 32-bit halves, and no bigint made on the way. */
function safe64(name: string, min: number, littleEndian: boolean, twin: string): Codec<number> {
  const high = littleEndian ? 4 : 0
  const low = 4 - high
  const signed = min < 0
  return makeCodec({
    name,
    size: 8,
    align: 8,
    shape: { kind: 'int', name: signed ? 'i64' : 'u64', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > MAX) {
        throw typeof value === 'bigint'
          ? new TypeError(`${name} takes a number: write ${value}, or use the codec ${twin}`)
          : unfitNumber(name, min, MAX, value)
      }
      // Both are modulo 2^32, also of a negative value: -1 is ffffffff ffffffff.
      view.setUint32(offset + high, Math.floor(value / TWO_32), littleEndian)
      view.setUint32(offset + low, value, littleEndian)
    },
    read(view, offset) {
      const top = signed ? view.getInt32(offset + high, littleEndian) : view.getUint32(offset + high, littleEndian)
      const value = top * TWO_32 + view.getUint32(offset + low, littleEndian)
      if (value > MAX || value < -MAX) {
        const exact = signed ? view.getBigInt64(offset, littleEndian) : view.getBigUint64(offset, littleEndian)
        throw new RangeError(`${exact} is out of range for ${name} (${min} to ${MAX}): use the codec ${twin}`)
      }
      return value
    },
  })
}

/** Unsigned 64 bits in the machine's byte order, as a bigint. A number is a TypeError: see `u64n`. */
export const u64: Codec<bigint> = unsigned64('u64', LITTLE_ENDIAN, 'u64n')
/** Unsigned 64 bits in network order, as a bigint. */
export const u64be: Codec<bigint> = unsigned64('u64be', BIG, 'u64nbe')
/** Signed 64 bits in the machine's byte order, as a bigint. A number is a TypeError: see `i64n`. */
export const i64: Codec<bigint> = signed64('i64', LITTLE_ENDIAN, 'i64n')
/** Signed 64 bits in network order, as a bigint. */
export const i64be: Codec<bigint> = signed64('i64be', BIG)
/** Unsigned 64 bits in the machine's byte order, as a number: RangeError past 2^53 - 1, written or read. */
export const u64n: Codec<number> = safe64('u64n', 0, LITTLE_ENDIAN, 'u64')
/** Unsigned 64 bits in network order, as a number: RangeError past 2^53 - 1, written or read. */
export const u64nbe: Codec<number> = safe64('u64nbe', 0, BIG, 'u64be')
/** Signed 64 bits in the machine's byte order, as a number: RangeError past ±(2^53 - 1), written or read. */
export const i64n: Codec<number> = safe64('i64n', -MAX, LITTLE_ENDIAN, 'i64')
