import { BtfBuilder } from './build/builder'
import { CodecTypes } from './build/from-codec'

/** The ids of the types in `minimalBtf`. */
export const MINIMAL_KEY_ID = 1
export const MINIMAL_VALUE_ID = 4

/**
 * BTF for a map whose key is an `int` and whose value is `valueBytes` bytes. The local storage maps are not made without
 * (bpf_local_storage_map_check_btf), though all that the kernel looks at is the key's kind and both sizes.
 */
export function minimalBtf(valueBytes: number): Uint8Array<ArrayBuffer> {
  const builder = new BtfBuilder()
  const types = new CodecTypes(builder, () => false)
  types.int('i32')
  types.bytes(valueBytes)
  return builder.bytes()
}
