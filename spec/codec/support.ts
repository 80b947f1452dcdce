import { expect } from 'chai'
import { type Codec, withPath } from '../../lib/codec'
import { LITTLE_ENDIAN } from '../../lib/codec/integer'

const GUARD = 5

/** The bytes that writing leaves, in hex. The buffer is dirty, the offset odd; what lies around must stay untouched. */
export function encode<T>(codec: Codec<T>, value: T, dirt = 0xa5): string {
  const buffer = new Uint8Array(codec.size + 2 * GUARD + 3).fill(dirt)
  const view = new DataView(buffer.buffer, 3)
  codec.write(view, GUARD, value)
  const around = [...buffer.subarray(0, 3 + GUARD), ...buffer.subarray(3 + GUARD + codec.size)]
  expect(around.every((byte) => byte === dirt)).equal(true, `${codec.name} wrote outside of its bytes`)
  return Buffer.from(buffer.subarray(3 + GUARD, 3 + GUARD + codec.size)).toString('hex')
}

/** What reading finds in these bytes, which are overwritten before it is returned: a read must have copied. */
export function decode<T>(codec: Codec<T>, hex: string): T {
  const bytes = Buffer.from(hex.replace(/ /g, ''), 'hex')
  expect(bytes.length).equal(codec.size)
  const buffer = new Uint8Array(codec.size + 2 * GUARD + 3).fill(0x5a)
  buffer.set(bytes, 3 + GUARD)
  const value = codec.read(new DataView(buffer.buffer, 3), GUARD)
  buffer.fill(0xcc)
  return value
}

/** Hex of one integer as this machine stores it, written as x86 stores it. */
export function native(hex: string): string {
  return LITTLE_ENDIAN ? hex : Buffer.from(hex, 'hex').reverse().toString('hex')
}

/** Both directions, each against bytes that neither of them made. */
export function bothWays<T>(codec: Codec<T>, value: T, hex: string): void {
  expect(encode(codec, value)).equal(hex.replace(/ /g, ''))
  expect(decode(codec, hex)).deep.equal(value)
}

/** The error that writing throws, after a caller put its own segment in front. */
export function failure(codec: Codec<unknown>, value: unknown, segment?: string | number): Error {
  try {
    encode(codec, value)
  } catch (error) {
    return (segment === undefined ? error : withPath(segment, error)) as Error
  }
  throw new Error(`${codec.name} took ${String(value)}`)
}

export function expectFailure(codec: Codec<unknown>, value: unknown, type: ErrorConstructor, message: string): void {
  const error = failure(codec, value)
  expect(error.constructor.name).equal(type.name)
  expect(error.message).equal(message)
}
