import { isArrayBuffer, isUint8Array } from 'node:util/types'

/** The bytes where they are, as a Buffer. Throws TypeError for what is no bytes. */
export function asBuffer(bytes: ArrayBuffer | Uint8Array): Buffer {
  if (isArrayBuffer(bytes)) return Buffer.from(bytes)
  if (isUint8Array(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  throw new TypeError('bytes must be an ArrayBuffer or a Uint8Array')
}
