/** What the decoders of struct bpf_*_info share. */
import { getAddress, LE } from './attr-common'

/** A field that every kernel since 5.10 has. */
export function u32(view: DataView, offset: number): number {
  return view.getUint32(offset, LE)
}

export function u64(view: DataView, offset: number): bigint {
  return view.getBigUint64(offset, LE)
}

/** A u64 that holds an address, which the caller wrote there: below 2^53. */
export function address(view: DataView, offset: number): number {
  return getAddress(view, offset)
}

/** A field that came later: undefined where the kernel did not fill it. */
export function optU32(view: DataView, length: number, offset: number): number | undefined {
  return offset + 4 <= length ? view.getUint32(offset, LE) : undefined
}

export function optU64(view: DataView, length: number, offset: number): bigint | undefined {
  return offset + 8 <= length ? view.getBigUint64(offset, LE) : undefined
}

export function optAddress(view: DataView, length: number, offset: number): number | undefined {
  return offset + 8 <= length ? getAddress(view, offset) : undefined
}

/** char name[BPF_OBJ_NAME_LEN], up to its NUL. */
export function name16(view: DataView, offset: number): string {
  let name = ''
  for (let i = 0; i < 16; i++) {
    const c = view.getUint8(offset + i)
    if (c === 0) break
    name += String.fromCharCode(c)
  }
  return name
}

/** Throws where the kernel filled less than Linux 5.10 does: then even the fields that are always there are not. */
export function requireLength(struct: string, view: DataView, length: number, minimum: number): void {
  if (length < minimum || view.byteLength < length) {
    throw new RangeError(
      `struct ${struct}: info_len is ${length} in a buffer of ${view.byteLength} bytes; it needs at least ${minimum}`,
    )
  }
}
