import { BtfError } from '../error'
import type { BtfStruct, BtfUnion } from '../types'
import { type Field, fieldsOf, type Types } from './types'

/** What C must be told of a struct or union, beside its members, for it to become as BTF says. */
export interface CLayout {
  /** In bytes, as C sees what is printed. */
  readonly align: number
  readonly packed: boolean
  /** The attribute that some unions need to become as large as they are, in bytes. */
  readonly aligned: number | undefined
  /** Members, and the unnamed bit fields between and behind them. */
  readonly parts: readonly (Field | CPadding)[]
}

interface Shape {
  readonly size: number
  readonly align: number
}

/** An unnamed bit field; or bytes with a name, where that is too narrow. */
export type CPadding =
  | { readonly padding: 'char' | 'short' | 'int' | 'long'; readonly bits: number }
  | { readonly padding: 'char'; readonly bytes: number; readonly name: string }

/** Arrays of arrays: more are a circle. */
const MOST_DIMENSIONS = 1000

/** Bits up to which padding is unnamed bit fields. What is longer no compiler writes. */
const MOST_BITS = 2 ** 16

const PADDINGS = [
  ['char', 8],
  ['short', 16],
  ['int', 32],
  ['long', 64],
] as const

/**
 * Finds out what C makes of members by doing as it does (System V ABI, "Bit-Fields" among it; BPF's is the same), and what
 * has to be added where that is not what BTF says. BTF knows no attributes: `packed` is found where a member, the end, or a
 * bit field is where C would not put it; alignment becomes padding, which puts everything where it is.
 */
export class CLayouts {
  readonly #types: Types
  readonly #known = new Map<number, CLayout | 'open'>()
  readonly #shapes = new Map<number, Shape>()

  constructor(types: Types) {
    this.#types = types
  }

  of(type: BtfStruct | BtfUnion): CLayout {
    const known = this.#known.get(type.id)
    if (known === 'open') throw new BtfError(this.#types.btf.name, `type ${type.id} is in itself`)
    if (known !== undefined) return known
    this.#known.set(type.id, 'open')
    try {
      const layout = this.#types.deeper(type.id, () => this.#layOut(type))
      this.#known.set(type.id, layout)
      return layout
    } catch (error) {
      this.#known.delete(type.id)
      throw error
    }
  }

  /** Size and alignment in bytes. What has neither has no place in a struct of C, and takes none here. */
  #shape(id: number): Shape {
    let shape = this.#shapes.get(id)
    if (shape === undefined) {
      shape = this.#newShape(id)
      this.#shapes.set(id, shape)
    }
    return shape
  }

  #newShape(id: number): Shape {
    let count = 1
    let left = this.#types.of(id)
    for (let depth = 0; ; depth++) {
      if (depth > MOST_DIMENSIONS) throw this.#types.tooDeep(id)
      switch (left.kind) {
        case 'array':
          count *= left.length
          left = this.#types.of(left.type)
          break
        case 'struct':
        case 'union':
          return { size: count * left.size, align: this.of(left).align }
        case 'ptr':
        case 'int':
        case 'enum':
        case 'enum64':
        case 'float': {
          const align = this.#types.btf.alignOf(left.id)
          return { size: count * (left.kind === 'ptr' ? align : left.size), align }
        }
        case 'typedef':
        case 'const':
        case 'volatile':
        case 'restrict':
        case 'type_tag': {
          const behind = this.#types.resolve(left.id)
          left = behind.kind === 'fwd' ? this.#types.definition(behind) : behind
          break
        }
        default:
          return { size: 0, align: 1 }
      }
    }
  }

  #layOut(type: BtfStruct | BtfUnion): CLayout {
    const fields = fieldsOf(this.#types, type)
    const shapes = fields.map((field) => this.#shape(field.type))
    const natural = shapes.reduce((strictest, { align }) => Math.max(strictest, align), 1)
    const packed =
      type.size % natural !== 0 ||
      fields.some(({ bitOffset, bits }, i) => {
        const { size, align } = shapes[i] as Shape
        return bits === undefined ? bitOffset % (8 * align) !== 0 : straddles(bitOffset, bits, 8 * size)
      })
    const align = packed ? 1 : natural
    if (type.kind === 'union') return this.#unionLayout(type, fields, shapes, packed, align)

    const parts: (Field | CPadding)[] = []
    let end = 0
    for (const [i, field] of fields.entries()) {
      const { size, align } = shapes[i] as Shape
      if (field.bits === undefined) {
        // C goes on at the next byte that suits.
        if (roundUp(end, packed ? 8 : 8 * align) !== field.bitOffset) pad(parts, end, field.bitOffset)
        end = field.bitOffset + 8 * size
      } else {
        const next = packed || !straddles(end, field.bits, 8 * size) ? end : roundUp(end, 8 * size)
        if (next !== field.bitOffset) pad(parts, end, field.bitOffset)
        end = field.bitOffset + field.bits
      }
      parts.push(field)
    }
    if (roundUp(end, 8 * align) < 8 * type.size) pad(parts, end, 8 * type.size)
    return { align, packed, aligned: undefined, parts }
  }

  #unionLayout(
    type: BtfUnion,
    fields: readonly Field[],
    shapes: readonly Shape[],
    packed: boolean,
    align: number,
  ): CLayout {
    const sizes = fields.map(({ bits }, i) => (bits === undefined ? (shapes[i]?.size ?? 0) : Math.ceil(bits / 8)))
    const largest = sizes.reduce((most, size) => Math.max(most, size), 0)
    if (roundUp(largest, align) >= type.size) return { align, packed, aligned: undefined, parts: fields }
    if (type.size <= 8) {
      const parts: (Field | CPadding)[] = [...fields]
      pad(parts, 0, 8 * type.size)
      return { align, packed, aligned: undefined, parts }
    }
    let aligned = align
    while (aligned < type.size && roundUp(largest, aligned) < type.size) aligned *= 2
    if (roundUp(largest, aligned) === type.size) return { align: aligned, packed, aligned, parts: fields }
    return {
      align,
      packed,
      aligned: undefined,
      parts: [...fields, { padding: 'char', bytes: type.size, name: '__padding' }],
    }
  }
}

/** Whether so many bits from there on are in more than one unit of their type, where C puts none. */
function straddles(bitOffset: number, bits: number, unit: number): boolean {
  return Math.floor(bitOffset / unit) !== Math.floor((bitOffset + bits - 1) / unit)
}

/** Adds unnamed bit fields, none of them across a word of 64 bits, and each of the smallest type that holds it. */
function pad(parts: (Field | CPadding)[], from: number, to: number): void {
  for (let at = from; at < to; ) {
    if (at % 64 === 0 && to - at > MOST_BITS) {
      const bytes = Math.floor((to - at) / 8)
      parts.push({ padding: 'char', bytes, name: `__padding_${at / 8}` })
      at += 8 * bytes
      continue
    }
    const end = Math.min(to, (Math.floor(at / 64) + 1) * 64)
    const bits = end - at
    const [padding] = PADDINGS.find(([, unit]) => !straddles(at, bits, unit)) ?? PADDINGS[3]
    parts.push({ padding, bits })
    at = end
  }
}

function roundUp(n: number, to: number): number {
  return Math.ceil(n / to) * to
}
