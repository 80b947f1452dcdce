import { type Codec, i16be, i32be, i64be, u16be, u32be, u64be } from '../../codec'
import type { Btf } from '../btf'
import type { BtfInt } from '../types'

/** By size: the kernel's typedef for what is unsigned (include/uapi/linux/types.h), and our codecs. */
const BY_SIZE: Readonly<Record<number, readonly [name: string, unsigned: Codec<unknown>, signed: Codec<unknown>]>> = {
  2: ['__be16', u16be as Codec<unknown>, i16be as Codec<unknown>],
  4: ['__be32', u32be as Codec<unknown>, i32be as Codec<unknown>],
  8: ['__be64', u64be as Codec<unknown>, i64be as Codec<unknown>],
}

/**
 * How an integer is read that a typedef says to be big-endian, whatever the machine is: `__be16`, or the name that a codec
 * of ours has, where the kernel has none (i16be). undefined for all others. `id` is the type with its typedefs.
 */
export function inNetworkOrder(btf: Btf, { size, encoding, bits }: BtfInt, id: number): Codec<unknown> | undefined {
  const [name, unsigned, signed] = BY_SIZE[size] ?? []
  if (name === undefined || bits !== size * 8) return undefined
  let type = btf.type(id)
  while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'var' || type.kind === 'typedef') {
    if (type.kind === 'typedef' && type.name === name && encoding === 'unsigned') return unsigned
    if (type.kind === 'typedef' && type.name === signed?.name && encoding === 'signed') return signed
    type = btf.type(type.type)
  }
  return undefined
}
