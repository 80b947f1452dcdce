import { bool, type Codec, enumOf, f32, f64, mapped } from '../../codec'
import { shown } from '../../codec/error'
import { LITTLE_ENDIAN } from '../../codec/integer'
import type { Btf } from '../btf'
import type { BtfEnum, BtfEnum64, BtfFloat, BtfInt } from '../types'
import { type BitField, bitField } from './bits'
import { type IntegerCodec, integerOf, reversed } from './integer'

/** What integers, and bit fields of them, are written by: undefined where there is no such integer. */
type Base = (signed: boolean) => IntegerCodec | undefined

/** Whole integers of so many bytes, in the byte order of the BTF. */
function whole(btf: Btf, size: number): Base {
  return (signed) => {
    const codec = integerOf(size, signed)
    return codec === undefined ? undefined : (inOrder(btf, codec as Codec<unknown>) as IntegerCodec)
  }
}

function inOrder<T>(btf: Btf, codec: Codec<T>): Codec<T> {
  return (btf.byteOrder === 'little') === LITTLE_ENDIAN ? codec : reversed(codec)
}

export function intCodec(btf: Btf, type: BtfInt): Codec<unknown> | undefined {
  if (type.encoding === 'bool' && type.size === 1) return bool as Codec<unknown>
  return asInt(type, whole(btf, type.size))
}

export function enumCodec(btf: Btf, type: BtfEnum | BtfEnum64): Codec<unknown> | undefined {
  return asEnum(type, type.size * 8, whole(btf, type.size))
}

/** DataView knows floats of 4 and 8 bytes: not those of 2, and not long double. */
export function floatCodec(btf: Btf, { size }: BtfFloat): Codec<unknown> | undefined {
  if (size !== 4 && size !== 8) return undefined
  return inOrder(btf, size === 4 ? f32 : f64) as Codec<unknown>
}

/** A pointer, as the address that it is. Always a bigint, so that code does not depend on the machine. */
export function pointerCodec(btf: Btf): Codec<unknown> {
  const address = whole(btf, btf.pointerSize)(false) as Codec<unknown>
  if (btf.pointerSize === 8) return address
  const narrow = address as Codec<number>
  return mapped<number, bigint>(narrow, BigInt, numberOf, 'pointer') as Codec<unknown>
}

/** Anything but a bigint of 32 bits is left for u32 to refuse. */
function numberOf(value: bigint): number {
  if (typeof value !== 'bigint') throw new TypeError(`a pointer takes a bigint, not ${shown(value)}`)
  return Number(value)
}

/** The bits that a bit field of such a type has; `bitOffset` is from the start of its first byte. */
export function bitsCodec(
  btf: Btf,
  type: BtfInt | BtfEnum | BtfEnum64,
  { bitOffset, bits }: { readonly bitOffset: number; readonly bits: number },
): Codec<unknown> | undefined {
  const place: Omit<BitField, 'signed'> = {
    shift: bitOffset,
    bits,
    wide: type.size > 4,
    littleEndian: btf.byteOrder === 'little',
  }
  const base: Base = (signed) => bitField({ ...place, signed })
  return type.kind === 'int' ? asInt(type, base) : asEnum(type, bits, base)
}

function asInt({ encoding }: BtfInt, base: Base): Codec<unknown> | undefined {
  // Whether `char` has a sign is the machine's affair: BTF says 'signed' where it has.
  const integer = base(encoding === 'signed') as Codec<unknown> | undefined
  return integer !== undefined && encoding === 'bool' ? booleanOf(integer) : integer
}

/** A bool in a bit field, or of more than a byte. */
function booleanOf(integer: Codec<unknown>): Codec<unknown> {
  const zero = integer.read(new DataView(new ArrayBuffer(integer.size)), 0)
  const [no, yes] = typeof zero === 'bigint' ? [0n, 1n] : [0, 1]
  const toInteger = (value: boolean) => {
    if (typeof value !== 'boolean') throw new TypeError(`bool takes true or false, not ${shown(value)}`)
    return value ? yes : no
  }
  return mapped<unknown, boolean>(integer, (value) => value !== no, toInteger, 'bool') as Codec<unknown>
}

/** By name where a value has one. What does not fit, as in a bit field that is too narrow for it, cannot be there. */
function asEnum(type: BtfEnum | BtfEnum64, bits: number, base: Base): Codec<unknown> | undefined {
  const signed = type.signed || isSignedUnsaid(type, bits)
  const integer = base(signed)
  if (integer === undefined) return undefined
  const values = type.values.flatMap(({ name, value }): [string, bigint][] => {
    const exact = signed && !type.signed ? BigInt.asIntN(32, BigInt(value)) : BigInt(value)
    const fits = (signed ? BigInt.asIntN(bits, exact) : BigInt.asUintN(bits, exact)) === exact
    return fits && name !== '' ? [[name, exact]] : []
  })
  if (values.length === 0) return integer as Codec<unknown>
  // fromEntries makes properties of its own of all names, '__proto__' included.
  if (type.size > 4) {
    return enumOf(Object.fromEntries(values), integer as Codec<bigint>) as Codec<unknown>
  }
  const numbers = values.map(([name, value]) => [name, Number(value)] as const)
  return enumOf(Object.fromEntries(numbers), integer as Codec<number>) as Codec<unknown>
}

/**
 * Compilers before BTF could say it (Linux 6.0, clang 15): negative values stand as 2^32 more. Where such a one does not fit
 * the bits that there are, it must be negative; in 32 bits that cannot be told, and the name is the same.
 */
function isSignedUnsaid(type: BtfEnum | BtfEnum64, bits: number): boolean {
  return type.kind === 'enum' && bits < 32 && type.values.some(({ value }) => value >= 0x8000_0000)
}
