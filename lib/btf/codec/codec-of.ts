import { array, type Codec, cstring } from '../../codec'
import { makeCodec } from '../../codec/make'
import { checkKnownOptions, optionNames } from '../../text/known-options'
import { Btf } from '../btf'
import { BtfError } from '../error'
import type { BtfArray, BtfDatasec, BtfInt, BtfKind, BtfStruct, BtfType, BtfUnion } from '../types'
import { byteArray, isByte, isChar } from './arrays'
import { LayoutOf, type Maker } from './layout'
import { inNetworkOrder } from './network-order'
import { openEnded } from './open-end'
import { recordCodec } from './record'
import { bitsCodec, enumCodec, floatCodec, intCodec, pointerCodec } from './scalar'

/** What values of types in BTF are in JavaScript; see `codecOf`. */
export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly BtfValue[]
  | { readonly [member: string]: BtfValue }

export interface CodecOfOptions {
  /**
   * Of a struct that ends in an array of open length, `char path[]`, all but that array, which begins where the offset of
   * its member says: for events, whose records are longer than the struct. Only of the type itself, not of what is in it.
   */
  readonly openEnd?: boolean
}

const OPTIONS = optionNames<CodecOfOptions>({ openEnd: true })

/** What a name may mean, in this order: C has typedefs and basic types by their name alone. */
const KINDS: readonly BtfKind[] = ['typedef', 'struct', 'union', 'enum', 'enum64', 'int', 'float', 'datasec', 'var']

/** Types in types by value, one in the other. The kernel takes 32 (MAX_RESOLVE_DEPTH), typedefs and qualifiers included. */
const DEPTH = 64

/** Bytes: sizes in BTF have 32 bits. */
const LARGEST = 0xffff_ffff

/** The codecs that are known by now, by the id of their type. */
const known = new WeakMap<Btf, Map<number, Codec<unknown>>>()

/**
 * How values of a type are read and written, as BTF describes it: by its id, or by its name (`btf.require(name, kind).id`
 * tells apart what has one name). Layout and byte order are those of the BTF.
 *
 * - Integers up to 32 bits are numbers, longer ones bigints, `bool` is a boolean; bit fields are what their type is. Of
 *   `__be16`, `__be32` and `__be64`, which are in network byte order, the value is read and written.
 * - Enums are the names of their values, and numbers where a value has none; both can be written (see `enumOf`).
 * - `char[n]` is a string (see `cstring`); `__u8[n]` a Uint8Array, and may be written as an array of numbers; all other
 *   arrays are arrays, those of several dimensions arrays of arrays.
 * - Structs are plain objects with exactly their members; those of anonymous structs and unions in them are among them, as
 *   in C. Sections of variables ('.bss') are objects too. Padding is written as zeros.
 * - Unions read as an object with all of their members. One of them is written; or several, as they were read, as long as
 *   they say the same.
 * - Pointers are bigints. What the kernel keeps to itself in a map's values (bpf_spin_lock, bpf_timer, lists and trees,
 *   kptrs) is neither read nor written: the kernel shows zeros there, and does not take what is written.
 *
 * Errors of writing carry the member's path (`stats.packets`). The caller may say what values are: `codecOf<Stats>(...)`;
 * nothing checks it.
 *
 * Throws BtfError for what has no size that is always the same (void, functions, what is only declared, arrays of open
 * length, but see `openEnd`) and for floats of other sizes than 4 and 8, and says which member it is; with code ENOENT where
 * there is no type of that name.
 */
export function codecOf<T = BtfValue>(btf: Btf, type: string | number, options: CodecOfOptions = {}): Codec<T> {
  if (!(btf instanceof Btf)) throw new TypeError('codecOf takes a Btf, and a name or an id of a type in it')
  if (typeof type !== 'string' && typeof type !== 'number') {
    throw new TypeError(`codecOf takes the name or the id of a type, not ${type === null ? 'null' : typeof type}`)
  }
  checkKnownOptions(options, OPTIONS)
  const id = typeof type === 'number' ? type : idOf(btf, type)
  return new CodecMaker(btf).make(id, options.openEnd === true) as Codec<unknown> as Codec<T>
}

function idOf(btf: Btf, name: string): number {
  for (const kind of KINDS) {
    const found = btf.find(name, kind)
    if (found !== undefined) return found.id
  }
  // What is there and has no values is refused in the same words as by its id.
  return btf.require(name).id
}

class CodecMaker implements Maker {
  readonly btf: Btf
  readonly #known: Map<number, Codec<unknown>>
  #depth = 0

  constructor(btf: Btf) {
    this.btf = btf
    let its = known.get(btf)
    if (its === undefined) {
      its = new Map()
      known.set(btf, its)
    }
    this.#known = its
  }

  make(id: number, openEnd: boolean): Codec<unknown> {
    const path = titleOf(this.btf, id)
    const open = openEnd ? openEnded(this.btf, this.btf.resolve(id)) : undefined
    // Not among those that are known: within another type, it is refused.
    return open === undefined ? this.codecAt(id, path) : this.#record(open.fixed, id, path)
  }

