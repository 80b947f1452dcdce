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

/** What has been looked for, for as long as the BTF itself is in use. */
const searched = new WeakMap<Btf, Searched>()

class Searched {
  readonly #btf: Btf
  readonly #ids = new Map<string, readonly number[]>()
  #flavours: ReadonlyMap<string, readonly string[]> | undefined

  private constructor(btf: Btf) {
    this.#btf = btf
  }

  static in(btf: Btf): Searched {
    let its = searched.get(btf)
    if (its === undefined) {
      its = new Searched(btf)
      searched.set(btf, its)
    }
    return its
  }

  /** The types of this BTF, without its base's, that have this name, whatever the flavour. */
  ids(name: string): readonly number[] {
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    this.#flavours ??= flavoursIn(this.#btf)
    const names = [name, ...(this.#flavours.get(name) ?? [])]
    const ids = names
      .flatMap((each) => this.#btf.ownIds(each))
      .filter((id) => NAMED.has(this.#btf.kindOf(id)))
      .sort((a, b) => a - b)
    this.#ids.set(name, ids)
    return ids
  }
}

/**
 * The names that have a flavour, by those without: a kernel's BTF has a hundred thousand names, and hardly one of these. So
 * they are found by their three underscores, and the rest by its hash. What is no string has no type of its name either.
 */
function flavoursIn({ bytes }: Btf): Map<string, string[]> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found = new Map<string, string[]>()
  for (let at = buffer.indexOf(MARK); at >= 0; ) {
    const end = buffer.indexOf(0, at)
    const to = end < 0 ? buffer.length : end
    let from = at
    while (from > 0 && buffer[from - 1] !== 0 && at - from < LONGEST) from--
    if (to - from <= LONGEST) {
      const name = buffer.toString('utf8', from, to)
      const essential = essentialName(name)
      if (essential !== name) {
        const others = found.get(essential)
        if (others === undefined) found.set(essential, [name])
        else if (!others.includes(name)) others.push(name)
      }
    }
    at = buffer.indexOf(MARK, to)
  }
  return found
}

/** What is longer is no name (KSYM_NAME_LEN is 512). */
const LONGEST = 1024
const MARK = Buffer.from('___')

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
      for (const other of Searched.in(btf).ids(name)) {
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

function isSameKind(one: BtfKind, other: BtfKind): boolean {
  return one === other || (one.startsWith('enum') && other.startsWith('enum'))
}
