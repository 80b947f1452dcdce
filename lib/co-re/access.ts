import type { Btf } from '../btf'
import { Refusal } from './error'
import { type CoreKind, isEnumKind, isFieldKind } from './kinds'
import { typeName } from './names'

/** BPF_CORE_SPEC_MAX_LEN of libbpf: an access that goes through more is refused. */
export const MOST_STEPS = 64

/** A step of an access: to a member or enumerator that has a name, or to an element. */
export interface Step {
  /** The id of the struct, union or enum that the name is in; of the elements' type where there is no name. */
  readonly type: number
  /** Which member, enumerator or element. */
  readonly index: number
  readonly name: string | undefined
}

/** A type and a way into it: `struct sample.a[2].b`. */
export interface Access {
  readonly btf: Btf
  /** The id of the type it begins with. */
  readonly root: number
  /** Without the anonymous structs and unions on the way. */
  readonly steps: readonly Step[]
  readonly bitOffset: number
}

/** Where offsets end: those of libbpf have 32 bits. */
const MOST_BITS = 2 ** 32

/** An access under way: the same in both BTFs, and checked in the same way. */
export class Path implements Access {
  readonly btf: Btf
  readonly root: number
  readonly steps: Step[] = []
  bitOffset = 0

  constructor(btf: Btf, root: number) {
    this.btf = btf
    this.root = root
  }

  member(type: number, index: number, name: string): void {
    this.steps.push({ type, index, name })
  }

  /** `type` is that of the elements. */
  element(type: number, index: number): void {
    this.steps.push({ type, index, name: undefined })
    this.advance(index * this.btf.sizeOf(type) * 8)
  }

  advance(bits: number): void {
    this.bitOffset += bits
    if (this.bitOffset >= MOST_BITS) throw new Refusal(`${describe(this)} would be more than 512 MiB behind its start`)
  }

  /** Whether the last step is to an array whose length is open: `int items[]` at the end of a struct. */
  endsInOpenArray(length: number): boolean {
    const last = this.steps.at(-1)
    if (length > 0 || last?.name === undefined) return false
    const around = this.btf.type(last.type)
    return (around.kind === 'struct' || around.kind === 'union') && last.index === around.members.length - 1
  }
}

/**
 * Reads what a relocation says of the program's own types. `access` is numbers between colons: for an enumerator its
 * place; for a field 0 (or the element, where the root is meant as an array), and then the place of each member, the
 * anonymous ones included, and each index. What asks about a whole type has "0" there. Throws Refusal, and BtfError.
 */
export function readAccess(local: Btf, root: number, access: string, kind: CoreKind): Access {
  local.resolve(root)
  if (!isFieldKind(kind) && !isEnumKind(kind)) {
    if (access !== '0') throw new Refusal(`its access string is ${quoted(access)}, and that of a whole type is '0'`)
    return new Path(local, root)
  }
  const indices = readIndices(access)
  return isFieldKind(kind) ? readField(local, root, indices) : readEnumerator(local, root, indices)
}

function readIndices(access: string): number[] {
  if (access.length > MOST_STEPS * 11) {
    throw new Refusal(`its access string has ${access.length} characters, more than ${MOST_STEPS} steps can have`)
  }
  if (!/^\d{1,10}(:\d{1,10})*$/.test(access)) {
    throw new Refusal(`its access string is ${quoted(access)}, and not numbers between colons, as '0:1:2'`)
  }
  const indices = access.split(':').map(Number)
  if (indices.length > MOST_STEPS)
    throw new Refusal(`its access string has ${indices.length} steps, and at most 64 are taken`)
  const large = indices.find((index) => index > 0x7fff_ffff)
  if (large !== undefined) throw new Refusal(`its access string has ${large}, which is too large for an index`)
  return indices
}

function readEnumerator(local: Btf, root: number, indices: readonly number[]): Access {
  const type = local.resolve(root)
  if (type.kind !== 'enum' && type.kind !== 'enum64') throw new Refusal(`${typeName(local, root)} is no enum`)
  if (indices.length > 1)
    throw new Refusal(`its access string has ${indices.length} steps, and that of an enumerator has one`)
  const index = indices[0] as number
  const value = type.values[index]
  if (value === undefined) throw outside(typeName(local, root), type.values.length, 'values', index)
  const path = new Path(local, root)
  path.member(type.id, index, value.name)
  return path
}

function readField(local: Btf, root: number, [first = 0, ...indices]: readonly number[]): Access {
  const path = new Path(local, root)
  let type = local.resolve(root)
  path.element(type.id, first)
  for (const index of indices) {
    if (type.kind === 'struct' || type.kind === 'union') {
      const member = type.members[index]
      if (member === undefined) throw outside(describe(path), type.members.length, 'members', index)
      path.advance(member.bitOffset)
      if (member.name !== '') path.member(type.id, index, member.name)
      type = local.resolve(member.type)
    } else if (type.kind === 'array') {
      const element = local.resolve(type.type)
      if (!path.endsInOpenArray(type.length) && index >= type.length) {
        throw outside(describe(path), type.length, 'elements', index)
      }
      path.element(element.id, index)
      type = element
    } else {
      const is = typeName(local, type.id)
      const what = path.steps.length === 1 ? is : `${describe(path)} is ${is}, which`
      throw new Refusal(`${what} has nothing in it`)
    }
  }
  return path
}

function outside(what: string, length: number, things: string, index: number): Refusal {
  return new Refusal(`${what} has ${length} ${things}, and its access string asks for number ${index}`)
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text)
}

/** As C would write it: `struct sample.a[2].b`, `enum colour::GREEN`. */
export function describe({ btf, root, steps }: Access): string {
  const inEnum = btf.resolve(root).kind.startsWith('enum')
  const parts = steps.map(({ name, index }, i) => {
    if (name !== undefined) return `${inEnum ? '::' : '.'}${name}`
    return i > 0 || index > 0 ? `[${index}]` : ''
  })
  return `${typeName(btf, root)}${parts.join('')}`
}
