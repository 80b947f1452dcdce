import type { Btf, BtfFuncProto, BtfMember, BtfResolved } from '../btf'
import { DEPTH, isComposite, Pairs, parameterTypes, tooDeep } from './compatible'
import { essentialName } from './names'

type Enum = Extract<BtfResolved, { kind: 'enum' | 'enum64' }>
type Composite = Extract<BtfResolved, { kind: 'struct' | 'union' }>

/**
 * Whether a type whose name is the same has all that the program's has (bpf_core_types_match of libbpf): a struct the same
 * members, by name and type, anywhere; an enum the same names, with any values; integers of the same size and sign. Behind
 * pointers only kinds and names of structs are compared. Typedefs and qualifiers are not looked at.
 */
export function typesMatch(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return new Matching(local, target).match(localId, targetId, false, DEPTH)
}

class Matching {
  readonly #local: Btf
  readonly #target: Btf
  readonly #pairs = new Pairs()

  constructor(local: Btf, target: Btf) {
    this.#local = local
    this.#target = target
  }

  match(localId: number, targetId: number, behindPointer: boolean, level: number): boolean {
    if (level <= 0) throw tooDeep()
    const pair = `${localId} ${targetId} ${behindPointer}`
    return this.#pairs.get(pair, () => this.#compare(localId, targetId, behindPointer, level))
  }

  #compare(localId: number, targetId: number, behind: boolean, level: number): boolean {
    let behindPointer = behind
    for (let depth = 0, one = localId, other = targetId; depth < DEPTH; depth++) {
      const mine: BtfResolved = this.#local.resolve(one)
      const its: BtfResolved = this.#target.resolve(other)
      if (essentialName(mine.name) !== essentialName(its.name)) return false
      switch (mine.kind) {
        case 'void':
          return its.kind === 'void'
        case 'fwd':
          if (its.kind === 'fwd') return mine.of === its.of
          return behindPointer && its.kind === mine.of
        case 'enum':
        case 'enum64':
          return (its.kind === 'enum' || its.kind === 'enum64') && enumsMatch(mine, its)
        case 'struct':
        case 'union':
          if (behindPointer) return its.kind === mine.kind || (its.kind === 'fwd' && its.of === mine.kind)
          return isComposite(its) && its.kind === mine.kind && this.#compositesMatch(mine, its, level)
        case 'int':
          return its.kind === 'int' && mine.size === its.size && isSigned(mine) === isSigned(its)
        case 'ptr':
          if (its.kind !== 'ptr') return false
          behindPointer = true
          one = mine.type
          other = its.type
          break
        case 'array':
          if (its.kind !== 'array' || mine.length !== its.length) return false
          one = mine.type
          other = its.type
          break
        case 'func_proto':
          if (its.kind !== 'func_proto' || !this.#parametersMatch(mine, its, behindPointer, level)) return false
          one = mine.returns
          other = its.returns
          break
        default:
          return false
      }
    }
    throw tooDeep()
  }

  #compositesMatch(mine: Composite, its: Composite, level: number): boolean {
    if (mine.members.length > its.members.length) return false
    // Anonymous ones are many, and may stand for each other.
    const named = new Map<string, BtfMember[]>()
    for (const member of its.members) {
      const name = essentialName(member.name)
      const others = named.get(name)
      if (others === undefined) named.set(name, [member])
      else others.push(member)
    }
    return mine.members.every((member) => {
      const candidates = named.get(essentialName(member.name)) ?? []
      return candidates.some(({ type }) => this.match(member.type, type, false, level - 1))
    })
  }

  #parametersMatch(mine: BtfFuncProto, its: BtfFuncProto, behindPointer: boolean, level: number): boolean {
    const types = parameterTypes(mine)
    const itsTypes = parameterTypes(its)
    if (types.length !== itsTypes.length) return false
    return types.every((type, i) => this.match(type, itsTypes[i] as number, behindPointer, level - 1))
  }
}

/** By name, not by value; the enum of the kernel may have more of them. */
function enumsMatch(mine: Enum, its: Enum): boolean {
  if (mine.size !== its.size || mine.values.length > its.values.length) return false
  const names = new Set(its.values.map(({ name }) => essentialName(name)))
  return mine.values.every(({ name }) => names.has(essentialName(name)))
}

function isSigned({ encoding }: Extract<BtfResolved, { kind: 'int' }>): boolean {
  return encoding === 'signed'
}
