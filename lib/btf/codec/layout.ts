import type { Codec } from '../../codec'
import type { Btf } from '../btf'
import type { BtfDatasec, BtfMember, BtfStruct, BtfUnion } from '../types'
import { kernelOwned } from './kernel-owned'
import type { Choice, Field, Layout } from './record'
import { bitsCodec } from './scalar'

/** What laying out needs of who makes codecs. */
export interface Maker {
  readonly btf: Btf
  /** The codec of a type in a place that messages name. */
  codecAt(id: number, path: string): Codec<unknown>
  refuse(path: string, reason: string): Error
}

/** What is found out of a struct: all of its members in order, and how they are written. */
export interface Found {
  readonly fields: Field[]
  readonly kept: Map<string, string>
}

/** Members of anonymous structs and unions that are gone through, for BTF in which they are made from each other. */
const MOST_MEMBERS = 65_536

/** Anonymous structs and unions in all: none of the kernel's has a hundred. */
const MOST_ANONYMOUS = 4096

/** Anonymous structs and unions in each other. */
const DEPTH = 64

/** Goes through structs and unions, and through the anonymous ones in them, whose members count as theirs. */
export class LayoutOf implements Found {
  readonly fields: Field[] = []
  readonly kept = new Map<string, string>()
  readonly #maker: Maker
  readonly #path: string
  readonly #size: number
  readonly #names = new Set<string>()
  #members = 0
  #entered = 0
  #depth = 0

  constructor(maker: Maker, path: string, size: number) {
    this.#maker = maker
    this.#path = path
    this.#size = size
  }

  /** `from` in bits. */
  of(type: BtfStruct | BtfUnion, from = 0): Layout {
    return type.kind === 'struct' ? this.#struct(type, from) : this.#ofUnion(type, from)
  }

  ofDatasec(type: BtfDatasec): Layout {
    const { btf } = this.#maker
    const own = type.vars.flatMap(({ type: id, offset }): Field[] => {
      const variable = btf.type(id)
      // A function of the kernel, which is named there and has no bytes.
      if (variable.kind !== 'var') return []
      const { name } = variable
      return [this.#add(name, offset, this.#maker.codecAt(variable.type, this.#pathTo(name)))]
    })
    return withGaps({ from: 0, to: type.size, own, choices: [] }, new Set())
  }

  #struct(type: BtfStruct, from: number): Layout {
    this.#enter(type, from)
    const own: Field[] = []
    const choices: Choice[] = []
    const inBits = new Set<Field>()
    for (const member of type.members) {
      const bits = from + member.bitOffset
      const inner = this.#anonymous(member)
      if (inner?.kind === 'struct') {
        const layout = this.#struct(inner, bits)
        for (const field of layout.own) own.push(field)
        for (const choice of layout.choices) choices.push(choice)
        for (const field of layout.own) if (isInGap(field, layout)) inBits.add(field)
      } else if (inner?.kind === 'union') {
        choices.push(this.#choice(inner, bits))
      } else {
        const found = this.#field(member, bits)
        if (found === undefined) continue
        own.push(found.field)
        if (found.inBits) inBits.add(found.field)
      }
    }
    this.#depth--
    return withGaps({ from: from / 8, to: from / 8 + type.size, own, choices: choices.filter(hasWays) }, inBits)
  }

  #ofUnion(type: BtfUnion, from: number): Layout {
    const choice = this.#choice(type, from)
    const choices = [choice].filter(hasWays)
    return withGaps({ from: choice.from, to: choice.to, own: [], choices }, new Set())
  }

