/** What all files that pack `union bpf_attr` share. */
import { endianness } from 'node:os'

/**
 * The machine's byte order: the kernel's structs are in it. DataView's own default is big-endian, so it is always
 * passed.
 */
export const LE = endianness() === 'LE'

/** sizeof(union bpf_attr) of Linux 6.18. A buffer for any command has at least so many bytes. */
export const ATTR_SIZE = 168

const LOW = LE ? 0 : 4
const HIGH = LE ? 4 : 0

/**
 * Writes a u64. A number (an address, below 2^53) is written in halves, because making a bigint of it would allocate;
 * so it is checked here, where it is still whole.
 */
export function put64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    view.setBigUint64(offset, value, LE)
  } else {
    if (typeof value === 'number' && (!Number.isSafeInteger(value) || value < 0)) {
      throw new RangeError(`${value} is neither an address nor a u64`)
    }
    view.setUint32(offset + LOW, value >>> 0, LE)
    view.setUint32(offset + HIGH, Math.floor(value / 2 ** 32), LE)
  }
}

/** Reads a u64 that is an address, hence below 2^53. */
export function getAddress(view: DataView, offset: number): number {
  return view.getUint32(offset + HIGH, LE) * 2 ** 32 + view.getUint32(offset + LOW, LE)
}

/*
 * An optional field. `size` is the number of bytes to send so far: it grows to the field's end if the field is given,
 * and stays if not, so that a kernel that does not know the field is not sent it. A caller goes through the fields in
 * the order of their offsets.
 */

export function opt32(view: DataView, size: number, offset: number, value: number | undefined): number {
  if (value === undefined) return size
  view.setUint32(offset, value, LE)
  return offset + 4
}

export function optS32(view: DataView, size: number, offset: number, value: number | undefined): number {
  if (value === undefined) return size
  view.setInt32(offset, value, LE)
  return offset + 4
}

export function opt64(view: DataView, size: number, offset: number, value: number | bigint | undefined): number {
  if (value === undefined) return size
  put64(view, offset, value)
  return offset + 8
}

/** char name[BPF_OBJ_NAME_LEN]. The caller has checked the characters, and that a NUL is left at the end. */
export function optName(view: DataView, size: number, offset: number, name: string | undefined): number {
  if (name === undefined) return size
  for (let i = 0; i < 16; i++) view.setUint8(offset + i, i < name.length ? name.charCodeAt(i) : 0)
  return offset + 16
}

/** A C union of two names for one u32: one of them is given. */
export type Either<A extends string, B extends string> =
  | ({ [K in A]: number } & { [K in B]?: undefined })
  | ({ [K in B]: number } & { [K in A]?: undefined })

/** The same, where none of them need be given. */
export type Perhaps<A extends string, B extends string> =
  | ({ [K in A]?: number | undefined } & { [K in B]?: undefined })
  | ({ [K in B]?: number | undefined } & { [K in A]?: undefined })
