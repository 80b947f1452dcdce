import { endianness } from 'node:os'

/** The format is that of Documentation/bpf/btf.rst, in the machine's byte order. */
const LE = endianness() === 'LE'
const MAGIC = 0xeb9f
const HEADER_BYTES = 24

const KIND_INT = 1
const KIND_ARRAY = 3
const INT_SIGNED = 1

/** The ids of the types in `minimalBtf`. */
export const MINIMAL_KEY_ID = 1
export const MINIMAL_VALUE_ID = 3

/**
 * BTF for a map whose key is an `int` and whose value is `valueBytes` bytes. The local storage maps are not made without
 * (bpf_local_storage_map_check_btf), though all that the kernel looks at is the key's kind and both sizes.
 */
export function minimalBtf(valueBytes: number): ArrayBuffer {
  const strings = '\0int\0unsigned char\0'
  // struct btf_type is three words: name, info, size or type. INT has one word more, ARRAY three.
  const types = [
    ...[1, info(KIND_INT), 4, int(INT_SIGNED, 32)],
    ...[5, info(KIND_INT), 1, int(0, 8)],
    ...[0, info(KIND_ARRAY), 0, /* of */ 2, /* indexed by */ 1, /* how many */ valueBytes],
  ]
  const typeBytes = types.length * 4
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + typeBytes + strings.length))
  view.setUint16(0, MAGIC, LE)
  view.setUint8(2, 1) // version; the flags behind it are none
  const header = [HEADER_BYTES, 0, typeBytes, typeBytes, strings.length]
  for (const [i, word] of header.entries()) view.setUint32(4 + i * 4, word, LE)
  for (const [i, word] of types.entries()) view.setUint32(HEADER_BYTES + i * 4, word, LE)
  for (let i = 0; i < strings.length; i++) view.setUint8(HEADER_BYTES + typeBytes + i, strings.charCodeAt(i))
  return view.buffer
}

function info(kind: number): number {
  return kind << 24
}

function int(encoding: number, bits: number): number {
  return (encoding << 24) | bits
}
