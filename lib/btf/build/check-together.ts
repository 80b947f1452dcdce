/** What the kernel refuses in types that refer to one another: the resolve and check_member functions of kernel/bpf/btf.c. */
import type { BtfDescription, DescriptionOf } from './description'
import { labelOf } from './description'

/** MAX_RESOLVE_DEPTH: what is longer is E2BIG to the kernel. */
const DEPTH = 32
const TOO_DEEP = `there are more than ${DEPTH} types in one another, and the kernel goes no deeper`
const U32 = 0xffff_ffff
/** BPF programs have such pointers on every machine; what is loaded has those of the machine, which has 64 bits. */
const POINTER_BYTES = 8

type Types = readonly (BtfDescription | undefined)[]

/** Throws RangeError. */
export function checkTogether(types: Types): void {
  const together = new Together(types)
  for (let id = 1; id < types.length; id++) together.check(id)
}

class Together {
  /** By id: how many types are in one another; 0 while that is found out. */
  readonly #depths = new Map<number, number>()

  constructor(private readonly types: Types) {}

  check(id: number): undefined {
    const type = this.#type(id)
    if (this.#depth(id) > DEPTH) fail(type, TOO_DEEP)
    switch (type.kind) {
      case 'struct':
      case 'union':
        return this.#members(type)
      case 'array':
        return this.#array(type)
      case 'func':
        return this.#func(type)
      case 'func_proto':
        for (const [i, { type: of }] of type.params.entries()) this.#sized(type, `parameter ${i}`, of)
        return
      case 'var':
        this.#sized(type, 'its type', type.type)
        return
      case 'datasec':
        return this.#datasec(type)
      case 'decl_tag':
        return this.#declTag(type)
    }
  }

  #members(type: DescriptionOf<'struct'> | DescriptionOf<'union'>): undefined {
    for (const { name, type: of, bitOffset, bitfieldSize = 0 } of type.members) {
      const what = name === '' ? 'a member' : `member '${name}'`
      const size = this.#sized(type, what, of)
      const kind = this.#resolved(of)?.kind
      const scalar = kind === 'int' || kind === 'enum' || kind === 'enum64'
      if (bitfieldSize > 0 && (!scalar || bitfieldSize > size * 8)) {
        fail(type, `${what} is a bit field of ${bitfieldSize} bits, of what has ${size} bytes`)
      }
      // Old compilers have bit fields as integers of few bits.
      if (bitfieldSize === 0 && bitOffset % 8 !== 0 && kind !== 'int')
        fail(type, `${what} is at bit ${bitOffset}, within a byte`)
      const end = bitOffset + (bitfieldSize === 0 ? size * 8 : bitfieldSize)
      if (end > type.size * 8) fail(type, `${what} goes to bit ${end}, past its ${type.size} bytes`)
    }
  }

  #array(type: DescriptionOf<'array'>): undefined {
    const index = this.#resolved(type.indexType)
    const regular = index?.kind === 'int' && [1, 2, 4, 8, 16].includes(index.size) && (index.bitOffset ?? 0) === 0
    if (!regular || (index.bits ?? index.size * 8) !== index.size * 8) fail(type, 'the type of its index is no integer')
    const size = this.#sized(type, 'its element', type.type) * type.length
    if (size > U32) fail(type, `it has ${size} bytes`)
  }

  /** btf_func_check: the parameters of what is a function have names. */
  #func(type: DescriptionOf<'func'>): undefined {
    const proto = this.#type(type.type)
    if (proto.kind !== 'func_proto') fail(type, `its type is ${labelOf(proto)}, and not a func_proto`)
    const nameless = (proto as DescriptionOf<'func_proto'>).params.findIndex(({ name }) => name === '')
    if (nameless >= 0) fail(type, `parameter ${nameless} has no name`)
  }

  #datasec(type: DescriptionOf<'datasec'>): undefined {
    for (const [i, { type: of, size }] of type.vars.entries()) {
      const variable = this.#type(of)
      if (variable.kind !== 'var') fail(type, `variable ${i} is ${labelOf(variable)}, and not a var`)
      const needs = this.#sized(type, `variable ${i}`, (variable as DescriptionOf<'var'>).type)
      if (needs > size) fail(type, `variable ${i} has ${size} bytes, and its type ${needs}`)
    }
  }

  #declTag(type: DescriptionOf<'decl_tag'>): undefined {
    const { component = -1 } = type
    const of = this.#type(type.type)
    const parts =
      of.kind === 'struct' || of.kind === 'union'
        ? of.members.length
        : of.kind === 'func'
          ? (this.#type(of.type) as DescriptionOf<'func_proto'>).params.length
          : of.kind === 'var' || of.kind === 'typedef'
            ? 0
            : undefined
    if (parts === undefined)
      fail(type, `it is said of ${labelOf(of)}: of a struct, union, func, var or typedef it can be`)
    else if (component >= parts) fail(type, `component ${component} of ${labelOf(of)}, which has ${parts}`)
  }

  /** The size of what must have one. */
  #sized(type: BtfDescription, what: string, id: number): number {
    const of = this.#resolved(id)
    switch (of?.kind) {
      case 'ptr':
        return POINTER_BYTES
      case 'array':
        return this.#sized(type, what, of.type) * of.length
      case 'int':
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'float':
        return of.size
      default:
        return fail(type, `${what} is ${of === undefined ? 'void' : labelOf(of)}, which has no size`)
    }
  }

  /** Without typedefs, qualifiers and tags; undefined for void. That there is an end to them is known by now. */
  #resolved(id: number): BtfDescription | undefined {
    this.#depth(id)
    for (let left = id; left !== 0; ) {
      const type = this.#type(left)
      const isLink = ['typedef', 'volatile', 'const', 'restrict', 'type_tag'].includes(type.kind)
      if (!isLink) return type
      left = (type as DescriptionOf<'typedef'>).type
    }
    return undefined
  }

  #type(id: number): BtfDescription {
    const type = this.types[id]
    if (type === undefined) throw new RangeError(`type ${id} was reserved, and never defined`)
    return type
  }

  /** How many types are in one another here; refuses one that is in itself. */
  #depth(id: number, level = 0): number {
    if (id === 0) return 0
    // What is found in ids that come later; those before have been gone through.
    if (level > DEPTH) fail(this.#type(id), TOO_DEEP)
    const known = this.#depths.get(id)
    if (known === 0)
      throw new RangeError(`${labelOf(this.#type(id))}: it is in itself; a pointer to itself it can have`)
    if (known !== undefined) return known
    this.#depths.set(id, 0)
    let depth = 0
    for (const inner of inside(this.#type(id))) depth = Math.max(depth, this.#depth(inner, level + 1))
    this.#depths.set(id, depth + 1)
    return depth + 1
  }
}

/** The ids of what is in a type, so that it cannot be in that. A pointer ends it. */
function inside(type: BtfDescription): readonly number[] {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return type.members.map((member) => member.type)
    case 'array':
    case 'typedef':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'type_tag':
      return [type.type]
    default:
      return []
  }
}

function fail(type: BtfDescription, reason: string): never {
  throw new RangeError(`${labelOf(type)}: ${reason}`)
}
