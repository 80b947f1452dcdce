import { endianness } from 'node:os'
import type { Codec } from '../../codec'
import { type IntName, type Shape, shapeOf } from '../../codec/shape'
import type { BtfBuilder } from './builder'
import { isIdentifier } from './check'

const LE = endianness() === 'LE'

/** Whether the kernel takes enum64 (Linux 6.0), and with it signed enums. It is asked only for what needs them. */
export type HasEnum64 = () => boolean

/** What C calls the integers: their names, and those that include/uapi/linux/types.h gives them, in either byte order. */
const INTS: Readonly<Record<IntName, readonly [name: string, alias: string, swapped: string]>> = {
  u8: ['unsigned char', '__u8', '__u8'],
  i8: ['signed char', '__s8', '__s8'],
  u16: ['unsigned short', '__u16', LE ? '__be16' : '__le16'],
  i16: ['short', '__s16', 'i16be'],
  u32: ['unsigned int', '__u32', LE ? '__be32' : '__le32'],
  i32: ['int', '__s32', 'i32be'],
  u64: ['unsigned long long', '__u64', LE ? '__be64' : '__le64'],
  i64: ['long long', '__s64', 'i64be'],
}

/** The kernel takes 32 types in one another (MAX_RESOLVE_DEPTH), and the last codec may stand for three. */
const DEEPEST = 28
const MOST_PARTS = 0xffff
/** Offsets of members are 32 bits, and count bits. */
const MOST_STRUCT_BYTES = 0x1fff_ffff

/** Puts types into BTF that say of a codec's bytes what it makes of them. */
export class CodecTypes {
  /** By codec: a schema that is used often is gone through once. */
  readonly #known = new Map<Codec<unknown>, number>()

  constructor(
    private readonly builder: BtfBuilder,
    private readonly hasEnum64: HasEnum64,
  ) {}

  /**
   * The id of a codec's type. What a codec does not tell (one that a user has made) are bytes, and so is what BTF has no
   * room for: it is for people to read, and no map is refused for it.
   */
  add(codec: Codec<unknown>, depth = 0): number {
    const known = this.#known.get(codec)
    if (known !== undefined) return known
    const shape = shapeOf(codec)
    const id = shape === undefined || depth > DEEPEST ? this.bytes(codec.size) : this.#shaped(codec, shape, depth)
    // One that is too deep here may not be so elsewhere.
    if (depth <= DEEPEST) this.#known.set(codec, id)
    return id
  }

  /** unsigned char[n] */
  bytes(length: number): number {
    return this.#array(this.int('u8'), length)
  }

  /** A plain integer under C's own name for it. */
  int(name: IntName): number {
    const encoding = name.startsWith('i') ? 'signed' : 'unsigned'
    return this.builder.add({ kind: 'int', name: INTS[name][0], size: Number(name.slice(1)) / 8, encoding })
  }

  /** An integer under the kernel's name for it: __u32. */
  alias(name: IntName, swapped = false): number {
    return this.#typedef(INTS[name][swapped ? 2 : 1], this.int(name))
  }

  /** struct bpf_lpm_trie_key, for a key that is none by itself: trie_check_btf insists on a struct. */
  lpmKey(size: number): number {
    const members = [
      { name: 'prefixlen', type: this.alias('u32'), bitOffset: 0 },
      { name: 'data', type: this.bytes(size - 4), bitOffset: 32 },
    ]
    return this.builder.add({ kind: 'struct', name: 'bpf_lpm_trie_key_u8', size, members })
  }