  codecAt(id: number, path: string): Codec<unknown> {
    const before = this.#known.get(id)
    if (before !== undefined) return before
    if (++this.#depth > DEPTH) throw this.refuse(path, `is in itself, or in more than ${DEPTH} others`)
    const codec = this.#new(id, path)
    this.#depth--
    this.#known.set(id, codec)
    return codec
  }

  refuse(path: string, reason: string): BtfError {
    return new BtfError(this.btf.name, `${path} ${reason}`)
  }

  #new(id: number, path: string): Codec<unknown> {
    const named = this.btf.type(id)
    const type = this.btf.resolve(named.kind === 'var' ? named.type : id)
    switch (type.kind) {
      case 'int':
        return this.#required(this.#int(type, id), path, `is an integer of ${type.size} bytes`)
      case 'enum':
      case 'enum64':
        return this.#required(enumCodec(this.btf, type), path, `is an enum of ${type.size} bytes`)
      case 'float':
        return this.#required(floatCodec(this.btf, type), path, `is a floating-point number of ${type.size} bytes`)
      case 'ptr':
        return pointerCodec(this.btf)
      case 'array':
        return this.#array(type, path)
      case 'struct':
      case 'union':
        return this.#record(type, id, path)
      case 'datasec':
        return this.#datasec(type, path)
      case 'fwd':
        throw this.refuse(path, `is ${type.of} ${type.name}, which is only declared here, and has no size`)
      default:
        throw this.refuse(path, `is ${type.kind === 'void' ? 'void' : `a ${type.kind}`}, and has no values`)
    }
  }

  #required(codec: Codec<unknown> | undefined, path: string, what: string): Codec<unknown> {
    if (codec === undefined) throw this.refuse(path, `${what}, which JavaScript has no way to read`)
    return codec
  }

  /** An integer that does not fill its bytes, as compilers wrote bit fields before there was kind_flag. */
  #int(type: BtfInt, id: number): Codec<unknown> | undefined {
    const { size, bits, bitOffset } = type
    if (bits === size * 8 && bitOffset === 0) return inNetworkOrder(this.btf, type, id) ?? intCodec(this.btf, type)
    if (bits === 0 || bitOffset + bits > size * 8) return undefined
    const part = bitsCodec(this.btf, type, { bitOffset: bitOffset % 8, bits })
    if (part === undefined) return undefined
    const from = Math.floor(bitOffset / 8)
    return makeCodec<unknown>({
      name: part.name,
      size,
      align: this.#alignOf(type.id),
      write(view, offset, value) {
        for (let i = 0; i < size; i++) view.setUint8(offset + i, 0)
        part.write(view, offset + from, value)
      },
      read: (view, offset) => part.read(view, offset + from),
    })
  }

  #array({ type, length }: BtfArray, path: string): Codec<unknown> {
    if (length === 0) throw this.refuse(path, 'is an array of open length (or of 0 elements), and has no size')
    if (isChar(this.btf, type)) return cstring(this.#length(length, path)) as Codec<unknown>
    if (isByte(this.btf, type)) return byteArray(this.#length(length, path))
    const element = this.codecAt(type, `${path}[]`)
    if (element.size % element.align !== 0)
      throw this.refuse(path, 'is an array whose elements do not lie side by side')
    if (element.size * length > LARGEST) throw this.refuse(path, 'is larger than 4 GiB')
    return array(element, this.#length(length, path)) as Codec<unknown>
  }

  /** Half of what 32 bits can say is more than any map holds, and what codecs take. */
  #length(length: number, path: string): number {
    if (length > 0x7fff_ffff) throw this.refuse(path, `is an array of ${length} elements`)
    return length
  }

  #record(type: BtfStruct | BtfUnion, id: number, path: string): Codec<unknown> {
    const { size } = type
    const found = new LayoutOf(this, path, size)
    const layout = found.of(type)
    const { fields, kept } = found
    const own = type.name === '' ? this.#typedefOf(id) : `${type.kind} ${type.name}`
    const name = own === '' ? spelt(type.kind, fields) : own
    return recordCodec({ name, size, align: this.#alignOf(type.id), fields, layout, kept })
  }

  #datasec(type: BtfDatasec, path: string): Codec<unknown> {
    const { name, size } = type
    if (size === 0) throw this.refuse(path, 'says no size: that is for an object file that has not been loaded')
    const found = new LayoutOf(this, path, size)
    const layout = found.ofDatasec(type)
    return recordCodec({ name, size, align: 8, fields: found.fields, layout, kept: found.kept })
  }

  /** The name that a typedef gives; '' for none. */
  #typedefOf(id: number): string {
    let type = this.btf.type(id)
    while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'var') type = this.btf.type(type.type)
    return type.kind === 'typedef' ? type.name : ''
  }

  #alignOf(id: number): Codec<unknown>['align'] {
    return this.btf.alignOf(id) as Codec<unknown>['align']
  }
}

/** How messages about a type begin. */
function titleOf(btf: Btf, id: number): string {
  // Refuses a circle.
  btf.resolve(id)
  let type: BtfType = btf.type(id)
  while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'restrict') type = btf.type(type.type)
  if (type.kind === 'void' || type.kind === 'fwd') return 'the type'
  const kind = type.kind === 'typedef' || type.kind === 'datasec' || type.kind === 'int' ? '' : `${type.kind} `
  return type.name === '' ? `${kind}#${id}` : `${kind}${type.name}`
}

/** What has no name of its own: the first of its members only, as structs may have hundreds. */
function spelt(kind: string, fields: readonly { readonly name: string; readonly codec: Codec<unknown> }[]): string {
  const shown = fields.slice(0, 4).map(({ name, codec }) => `${name}: ${codec.name.length > 40 ? '...' : codec.name}`)
  return `${kind} { ${shown.join(', ')}${fields.length > 4 ? ', ...' : ''} }`
}
