import type { Codec } from '../../codec'
import { makeCodec } from '../../codec/make'
import { type IntegerCodec, unfit } from './integer'

/** Where the bits of a field are, and how they are to be taken. */
export interface BitField {
  /** From the first byte on: the lowest bit is 0 in little-endian BTF, the highest in big-endian. Below 8. */
  readonly shift: number
  readonly bits: number
  readonly signed: boolean
  /** Whether the declared type has more than 32 bits, so that values are bigints. */
  readonly wide: boolean
  readonly littleEndian: boolean
}

/**
 * A bit field, as what its declared type reads as. Its bytes are those that it has bits in; writing leaves the bits of its
 * neighbours alone, so that whoever owns the bytes has to set them to zero first.
 */
export function bitField(field: BitField): IntegerCodec {
  return field.wide || field.shift + field.bits > 32 ? viaBigint(field) : viaNumber(field)
}

function titleOf({ bits, signed }: BitField): string {
  return `${signed ? 'i' : 'u'}${bits}`
}

/** How many bytes it has bits in, and how far from their lowest bit its own lowest is. */
function placeOf({ shift, bits, littleEndian }: BitField): { bytes: number; down: number } {
  const bytes = Math.ceil((shift + bits) / 8)
  return { bytes, down: littleEndian ? shift : bytes * 8 - shift - bits }
}

/** Up to four bytes: 32-bit arithmetic. */
function viaNumber(field: BitField): Codec<number> {
  const { bits, signed, littleEndian } = field
  const { bytes, down } = placeOf(field)
  const name = titleOf(field)
  const mask = bits === 32 ? 0xffff_ffff : 2 ** bits - 1
  const unused = 32 - bits
  const cut = signed ? (x: number) => (x << unused) >> unused : (x: number) => (x & mask) >>> 0

  function load(view: DataView, offset: number): number {
    let x = 0
    for (let i = 0; i < bytes; i++) x = (x << 8) | view.getUint8(offset + (littleEndian ? bytes - 1 - i : i))
    return x
  }

  return makeCodec<number>({
    name,
    size: bytes,
    align: 1,
    write(view, offset, value) {
      if (typeof value !== 'number' || cut(value) !== value) throw unfit(name, bits, signed, value, false)
      let x = (load(view, offset) & ~(mask << down)) | ((value & mask) << down)
      for (let i = 0; i < bytes; i++, x >>>= 8) view.setUint8(offset + (littleEndian ? i : bytes - 1 - i), x & 0xff)
    },
    read: (view, offset) => cut(load(view, offset) >>> down),
  })
}

/** Any number of bytes; values are bigints, or numbers where the declared type has up to 32 bits. */
function viaBigint(field: BitField): IntegerCodec {
  const { bits, signed, wide, littleEndian } = field
  const { bytes, down } = placeOf(field)
  const name = titleOf(field)
  const shift = BigInt(down)
  const mask = (1n << BigInt(bits)) - 1n
  const cut = (x: bigint) => (signed ? BigInt.asIntN(bits, x) : BigInt.asUintN(bits, x))

  function load(view: DataView, offset: number): bigint {
    let x = 0n
    for (let i = 0; i < bytes; i++) x = (x << 8n) | BigInt(view.getUint8(offset + (littleEndian ? bytes - 1 - i : i)))
    return x
  }

  const codec = makeCodec<bigint | number>({
    name,
    size: bytes,
    align: 1,
    write(view, offset, value) {
      const whole = typeof value === (wide ? 'bigint' : 'number') && (wide || Number.isInteger(value))
      if (!whole || cut(BigInt(value)) !== BigInt(value)) throw unfit(name, bits, signed, value, wide)
      let x = (load(view, offset) & ~(mask << shift)) | ((BigInt(value) & mask) << shift)
      for (let i = 0; i < bytes; i++, x >>= 8n) {
        view.setUint8(offset + (littleEndian ? i : bytes - 1 - i), Number(x & 0xffn))
      }
    },
    read(view, offset) {
      const value = cut(load(view, offset) >> shift)
      return wide ? value : Number(value)
    },
  })
  return codec as IntegerCodec
}
