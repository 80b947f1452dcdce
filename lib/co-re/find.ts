import type { Btf, BtfMember } from '../btf'
import { type Access, MOST_STEPS, Path, type Step } from './access'
import { fieldsAreCompatible, isComposite, typesAreCompatible } from './compatible'
import { Refusal } from './error'
import { type CoreKind, isEnumKind, isFieldKind } from './kinds'
import { essentialName, shapeOf, typeName } from './names'
import { typesMatch } from './same'

/** Why a type of the kernel is not what the program means, as a sentence. */
export class Mismatch {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

/**
 * The access in a type of the target, as the program means it (bpf_core_spec_match of libbpf): by the names of fields and
 * enumerators, wherever they are, and by the same indices.
 */
export function findAccess(local: Access, kind: CoreKind, target: Btf, id: number): Access | Mismatch {
  if (isFieldKind(kind)) return new FieldSearch(local, target, id).find()
  if (isEnumKind(kind)) return findEnumerator(local, target, id)
  const fits = kind === 'type_matches' ? typesMatch : typesAreCompatible
  if (fits(local.btf, local.root, target, id)) return new Path(target, id)
  return new Mismatch(
    kind === 'type_matches'
      ? `${typeName(target, id)} of ${target.name} has not all that the program's has`
      : `${typeName(target, id)} of ${target.name} is something else`,
  )
}

function findEnumerator(local: Access, target: Btf, id: number): Access | Mismatch {
  const type = target.resolve(id)
  const { name = '' } = local.steps[0] as Step
  if (type.kind === 'enum' || type.kind === 'enum64') {
    const wanted = essentialName(name)
    const index = type.values.findIndex((value) => essentialName(value.name) === wanted)
    const found = type.values[index]
    if (found !== undefined) {
      const path = new Path(target, id)
      path.member(type.id, index, found.name)
      return path
    }
  }
  return new Mismatch(`${typeName(target, id)} of ${target.name} has no ${name}`)
}

const HAS_SIZE: ReadonlySet<string> = new Set(['struct', 'union', 'int', 'enum', 'enum64', 'float', 'ptr', 'array'])

/** What was found in a struct: the member's type, or why it is none of the program's. */
type Found = { readonly type: number } | Mismatch

class FieldSearch {
  readonly #local: Access
  readonly #target: Btf
  readonly #path: Path
  /** Members and elements gone through, the anonymous ones included. */
  #depth = 0

  constructor(local: Access, target: Btf, id: number) {
    this.#local = local
    this.#target = target
    this.#path = new Path(target, id)
  }

  find(): Access | Mismatch {
    let id = this.#path.root
    for (const [i, step] of this.#local.steps.entries()) {
      const found =
        i === 0 ? this.#root(id, step) : step.name === undefined ? this.#element(id, step) : this.#member(id, step)
      if (found instanceof Mismatch) return found
      id = found.type
    }
    return this.#path
  }

  #root(id: number, { index }: Step): Found {
    const type = this.#target.resolve(id)
    if (type.kind === 'fwd') return this.#mismatch('is declared, and not described', id)
    if (!HAS_SIZE.has(type.kind)) return this.#mismatch(`is ${shapeOf(this.#target, id)}, which has nothing in it`, id)
    this.#deeper()
    this.#path.element(type.id, index)
    return { type: type.id }
  }

  #element(id: number, { index }: Step): Found {
    const type = this.#target.resolve(id)
    if (type.kind !== 'array') return this.#mismatch(`has ${shapeOf(this.#target, id)} where the program has an array`)
    if (!this.#path.endsInOpenArray(type.length) && index >= type.length) {
      return this.#mismatch(`has an array of ${type.length} there, and the program wants element ${index}`)
    }
    const element = this.#target.resolve(type.type).id
    this.#deeper()
    this.#path.element(element, index)
    return { type: element }
  }

  #member(id: number, step: Step): Found {
    const found = this.#search(id, step, new Set())
    if (found === undefined) return this.#mismatch(`has no ${step.name}`, id)
    return found
  }

  /** Looks through the members in their order, and through those of anonymous structs and unions in their place. */
  #search(id: number, step: Step, seen: Set<number>): Found | undefined {
    const type = this.#target.resolve(id)
    // One that was gone through in vain need not be so again.
    if (!isComposite(type) || seen.has(type.id)) return undefined
    let mismatch: Mismatch | undefined
    for (const [index, member] of type.members.entries()) {
      this.#deeper()
      this.#path.advance(member.bitOffset)
      if (member.name === '') {
        const found = this.#search(member.type, step, seen)
        if (found !== undefined && !(found instanceof Mismatch)) return found
        mismatch ??= found
      } else if (member.name === step.name) {
        const found = this.#compare(type.id, index, member, step)
        if (!(found instanceof Mismatch)) return found
        mismatch ??= found
        // There is no second of that name.
        this.#back(member)
        break
      }
      this.#back(member)
    }
    seen.add(type.id)
    return mismatch
  }

  #back({ bitOffset }: BtfMember): void {
    this.#path.advance(-bitOffset)
    this.#depth--
  }

  #compare(type: number, index: number, member: BtfMember, step: Step): Found {
    const mine = this.#local.btf.type(step.type)
    const wanted = isComposite(mine) ? mine.members[step.index] : undefined
    if (wanted === undefined) throw new Refusal(`type ${step.type} of the program has no member ${step.index}`)
    if (fieldsAreCompatible(this.#local.btf, wanted.type, this.#target, member.type)) {
      this.#path.member(type, index, member.name)
      return { type: member.type }
    }
    const [is, was] = [shapeOf(this.#target, member.type), shapeOf(this.#local.btf, wanted.type)]
    return this.#mismatch(`has ${is} as its ${step.name}, where the program has ${was}`, type)
  }

  #deeper(): void {
    if (this.#depth === MOST_STEPS) throw new Refusal(`${typeName(this.#target, this.#path.root)} is more than 64 deep`)
    this.#depth++
  }

  #mismatch(reason: string, id = this.#path.root): Mismatch {
    const root = typeName(this.#target, this.#path.root)
    const isRoot = id === this.#path.root || id === this.#target.resolve(this.#path.root).id
    const inside = isRoot ? root : `${typeName(this.#target, id)} in ${root}`
    return new Mismatch(`${inside} of ${this.#target.name} ${reason}`)
  }
}