  #shaped(codec: Codec<unknown>, shape: Shape, depth: number): number {
    switch (shape.kind) {
      case 'int':
        return this.alias(shape.name, shape.swapped)
      case 'bool':
        return this.builder.add({ kind: 'int', name: '_Bool', size: codec.size, encoding: 'bool' })
      case 'float':
        // Not the kind float: bpftool breaks off at one, and with it goes the whole map (btf_dumper_do_type).
        return this.#typedef(codec.size === 4 ? 'f32' : 'f64', this.bytes(codec.size))
      case 'text':
        // Readers print an array of what is called char as text.
        return this.#array(this.builder.add({ kind: 'int', name: 'char', size: 1, encoding: 'signed' }), codec.size)
      case 'bytes':
        return shape.name === undefined ? this.bytes(codec.size) : this.#typedef(shape.name, this.bytes(codec.size))
      case 'array':
        return this.#array(this.add(shape.of, depth + 1), shape.length)
      case 'struct':
        return this.#struct(codec, shape, depth)
      case 'enum':
        return this.#enum(codec, shape, depth)
      case 'same':
        return this.add(shape.as, depth)
    }
  }

  #struct({ size }: Codec<unknown>, { name = '', fields }: Extract<Shape, { kind: 'struct' }>, depth: number): number {
    if (fields.length > MOST_PARTS || size > MOST_STRUCT_BYTES) return this.bytes(size)
    const names = identifiers(fields.map((field) => field.name))
    const members = fields.map(({ offset, codec }, i) => {
      return { name: names[i] as string, type: this.add(codec, depth + 1), bitOffset: offset * 8 }
    })
    return this.builder.add({ kind: 'struct', name, size, members })
  }

  #enum(codec: Codec<unknown>, { values, base }: Extract<Shape, { kind: 'enum' }>, depth: number): number {
    const { size } = codec
    const young = size === 8 || isSigned(base)
    if (values.size > MOST_PARTS || ![1, 2, 4, 8].includes(size)) return this.add(base, depth)
    const known = !young || this.hasEnum64()
    if (size === 8 && !known) return this.add(base, depth)
    const signed = isSigned(base) && known
    const names = identifiers([...values.keys()])
    const stored = [...values.values()].map((value, i) => {
      return { name: names[i] as string, value: asStored(base, value, isSigned(base)) }
    })
    if (size === 8) return this.builder.add({ kind: 'enum64', size, signed, values: stored })
    const narrow = stored.map(({ name, value }) => {
      return { name, value: Number(signed ? value : BigInt.asUintN(32, value)) }
    })
    return this.builder.add({ kind: 'enum', size, signed, values: narrow })
  }

  #typedef(name: string, type: number): number {
    return this.builder.add({ kind: 'typedef', name, type })
  }

  #array(type: number, length: number): number {
    // Clang's name for what indexes arrays.
    const indexType = this.builder.add({ kind: 'int', name: '__ARRAY_SIZE_TYPE__', size: 4 })
    return this.builder.add({ kind: 'array', type, indexType, length })
  }
}

function isSigned(base: Codec<unknown>): boolean {
  const shape = shapeOf(base)
  if (shape?.kind === 'same') return isSigned(shape.as)
  return shape?.kind === 'int' && shape.name.startsWith('i')
}

/** A constant as who reads the memory in the machine's byte order finds it: the base may have the other one. */
function asStored(base: Codec<unknown>, value: number | bigint, signed: boolean): bigint {
  const view = new DataView(new ArrayBuffer(8))
  const at = LE ? 0 : 8 - base.size
  base.write(view, at, value)
  const bits = view.getBigUint64(0, LE)
  return signed ? BigInt.asIntN(base.size * 8, bits) : bits
}

/** Names that the kernel takes, told apart where two have become one. */
function identifiers(names: readonly string[]): string[] {
  const used = new Set(names.filter(isIdentifier))
  return names.map((name) => {
    if (isIdentifier(name)) return name
    const near = name.replaceAll(/[^A-Za-z0-9_]/gu, '_').slice(0, 100)
    const legal = /^\d|^$/.test(near) ? `_${near}` : near
    let unique = legal
    for (let n = 2; used.has(unique); n++) unique = `${legal}_${n}`
    used.add(unique)
    return unique
  })
}