  #choice(type: BtfUnion, from: number): Choice {
    this.#enter(type, from)
    const ways: Layout[] = []
    for (const member of type.members) {
      const bits = from + member.bitOffset
      const inner = this.#anonymous(member)
      if (inner?.kind === 'union') for (const way of this.#choice(inner, bits).ways) ways.push(way)
      else if (inner?.kind === 'struct') ways.push(this.#struct(inner, bits))
      else {
        const found = this.#field(member, bits)
        if (found === undefined) continue
        const { offset, codec } = found.field
        const layout = { from: offset, to: offset + codec.size, own: [found.field], choices: [] }
        // The choice itself has been set to zero; bits that another way has written must stay, to be compared.
        ways.push({ ...layout, gaps: [] })
      }
    }
    this.#depth--
    return { from: from / 8, to: from / 8 + type.size, ways: ways.filter(hasMembers) }
  }

  /** What is written as a whole, its padding included, must be within what is around it. */
  #enter({ kind, size }: BtfStruct | BtfUnion, from: number): void {
    if (++this.#depth > DEPTH) throw this.#maker.refuse(this.#path, `is in itself, or more than ${DEPTH} deep`)
    if (++this.#entered > MOST_ANONYMOUS) {
      throw this.#maker.refuse(this.#path, `has more than ${MOST_ANONYMOUS} structs and unions without names`)
    }
    const end = from / 8 + size
    if (end <= this.#size) return
    throw this.#maker.refuse(this.#path, `has a ${kind} that ends at ${end}, and the whole has ${this.#size} bytes`)
  }

  /** The struct or union that a member without a name is. */
  #anonymous(member: BtfMember): BtfStruct | BtfUnion | undefined {
    if (++this.#members > MOST_MEMBERS) throw this.#maker.refuse(this.#path, `has more than ${MOST_MEMBERS} members`)
    if (member.name !== '') return undefined
    const type = this.#maker.btf.resolve(member.type)
    if (type.kind !== 'struct' && type.kind !== 'union') return undefined
    if (member.bitOffset % 8 !== 0) throw this.#maker.refuse(this.#path, `has a ${type.kind} within a byte`)
    return type
  }

  /** What a member is read and written by; undefined for padding, and for what the kernel keeps to itself. */
  #field(member: BtfMember, from: number): { readonly field: Field; readonly inBits: boolean } | undefined {
    const { name, type: id, bitfieldSize } = member
    if (name === '') return undefined
    const { btf } = this.#maker
    const kept = kernelOwned(btf, id)
    if (kept !== undefined) {
      this.kept.set(name, kept)
      return undefined
    }
    const path = this.#pathTo(name)
    const type = btf.resolve(id)
    const integral = type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64'
    // Without kind_flag it is the integer that tells: bits that it has not, or a place within a byte.
    const old = type.kind === 'int' && (type.bits !== type.size * 8 || type.bitOffset !== 0)
    if (bitfieldSize === 0 && !old && from % 8 === 0) {
      return { field: this.#add(name, from / 8, this.#maker.codecAt(id, path)), inBits: false }
    }
    if (!integral) throw this.#maker.refuse(path, `is a ${type.kind} in a bit field`)
    const start = from + (type.kind === 'int' ? type.bitOffset : 0)
    const bits = bitfieldSize > 0 ? bitfieldSize : type.kind === 'int' ? type.bits : type.size * 8
    if (bits > type.size * 8 || bits === 0) {
      throw this.#maker.refuse(path, `is a bit field of ${bits} bits, of a type of ${type.size * 8}`)
    }
    const codec = bitsCodec(btf, type, { bitOffset: start % 8, bits })
    if (codec === undefined) throw this.#maker.refuse(path, `is a bit field of ${bits} bits`)
    return { field: this.#add(name, Math.floor(start / 8), codec), inBits: true }
  }

  #add(name: string, offset: number, codec: Codec<unknown>): Field {
    const path = this.#pathTo(name)
    // C allows neither; an object would take the one for its prototype, and keep one value of two members.
    if (name === '__proto__') throw this.#maker.refuse(path, 'cannot be the name of a property')
    if (this.#names.has(name)) throw this.#maker.refuse(path, 'is there twice')
    if (offset + codec.size > this.#size) {
      throw this.#maker.refuse(path, `ends at ${offset + codec.size}, and the whole has ${this.#size} bytes`)
    }
    this.#names.add(name)
    const field = { name, offset, codec }
    this.fields.push(field)
    return field
  }

  #pathTo(name: string): string {
    return `${this.#path}.${name}`
  }
}

function hasWays({ ways }: Choice): boolean {
  return ways.length > 0
}

function hasMembers({ own, choices }: Layout): boolean {
  return own.length > 0 || choices.length > 0
}

/** Whether a member is one of those whose bytes are set to zero first. */
function isInGap({ offset }: Field, { gaps }: Layout): boolean {
  // They are in order.
  let [low, high] = [0, gaps.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((gaps[middle] as readonly [number, number])[0] <= offset) low = middle + 1
    else high = middle
  }
  const [, to = 0] = gaps[low - 1] ?? []
  return offset < to
}

/** Everything that is written neither by a whole member nor by a union: padding, bit fields, what the kernel keeps. */
function withGaps(layout: Omit<Layout, 'gaps'>, inBits: ReadonlySet<Field>): Layout {
  const covered = [
    ...layout.own.filter((field) => !inBits.has(field)).map(({ offset, codec }) => [offset, offset + codec.size]),
    ...layout.choices.map(({ from, to }) => [from, to]),
  ].sort(([a = 0], [b = 0]) => a - b)
  const gaps: (readonly [number, number])[] = []
  let end = layout.from
  for (const [from = 0, to = 0] of covered) {
    if (from > end) gaps.push([end, from])
    end = Math.max(end, to)
  }
  if (layout.to > end) gaps.push([end, layout.to])
  return { ...layout, gaps }
}
