import { type Codec, i8, i16, i32, i64, u8, u16, u32, u64 } from '../../codec'
import { shown } from '../../codec/error'
import { LITTLE_ENDIAN, unfitNumber } from '../../codec/integer'
import { makeCodec } from '../../codec/make'

/** What an integer is written and read by: numbers up to 32 bits, bigints above. */
export type IntegerCodec = Codec<number> | Codec<bigint>

/** The error for an integer of so many bits that was given `value`, in the words of the codecs of a whole 8, 16, 32, 64. */
export function unfit(name: string, bits: number, signed: boolean, value: unknown, wide: boolean): Error {
  const min = signed ? -(1n << BigInt(bits - 1)) : 0n
  const max = min + (1n << BigInt(bits)) - 1n
  if (!wide) return unfitNumber(name, Number(min), Number(max), value)
  if (typeof value === 'bigint') return new RangeError(`${value}n is out of range for ${name} (${min} to ${max})`)
  if (Number.isSafeInteger(value)) return new TypeError(`${name} takes a bigint: write ${value}n`)
  return new TypeError(`${name} takes a bigint, not ${shown(value)}`)
}

/** __int128: two halves of 64 bits. */
function integer128(name: string, signed: boolean): Codec<bigint> {
  const [low, high] = LITTLE_ENDIAN ? [0, 8] : [8, 0]
  return makeCodec<bigint>({
    name,
    size: 16,
    align: 16,
    write(view, offset, value) {
      const fits =
        typeof value === 'bigint' && (signed ? BigInt.asIntN(128, value) : BigInt.asUintN(128, value)) === value
      if (!fits) throw unfit(name, 128, signed, value, true)
      // Both setters take what they are given modulo 2^64.
      view.setBigUint64(offset + low, value, LITTLE_ENDIAN)
      view.setBigUint64(offset + high, value >> 64n, LITTLE_ENDIAN)
    },
    read(view, offset) {
      const upper = signed
        ? view.getBigInt64(offset + high, LITTLE_ENDIAN)
        : view.getBigUint64(offset + high, LITTLE_ENDIAN)
      return (upper << 64n) | view.getBigUint64(offset + low, LITTLE_ENDIAN)
    },
  })
}

const UNSIGNED: ReadonlyMap<number, IntegerCodec> = new Map<number, IntegerCodec>([
  ...([
    [1, u8],
    [2, u16],
    [4, u32],
    [8, u64],
  ] as const),
  [16, integer128('u128', false)],
])
const SIGNED: ReadonlyMap<number, IntegerCodec> = new Map<number, IntegerCodec>([
  ...([
    [1, i8],
    [2, i16],
    [4, i32],
    [8, i64],
  ] as const),
  [16, integer128('i128', true)],
])

/** The machine's integer of so many bytes; undefined where there is none. */
export function integerOf(size: number, signed: boolean): IntegerCodec | undefined {
  return (signed ? SIGNED : UNSIGNED).get(size)
}

/** The same scalar in the other byte order, for BTF of another machine. */
export function reversed<T>(codec: Codec<T>): Codec<T> {
  const { size } = codec
  if (size === 1) return codec
  const scratch = new DataView(new ArrayBuffer(size))
  return makeCodec<T>({
    name: `${codec.name} ${LITTLE_ENDIAN ? 'big-endian' : 'little-endian'}`,
    size,
    align: codec.align,
    write(view, offset, value) {
      codec.write(scratch, 0, value)
      for (let i = 0; i < size; i++) view.setUint8(offset + i, scratch.getUint8(size - 1 - i))
    },
    read(view, offset) {
      for (let i = 0; i < size; i++) scratch.setUint8(i, view.getUint8(offset + size - 1 - i))
      return codec.read(scratch, 0)
    },
  })
}
