/** BTF made by hand, in either byte order: what compilers do not write, and what nobody should. */
import * as kind from '../../lib/btf/format'

export interface ImageOptions {
  readonly littleEndian?: boolean
  /** How many types and how many bytes of strings there are before: that of split BTF. */
  readonly base?: { readonly types: number; readonly stringBytes: number }
  /** Longer than 24 makes room for what is not known yet, filled with 0xa5. */
  readonly headerBytes?: number
  /** struct btf_layout, by the number of the kind. */
  readonly layouts?: readonly (readonly [once: number, each: number])[]
}

export class Image {
  readonly #littleEndian: boolean
  readonly #base: { readonly types: number; readonly stringBytes: number }
  readonly #options: ImageOptions
  #strings: string
  readonly #words: number[] = []
  #count = 0

  constructor(options: ImageOptions = {}) {
    this.#options = options
    this.#littleEndian = options.littleEndian ?? true
    this.#base = options.base ?? { types: 0, stringBytes: 0 }
    this.#strings = options.base === undefined ? '\0' : ''
  }

  /** The offset of a string, which is added where it is not there. '' is at 0. */
  name(text: string): number {
    if (text === '') return 0
    // In a split image the first string follows on those of the base.
    const at = `\0${this.#strings}`.indexOf(`\0${text}\0`)
    if (at >= 0) return this.#base.stringBytes + at
    this.#strings += `${text}\0`
    return this.#base.stringBytes + this.#strings.length - text.length - 1
  }

  /** A type of any kind: struct btf_type, and the words behind it. The result is its id. */
  add(
    number: number,
    name: string | number,
    word: number,
    rest: readonly number[] = [],
    vlen = 0,
    flag = false,
  ): number {
    const info = ((flag ? 0x80 : 0) | number) * 0x1000000 + vlen
    this.#words.push(typeof name === 'string' ? this.name(name) : name, info, word)
    for (const word of rest) this.#words.push(word)
    return this.#base.types + ++this.#count
  }

  int(name: string, size: number, { encoding = 0, offset = 0, bits = size * 8 } = {}): number {
    return this.add(kind.INT, name, size, [encoding * 0x1000000 + offset * 0x10000 + bits])
  }

  ptr(type: number): number {
    return this.add(kind.PTR, '', type)
  }

  array(type: number, length: number, index = 1): number {
    return this.add(kind.ARRAY, '', 0, [type, index, length])
  }

  struct(name: string, size: number, members: readonly Member[], { union = false, flag = false } = {}): number {
    const rest = members.flatMap(([name, type, offset]) => [this.name(name), type, offset])
    return this.add(union ? kind.UNION : kind.STRUCT, name, size, rest, members.length, flag)
  }

  typedef(name: string, type: number): number {
    return this.add(kind.TYPEDEF, name, type)
  }

  get typeCount(): number {
    return this.#count
  }

  get stringBytes(): number {
    return Buffer.byteLength(this.#strings, 'latin1')
  }

  /** header, types, layouts, strings */
  bytes(): Buffer {
    const layouts = (this.#options.layouts ?? []).flatMap(([once, each]) => [once, each, 0, 0])
    const headerBytes = this.#options.headerBytes ?? (layouts.length > 0 ? 32 : 24)
    const typeBytes = this.#words.length * 4
    const strings = Buffer.from(this.#strings, 'latin1')
    const head = Buffer.alloc(headerBytes + typeBytes, 0xa5)
    const words = [typeBytes + layouts.length, strings.length]
    if (headerBytes >= 32) words.push(...(layouts.length > 0 ? [typeBytes, layouts.length] : [0, 0]))
    this.#put16(head, 0xeb9f, 0)
    head[2] = 1
    head[3] = 0
    for (const [i, word] of [headerBytes, 0, typeBytes, ...words].entries()) this.#put32(head, word, 4 + i * 4)
    for (const [i, word] of this.#words.entries()) this.#put32(head, word, headerBytes + i * 4)
    return Buffer.concat([head, Buffer.from(layouts), strings])
  }

  #put16(to: Buffer, value: number, at: number): void {
    if (this.#littleEndian) to.writeUInt16LE(value, at)
    else to.writeUInt16BE(value, at)
  }

  #put32(to: Buffer, value: number, at: number): void {
    if (this.#littleEndian) to.writeUInt32LE(value >>> 0, at)
    else to.writeUInt32BE(value >>> 0, at)
  }
}

export type Member = readonly [name: string, type: number, offset: number]

/** Each kind once and more, with names, sizes and bit fields of all sorts. The comments are the ids. */
export function everyKind(options: ImageOptions = {}): Image {
  const image = new Image(options)
  const int = image.int('int', 4, { encoding: 1 }) // 1
  const u64 = image.int('long unsigned int', 8) // 2
  const char = image.int('char', 1, { encoding: 2 }) // 3
  image.int('_Bool', 1, { encoding: 4 }) // 4
  image.int('old_bits', 8, { offset: 40, bits: 5 }) // 5
  const ptr = image.ptr(7) // 6
  const node = image.struct(
    'node',
    24,
    [
      ...([
        ['next', 6, 0],
        ['', 8, 64],
      ] as Member[]),
      ['bits', int, (3 << 24) | 128],
      ['rest', int, (29 << 24) | 131],
    ],
    { flag: true },
  ) // 7
  image.struct(
    '',
    8,
    [
      ['value', u64, 0],
      ['text', 10, 0],
    ],
    { union: true },
  ) // 8
  image.typedef('node_t', node) // 9
  image.array(char, 8) // 10
  image.add(kind.ENUM, 'small', 4, [image.name('LOW'), -1, image.name('HIGH'), 7], 2, true) // 11
  image.add(kind.ENUM, 'flags', 4, [image.name('ALL'), 0xffff_ffff], 1) // 12
  image.add(kind.FWD, 'hidden', 0) // 13
  image.add(kind.FWD, 'hidden_union', 0, [], 0, true) // 14
  image.add(kind.VOLATILE, '', int) // 15
  image.add(kind.CONST, '', 15) // 16
  image.add(kind.RESTRICT, '', ptr) // 17
  image.add(kind.FUNC_PROTO, '', int, [image.name('fmt'), 17, 0, 0], 2) // 18
  image.add(kind.FUNC, 'print', 18, [], 1) // 19
  image.add(kind.FUNC_PROTO, '', 0, [], 0) // 20
  image.add(kind.FUNC, 'outside', 20, [], 1) // 21
  image.add(kind.VAR, 'counter', u64, [1]) // 22
  image.add(kind.DATASEC, '.bss', 8, [22, 0, 8], 1) // 23
  image.add(kind.FLOAT, 'double', 8) // 24
  image.add(kind.DECL_TAG, 'kfunc', 19, [-1]) // 25
  image.add(kind.DECL_TAG, 'first', 7, [0], 0, true) // 26
  image.add(kind.TYPE_TAG, 'rcu', node) // 27
  image.ptr(27) // 28
  image.add(kind.ENUM64, 'wide', 8, [image.name('BIG'), 0xffff_fffe, 0x7fff_ffff, image.name('ONE'), 1, 0], 2) // 29
  image.add(kind.ENUM64, 'wide_signed', 8, [image.name('MINUS'), -5, -1], 1, true) // 30
  return image
}
