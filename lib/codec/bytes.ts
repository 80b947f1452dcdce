import { types } from 'node:util'
import type { Codec } from './codec'
import { shown } from './error'
import { checkLength, makeCodec } from './make'

/** Up to here a loop over the DataView is cheaper than making a Uint8Array over it, and allocates nothing. */
const SHORT = 64

/**
 * `n` bytes as they are, from any Uint8Array (a Buffer is one) of exactly that length. Reading copies.
 * Another length is a RangeError, another type a TypeError. Alignment 1. `n` may be 0: a queue has no key.
 */
export function bytes(n: number): Codec<Uint8Array> {
  checkLength('bytes', n, 0)
  const name = `bytes(${n})`
  return makeCodec<Uint8Array>({
    name,
    size: n,
    align: 1,
    shape: { kind: 'bytes' },
    write(view, offset, value) {
      // Not instanceof: a REPL's Uint8Array may come from another context.
      if (!types.isUint8Array(value)) throw new TypeError(`${name} takes a Uint8Array, not ${shown(value)}`)
      if (value.length !== n) throw new RangeError(`${value.length} bytes do not fit ${name}: it takes exactly ${n}`)
      if (n > SHORT) window(view, offset, n).set(value)
      else for (let i = 0; i < n; i++) view.setUint8(offset + i, value[i] as number)
    },
    read(view, offset) {
      const out = new Uint8Array(n)
      if (n > SHORT) out.set(window(view, offset, n))
      else for (let i = 0; i < n; i++) out[i] = view.getUint8(offset + i)
      return out
    },
  })
}

/**
 * C's `char[n]` as a string: UTF-8, ended by a NUL, the remainder zeros. Reading stops at the first NUL, or takes all
 * `n` bytes where there is none, as the kernel fills a comm; bytes that are not UTF-8 read as U+FFFD.
 * A string of more than n - 1 bytes, one with a NUL in it, and a lone surrogate are RangeErrors: nothing is cut off
 * or replaced in silence.
 */
export function cstring(n: number): Codec<string> {
  checkLength('cstring', n, 1)
  const name = `cstring(${n})`
  return makeCodec<string>({
    name,
    size: n,
    align: 1,
    shape: { kind: 'text' },
    write(view, offset, value) {
      if (typeof value !== 'string') throw new TypeError(`${name} takes a string, not ${shown(value)}`)
      let end = 0
      for (; end < value.length && end < n - 1; end++) {
        const unit = value.charCodeAt(end)
        if (unit === 0 || unit > 0x7f) break
        view.setUint8(offset + end, unit)
      }
      if (end < value.length) {
        const utf8 = encode(name, n, value)
        for (end = 0; end < utf8.length; end++) view.setUint8(offset + end, utf8[end] as number)
      }
      for (; end < n; end++) view.setUint8(offset + end, 0)
    },
    read(view, offset) {
      let length = 0
      while (length < n && view.getUint8(offset + length) !== 0) length++
      // Buffer, not TextDecoder: it is faster, and keeps a byte order mark as the character that it is.
      return Buffer.from(view.buffer, view.byteOffset + offset, length).toString('utf8')
    },
  })
}

/** What is not plain short ASCII: its UTF-8 bytes, or the error. */
function encode(name: string, n: number, value: string): Uint8Array {
  if (value.includes('\0')) throw new RangeError(`${shown(value)} holds a NUL, which would end it in ${name}`)
  if (/\p{Surrogate}/u.test(value)) throw new RangeError(`${shown(value)} holds a lone surrogate: it has no UTF-8`)
  const utf8 = Buffer.from(value, 'utf8')
  if (utf8.length > n - 1) {
    throw new RangeError(`${shown(value)} takes ${utf8.length} bytes: ${name} holds ${n - 1} and a NUL`)
  }
  return utf8
}

/** The bytes of a view as a Uint8Array. A view may be a part of its buffer: past its end belongs to somebody else. */
function window(view: DataView, offset: number, n: number): Uint8Array {
  if (offset < 0 || offset + n > view.byteLength) throw new RangeError('Offset is outside the bounds of the DataView')
  return new Uint8Array(view.buffer, view.byteOffset + offset, n)
}
