import type { Btf } from '../btf'
import { bytes, type Codec } from '../codec'

/** How a value of a type is read and written: as bytes where the type is not known. */
export function codecOf(_btf: Btf | undefined, _type: number, size: number): Codec<unknown> {
  return bytes(size) as Codec<unknown>
}
