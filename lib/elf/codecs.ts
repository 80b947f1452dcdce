import { type Btf, BtfError } from '../btf'
import { codecOf as codecOfType } from '../btf/codec'
import { bytes, type Codec } from '../codec'

/** Bytes of the usual sizes, each made once: BTF of maps is then made once, too. */
const plains: (Codec<unknown> | undefined)[] = []
const USUAL = 256

function plainOf(size: number): Codec<unknown> {
  const known = plains[size]
  if (known !== undefined) return known
  const plain = bytes(size) as Codec<unknown>
  if (size <= USUAL) plains[size] = plain
  return plain
}

/** How a value of a type is read and written: as its BTF says, or as bytes where that is not told, or of another size. */
export function codecOf(btf: Btf | undefined, type: number, size: number): Codec<unknown> {
  const plain = plainOf(size)
  if (btf === undefined || type === 0) return plain
  try {
    const codec = codecOfType<unknown>(btf, type)
    return codec.size === size ? codec : plain
  } catch (error) {
    // A type that is only declared, or whose length is open: the object still tells how many bytes there are.
    if (error instanceof BtfError) return plain
    throw error
  }
}

/** 'struct flow', of a type that the BTF names and does not describe; undefined of all others. */
export function declaredIn(btf: Btf | undefined, type: number): string | undefined {
  const its = btf === undefined || type === 0 ? undefined : btf.resolve(type)
  return its?.kind === 'fwd' ? `${its.of} ${its.name}` : undefined
}
