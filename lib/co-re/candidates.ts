import type { Btf, BtfKind } from '../btf'
import { essentialName, typeName } from './names'

/** A type of the target whose name and kind are those of one of the program's. */
export interface Candidate {
  readonly btf: Btf
  readonly id: number
}

/** What has a name that means something by itself; functions and variables are no answer to any relocation. */
const NAMED: ReadonlySet<BtfKind> = new Set([
  ...(['int', 'float', 'struct', 'union', 'enum', 'enum64', 'fwd', 'typedef'] as const),
])

/** Their ids by names without flavours, for as long as the BTF itself is in use: some ten thousand in a kernel's. */
const indices = new WeakMap<Btf, Index>()

/** Most names have one type: a list of it for each would cost as much as the rest of the index. */
type Index = ReadonlyMap<string, number | readonly number[]>

function indexOf(btf: Btf): Index {
  const known = indices.get(btf)
  if (known !== undefined) return known
  const index = new Map<string, number | number[]>()
  for (let id = btf.firstId; id < btf.firstId + btf.size; id++) {
    if (!NAMED.has(btf.kindOf(id))) continue
    const name = essentialName(btf.nameOf(id))
    const ids = index.get(name)
    if (ids === undefined) index.set(name, id)
    else if (typeof ids === 'number') index.set(name, [ids, id])
    else ids.push(id)
  }
  indices.set(btf, index)
  return index
}

/**
 * What may be meant by the types of one object, in the kernel's BTF; in that of modules only where the kernel's has
 * nothing. `targets` is gone through no further than is needed.
 */
export class Candidates {
  readonly #local: Btf
  readonly #targets: Iterator<Btf>
  readonly #read: Btf[] = []
  #isDone = false
  /** By the id of the program's type. */
  readonly #found = new Map<number, readonly Candidate[]>()

  constructor(local: Btf, targets: Iterable<Btf>) {
    this.#local = local
    this.#targets = targets[Symbol.iterator]()
  }

  of(id: number): readonly Candidate[] {
    const known = this.#found.get(id)
    if (known !== undefined) return known
    const found = this.#search(id)
    this.#found.set(id, found)
    return found
  }

  /**
   * What has answered one relocation of a type is what the next ones are asked of (libbpf does the same): of several types
   * of one name, those that have not got the fields are not the ones that the program means.
   */
  keep(id: number, those: readonly Candidate[]): void {
    this.#found.set(id, those)
  }

  /** Why there are none. */
  missing(id: number): string {
    const [kernel, ...modules] = this.#read
    const more = modules.length === 0 ? '' : `, nor has any of ${modules.length} modules`
    return `${kernel?.name} has no ${essentialName(typeName(this.#local, id))}${more}`
  }

  /** Whether there is anything to look into. */
  get isEmpty(): boolean {
    return this.#target(0) === undefined
  }

  #search(id: number): readonly Candidate[] {
    const found: Candidate[] = []
    const kind = this.#local.kindOf(id)
    const name = essentialName(this.#local.nameOf(id))
    for (let i = 0, btf = this.#target(0); btf !== undefined; btf = this.#target(++i)) {
      const ids = indexOf(btf).get(name) ?? NONE
      for (const other of typeof ids === 'number' ? [ids] : ids) {
        if (isSameKind(btf.kindOf(other), kind)) found.push({ btf, id: other })
      }
      if (i === 0 && found.length > 0) break
    }
    return found
  }

  #target(i: number): Btf | undefined {
    while (this.#read.length <= i && !this.#isDone) {
      const { done, value } = this.#targets.next()
      if (done === true) this.#isDone = true
      else this.#read.push(value)
    }
    return this.#read[i]
  }
}

const NONE: readonly number[] = []

function isSameKind(one: BtfKind, other: BtfKind): boolean {
  return one === other || (one.startsWith('enum') && other.startsWith('enum'))
}
