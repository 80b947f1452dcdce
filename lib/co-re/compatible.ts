import type { Btf, BtfFuncProto, BtfResolved, BtfType } from '../btf'
import { Refusal } from './error'
import { essentialName } from './names'

/** How deep libbpf follows types into each other. */
export const DEPTH = 32
/** More pairs of types than any two of real programs and kernels lead to. */
const MOST_PAIRS = 2 ** 16

const isEnum = (type: BtfType): boolean => type.kind === 'enum' || type.kind === 'enum64'

/** An enum that has become too large for 32 bits is another kind, and the same enum. */
export function sameKind(one: BtfType, other: BtfType): boolean {
  return one.kind === other.kind || (isEnum(one) && isEnum(other))
}

/** Bit fields that old compilers made integers of their own are no answer to anything. */
function plainInts(one: BtfType, other: BtfType): boolean {
  return one.kind === 'int' && other.kind === 'int' && one.bitOffset === 0 && other.bitOffset === 0
}

/**
 * Whether a field of one type may stand for a field of the other (bpf_core_fields_are_compat of libbpf). Sizes, signs and
 * lengths may differ, what pointers point to is not looked at, and a struct may have become another struct or union.
 */
export function fieldsAreCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  for (let depth = 0, one = localId, other = targetId; depth <= DEPTH; depth++) {
    const mine: BtfResolved = local.resolve(one)
    const its: BtfResolved = target.resolve(other)
    if (isComposite(mine) && isComposite(its)) return true
    if (!sameKind(mine, its)) return false
    switch (mine.kind) {
      case 'ptr':
      case 'float':
        return true
      case 'fwd':
      case 'enum':
      case 'enum64': {
        const [name, itsName] = [essentialName(mine.name), essentialName(its.name)]
        return name === '' || itsName === '' || name === itsName
      }
      case 'int':
        return plainInts(mine, its)
      case 'array':
        one = mine.type
        other = (its as typeof mine).type
        break
      default:
        return false
    }
  }
  throw tooDeep()
}

export function isComposite(type: BtfType): type is Extract<BtfType, { kind: 'struct' | 'union' }> {
  return type.kind === 'struct' || type.kind === 'union'
}

/**
 * Whether a type whose name is the same stands for the same thing (bpf_core_types_are_compat of libbpf): its kind, and
 * that of what it points to, is made of, takes and returns. What is in a struct is not looked at.
 */
export function typesAreCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return new Comparison(local, target, false).compatible(localId, targetId, DEPTH)
}

/**
 * The same of what an object declares and the kernel has: `struct task_struct;` alone stands for the whole struct there,
 * as it does in C (libbpf takes it for another kind of type).
 */
export function declarationIsCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return new Comparison(local, target, true).compatible(localId, targetId, DEPTH)
}

/** Pairs of types that have been compared, so that what is used many times over is not gone through as often. */
export class Pairs {
  readonly #known = new Map<string, boolean>()
  #asked = 0

  get(pair: string, compare: () => boolean): boolean {
    if (++this.#asked > MOST_PAIRS) throw new Refusal('its types are made from too many others to compare them')
    const known = this.#known.get(pair)
    if (known !== undefined) return known
    const result = compare()
    this.#known.set(pair, result)
    return result
  }
}

class Comparison {
  readonly #local: Btf
  readonly #target: Btf
  readonly #declared: boolean
  readonly #pairs = new Pairs()

  constructor(local: Btf, target: Btf, declared: boolean) {
    this.#local = local
    this.#target = target
    this.#declared = declared
  }

  compatible(localId: number, targetId: number, level: number): boolean {
    return this.#pairs.get(`${localId} ${targetId}`, () => this.#compare(localId, targetId, level))
  }

  #compare(localId: number, targetId: number, level: number): boolean {
    for (let depth = 0, one = localId, other = targetId; depth < DEPTH; depth++) {
      const mine: BtfResolved = this.#local.resolve(one)
      const its: BtfResolved = this.#target.resolve(other)
      if (this.#declared && mine.kind === 'fwd' && mine.of === its.kind) return true
      if (!sameKind(mine, its)) return false
      switch (mine.kind) {
        case 'void':
        case 'struct':
        case 'union':
        case 'enum':
        case 'enum64':
        case 'fwd':
          return true
        case 'int':
          return plainInts(mine, its)
        case 'ptr':
        case 'array':
          one = mine.type
          other = (its as typeof mine).type
          break
        case 'func_proto':
          if (!this.#parameters(mine, its as BtfFuncProto, level)) return false
          one = mine.returns
          other = (its as BtfFuncProto).returns
          break
        default:
          return false
      }
    }
    throw tooDeep()
  }

  #parameters(mine: BtfFuncProto, its: BtfFuncProto, level: number): boolean {
    const types = parameterTypes(mine)
    const itsTypes = parameterTypes(its)
    if (types.length !== itsTypes.length) return false
    if (types.length > 0 && level <= 0) throw tooDeep()
    return types.every((type, i) => this.compatible(type, itsTypes[i] as number, level - 1))
  }
}

/** `...` is a last parameter of no type. */
export function parameterTypes({ params, variadic }: BtfFuncProto): number[] {
  const types = params.map(({ type }) => type)
  return variadic ? [...types, 0] : types
}

export function tooDeep(): Refusal {
  return new Refusal(`its types are made from each other more than ${DEPTH} deep`)
}
