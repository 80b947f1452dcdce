import { isAnyArrayBuffer, isArrayBuffer } from 'node:util/types'
import { abi } from './abi'

/**
 * The one door through which memory of callers goes to the kernel.
 *
 * A pointer in an attr is a bare number: nothing behind it knows of the buffer that it belongs to, of its length or of
 * its life. So callers never give addresses. They give buffers; the length is taken from the buffer itself, and the
 * buffer is kept until the call is over.
 */

/** Bytes that the kernel reads or writes where they are; a view counts from its own offset, over its own length. */
export type Bytes = ArrayBuffer | ArrayBufferView

/** Where the bytes are. Whoever asks keeps them alive until after the call: `keep` of `call()`. */
export function addressOfBytes(bytes: Bytes, what: string): number {
  if (ArrayBuffer.isView(bytes)) {
    const { buffer, byteOffset } = bytes
    if (!isArrayBuffer(buffer)) throw new TypeError(`${what} must not be shared between threads`)
    checkNotEmpty(bytes, what)
    return abi().addressOf(buffer) + byteOffset
  }
  if (!isAnyArrayBuffer(bytes)) throw new TypeError(`${what} must be an ArrayBuffer or a view of one`)
  if (!isArrayBuffer(bytes)) throw new TypeError(`${what} must not be shared between threads`)
  checkNotEmpty(bytes, what)
  return abi().addressOf(bytes)
}

function checkNotEmpty(bytes: Bytes, what: string): void {
  // An empty buffer has no address, and a detached one is empty: the kernel would be given NULL.
  if (bytes.byteLength === 0) throw new RangeError(`${what} is empty, or detached`)
}

/** Address and length of bytes that need not be given. */
export function optionalBytes(bytes: Bytes | undefined, what: string): { address?: number; length?: number } {
  if (bytes === undefined) return {}
  return { address: addressOfBytes(bytes, what), length: bytes.byteLength }
}

/** How many records of `size` bytes the bytes are; refuses a remainder. */
export function countOf(bytes: Bytes | undefined, size: number | undefined, what: string): number | undefined {
  if (bytes === undefined) return undefined
  if (size === undefined || !Number.isInteger(size) || size < 1) {
    throw new RangeError(`${what} needs the size of its records, and ${size} is none`)
  }
  if (bytes.byteLength % size !== 0) {
    throw new RangeError(`${what} has ${bytes.byteLength} bytes: that is no whole number of records of ${size}`)
  }
  return bytes.byteLength / size
}

/** Refuses arrays that the kernel indexes in step, and that differ in length. Gives the length that they have. */
export function commonCount(arrays: Readonly<Record<string, { length: number } | undefined>>): number | undefined {
  let first: [string, number] | undefined
  for (const [name, array] of Object.entries(arrays)) {
    if (array === undefined) continue
    if (first === undefined) first = [name, array.length]
    else if (array.length !== first[1]) {
      throw new RangeError(`${name} has ${array.length} entries, and ${first[0]} has ${first[1]}`)
    }
  }
  return first?.[1]
}

/** A NUL-terminated copy for the kernel to read. */
export function cstring(text: string, what: string): ArrayBuffer {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string, not ${typeof text}`)
  if (text === '') throw new RangeError(`${what} must not be empty`)
  if (text.includes('\0')) throw new RangeError(`${what} must not hold a NUL character`)
  const bytes = new TextEncoder().encode(`${text}\0`)
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}

/** The text that the kernel wrote, up to its NUL. */
export function textOf(bytes: ArrayBuffer): string {
  const end = new Uint8Array(bytes).indexOf(0)
  return Buffer.from(bytes).toString('utf8', 0, end < 0 ? bytes.byteLength : end)
}

const NAME = /^[A-Za-z0-9_.]{0,15}$/

/** Refuses an object's name that the kernel answers with a bare EINVAL (bpf_obj_name_cpy in kernel/bpf/syscall.c). */
export function checkObjectName(name: string | undefined, what: string): void {
  if (name === undefined) return
  if (typeof name !== 'string') throw new TypeError(`${what} must be a string, not ${typeof name}`)
  if (!NAME.test(name)) throw new RangeError(`${what} ${JSON.stringify(name)} is not up to 15 of A-Z a-z 0-9 _ .`)
}

/** The kernel copies as many bytes as the map's sizes say, whatever there is room for. */
export function checkBytes(bytes: number, what: string): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`${bytes} cannot be the bytes of ${what}`)
}

/** Not by bits: those of a number end at 2^32, and what wraps around is a block too small for what the kernel writes. */
export function align8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}
