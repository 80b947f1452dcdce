import type { Btf } from '../btf'
import { BtfError } from '../error'
import type { BtfFwd, BtfMember, BtfStruct, BtfType, BtfUnion } from '../types'

/** Deeper than any compiler writes; what is deeper is a circle. */
const DEPTH = 200

/**
 * What one printing may come to: a character is 1, a type that is gone into is 64. C and TypeScript write out again what has
 * no name wherever it is used, so that types made from each other twice over, thirty deep, would be without end. The
 * kernel's own BTF comes to a fifth of it.
 */
const MOST = { beside: 2 ** 21, each: 16 }
const TYPE = 64

/** The types of one BTF while they are printed: each is read once. */
export class Types {
  readonly btf: Btf
  readonly #known: BtfType[] = []
  readonly #definitions = new Map<number, BtfType>()
  #depth = 0
  /** What is left. */
  #room = MOST.beside

  constructor(btf: Btf) {
    this.btf = btf
    for (let each: Btf | undefined = btf; each !== undefined; each = each.base)
      this.#room += MOST.each * each.bytes.length
  }

  of(id: number): BtfType {
    let type = this.#known[id]
    if (type === undefined) {
      type = this.btf.type(id)
      this.#known[id] = type
    }
    return type
  }

  /** The struct or union that a declaration is of, where just one has its name; else the declaration. */
  definition(fwd: BtfFwd): BtfType {
    let found = this.#definitions.get(fwd.id)
    if (found === undefined) {
      const all = this.btf.findAll(fwd.name, fwd.of)
      found = all.length === 1 ? (all[0] as BtfType) : fwd
      this.#definitions.set(fwd.id, found)
    }
    return found
  }

  /** The type, with a declaration's definition in its place where that is known. */
  defined(id: number): BtfType {
    const type = this.of(id)
    return type.kind === 'fwd' ? this.definition(type) : type
  }

  /** What is left without typedefs and qualifiers. */
  resolve(id: number): BtfType {
    return this.of(this.btf.resolve(id).id)
  }

  /** Whether a typedef gives it a name. */
  isNamed(id: number): boolean {
    let type = this.of(id)
    while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'type_tag') type = this.of(type.type)
    return type.kind === 'typedef'
  }

  /** Runs what goes into types that are made from others. */
  deeper<T>(id: number, go: () => T): T {
    if (this.#depth === DEPTH) throw this.tooDeep(id)
    this.spend(id, TYPE)
    this.#depth++
    try {
      return go()
    } finally {
      this.#depth--
    }
  }

  /** Counts what is printed of a type. Throws BtfError where it becomes too much. */
  spend(id: number, count: number): void {
    this.#room -= count
    if (this.#room >= 0) return
    const why = 'is written out over and over, as what it is made from has no names'
    throw new BtfError(this.btf.name, `type ${id} ${why}: it would be much longer than the BTF`)
  }

  tooDeep(id: number): BtfError {
    return new BtfError(this.btf.name, `type ${id} is made from itself, or from more than ${DEPTH} others`)
  }
}

/** A member, with the bits of a bit field wherever the compiler has written them. */
export interface Field {
  readonly name: string
  readonly type: number
  readonly bitOffset: number
  /** The bits of a bit field; undefined in what is none. */
  readonly bits: number | undefined
}

/** The members of a struct or union. Old compilers say what a bit field is in its type: an int of 3 bits. */
export function fieldsOf(types: Types, type: BtfStruct | BtfUnion): Field[] {
  return type.members.map((member) => fieldOf(types, member))
}

function fieldOf(types: Types, { name, type, bitOffset, bitfieldSize }: BtfMember): Field {
  if (bitfieldSize !== 0) return { name, type, bitOffset, bits: bitfieldSize }
  const behind = types.of(type)
  const scalar =
    behind.kind === 'ptr' || behind.kind === 'struct' || behind.kind === 'array' ? behind : types.resolve(type)
  if (scalar.kind !== 'int' || (scalar.bitOffset === 0 && scalar.bits === 8 * scalar.size)) {
    return { name, type, bitOffset, bits: undefined }
  }
  return { name, type, bitOffset: bitOffset + scalar.bitOffset, bits: scalar.bits }
}
