import { endianness } from 'node:os'
import type { Codec } from './codec'
import { shown } from './error'
import { makeCodec } from './make'

/** Whether this machine, and with it every map of its kernel, stores the low byte first. */
export const LITTLE_ENDIAN: boolean = endianness() === 'LE'
const BIG = false

/** The error for a number codec that was given `value`. Made apart, so that the good path stays small and hot. */
export function unfitNumber(name: string, min: number, max: number, value: unknown): TypeError | RangeError {
  if (typeof value === 'bigint') return new TypeError(`${name} takes a number: write ${value}, not ${value}n`)
  if (typeof value !== 'number') return new TypeError(`${name} takes a number, not ${shown(value)}`)
  if (Number.isInteger(value) || Math.abs(value) === Number.POSITIVE_INFINITY) {
    return new RangeError(`${value} is out of range for ${name} (${min} to ${max})`)
  }
  return new RangeError(`${value} is not an integer: ${name} takes ${min} to ${max}`)
}

/** Unsigned 8 bits: a number from 0 to 255. */
export const u8: Codec<number> = makeCodec({
  name: 'u8',
  size: 1,
  align: 1,
  shape: { kind: 'int', name: 'u8', swapped: false },
  write(view, offset, value) {
    if (typeof value !== 'number' || (value & 0xff) !== value) throw unfitNumber('u8', 0, 0xff, value)
    view.setUint8(offset, value)
  },
  read: (view, offset) => view.getUint8(offset),
})

/** Signed 8 bits: a number from -128 to 127. */
export const i8: Codec<number> = makeCodec({
  name: 'i8',
  size: 1,
  align: 1,
  shape: { kind: 'int', name: 'i8', swapped: false },
  write(view, offset, value) {
    if (typeof value !== 'number' || (value << 24) >> 24 !== value) throw unfitNumber('i8', -0x80, 0x7f, value)
    view.setInt8(offset, value)
  },
  read: (view, offset) => view.getInt8(offset),
})

function unsigned16(name: string, littleEndian: boolean): Codec<number> {
  return makeCodec({
    name,
    size: 2,
    align: 2,
    shape: { kind: 'int', name: 'u16', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'number' || (value & 0xffff) !== value) throw unfitNumber(name, 0, 0xffff, value)
      view.setUint16(offset, value, littleEndian)
    },
    read: (view, offset) => view.getUint16(offset, littleEndian),
  })
}

function signed16(name: string, littleEndian: boolean): Codec<number> {
  return makeCodec({
    name,
    size: 2,
    align: 2,
    shape: { kind: 'int', name: 'i16', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'number' || (value << 16) >> 16 !== value) throw unfitNumber(name, -0x8000, 0x7fff, value)
      view.setInt16(offset, value, littleEndian)
    },
    read: (view, offset) => view.getInt16(offset, littleEndian),
  })
}

function unsigned32(name: string, littleEndian: boolean): Codec<number> {
  return makeCodec({
    name,
    size: 4,
    align: 4,
    shape: { kind: 'int', name: 'u32', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'number' || value >>> 0 !== value) throw unfitNumber(name, 0, 0xffffffff, value)
      view.setUint32(offset, value, littleEndian)
    },
    read: (view, offset) => view.getUint32(offset, littleEndian),
  })
}

function signed32(name: string, littleEndian: boolean): Codec<number> {
  return makeCodec({
    name,
    size: 4,
    align: 4,
    shape: { kind: 'int', name: 'i32', swapped: littleEndian !== LITTLE_ENDIAN },
    write(view, offset, value) {
      if (typeof value !== 'number' || (value | 0) !== value) throw unfitNumber(name, -0x80000000, 0x7fffffff, value)
      view.setInt32(offset, value, littleEndian)
    },
    read: (view, offset) => view.getInt32(offset, littleEndian),
  })
}

/** Unsigned 16 bits in the machine's byte order: a number from 0 to 65535. */
export const u16: Codec<number> = unsigned16('u16', LITTLE_ENDIAN)
/** Unsigned 16 bits in network order: ports, ethertypes. */
export const u16be: Codec<number> = unsigned16('u16be', BIG)
/** Signed 16 bits in the machine's byte order: a number from -32768 to 32767. */
export const i16: Codec<number> = signed16('i16', LITTLE_ENDIAN)
/** Signed 16 bits in network order. */
export const i16be: Codec<number> = signed16('i16be', BIG)
/** Unsigned 32 bits in the machine's byte order: a number from 0 to 4294967295. */
export const u32: Codec<number> = unsigned32('u32', LITTLE_ENDIAN)
/** Unsigned 32 bits in network order. */
export const u32be: Codec<number> = unsigned32('u32be', BIG)
/** Signed 32 bits in the machine's byte order: a number from -2147483648 to 2147483647. */
export const i32: Codec<number> = signed32('i32', LITTLE_ENDIAN)
/** Signed 32 bits in network order. */
export const i32be: Codec<number> = signed32('i32be', BIG)
