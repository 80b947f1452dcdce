import { inspect } from 'node:util'
import { SLOT_BYTES } from '../asm/decode'
import { Btf, BtfError, type BtfRelocation } from '../btf'
import { type Access, describe, readAccess } from './access'
import { type Candidate, Candidates } from './candidates'
import { CoreError, Refusal } from './error'
import { findAccess, Mismatch } from './find'
import { CORE_KINDS, type CoreKind, KIND_WORDS } from './kinds'
import { typeName } from './names'
import { patch, poison } from './patch'
import { type Answer, answerOf, answerOfNothing } from './value'

/** An instruction that cannot be, as the target has not got what it needs. The verifier refuses it only if it is reached. */
export interface PoisonedInstruction {
  /** Counted in slots of 8 bytes; a constant of 64 bits is two, and this is its first. */
  readonly slot: number
  readonly kind: CoreKind
  /** What the program asks for: 'struct task_struct.pid', 'enum bpf_map_type::BPF_MAP_TYPE_ARENA'. */
  readonly what: string
  /** Why the target has no answer: 'struct task_struct of vmlinux has no pid'. */
  readonly reason: string
}

export interface Relocated {
  /** A copy of the instructions, with what the target says. */
  readonly insns: Uint8Array
  readonly poisoned: readonly PoisonedInstruction[]
}

export interface RelocateOptions {
  /** Instructions of 8 bytes each, in the machine's byte order. */
  readonly insns: Uint8Array
  /** What .BTF.ext says of them; offsets count from the first of these instructions. */
  readonly relocations: Iterable<BtfRelocation>
  /** The BTF of the object that the instructions are from. */
  readonly local: Btf
  /**
   * That of the kernel the program is for, and behind it those of its modules: they are gone through, and a generator read
   * on, only for types that the kernel itself has not got.
   */
  readonly targets: Iterable<Btf>
}

/** Relocates more instructions of the same object. */
export type Relocator = (insns: Uint8Array, relocations: Iterable<BtfRelocation>) => Relocated

/**
 * Makes compiled instructions fit the kernel that they are for ("compile once, run everywhere"): offsets and sizes of
 * fields, ids and sizes of types, values of enumerators, and whether there are any, as relo_core.c of libbpf does. Types
 * are found by name, without flavour (`struct foo___old` is a struct foo). Makes no system call. What the target has not
 * got poisons its instruction, as it may be one that is never reached: `bpf_core_field_exists` asks.
 *
 * Throws CoreError for a relocation that says what cannot be, that is not that of its instruction, or that types of one
 * name answer differently; TypeError, RangeError.
 */
export function relocate({ insns, relocations, local, targets }: RelocateOptions): Relocated {
  return relocator(local, targets)(insns, relocations)
}

/** The same for all programs of an object, which share what has been found out about its types. */
export function relocator(local: Btf, targets: Iterable<Btf>): Relocator {
  checkBtf(local, 'local')
  if (typeof targets !== 'object' || targets === null || !(Symbol.iterator in targets)) {
    throw new TypeError(`targets must be an array of Btf, or what can be gone through, not ${inspect(targets)}`)
  }
  const candidates = new Candidates(local, checked(targets))
  return (insns, relocations) => {
    if (!(insns instanceof Uint8Array)) throw new TypeError(`insns must be a Uint8Array, not ${inspect(insns)}`)
    if (insns.length % SLOT_BYTES !== 0) {
      throw new RangeError(`insns must be whole instructions of 8 bytes, and are ${insns.length} bytes`)
    }
    const bytes = new Uint8Array(insns)
    const view = new DataView(bytes.buffer)
    const poisoned: PoisonedInstruction[] = []
    let index = 0
    for (const relocation of relocations) {
      const failed = new Relocation(local, relocation, index++).apply(view, candidates)
      if (failed !== undefined) poisoned.push(failed)
    }
    return { insns: bytes, poisoned }
  }
}

function* checked(targets: Iterable<Btf>): Generator<Btf, void, undefined> {
  let i = 0
  for (const target of targets) {
    checkBtf(target, `targets[${i++}]`)
    yield target
  }
}

function checkBtf(value: unknown, name: string): void {
  if (!(value instanceof Btf)) throw new TypeError(`${name} must be a Btf, not ${inspect(value, { depth: 0 })}`)
}

/** One relocation, of one instruction. */
class Relocation {
  readonly #local: Btf
  readonly #relocation: BtfRelocation
  readonly #index: number

  constructor(local: Btf, relocation: BtfRelocation, index: number) {
    this.#local = local
    this.#relocation = relocation
    this.#index = index
  }

  /** Patches the instruction, or poisons it and says why. */
  apply(view: DataView, candidates: Candidates): PoisonedInstruction | undefined {
    const { offset, type, access } = this.#relocation
    let mine: Access | undefined
    try {
      const kind = this.#kind()
      const slot = slotOf(offset, view.byteLength)
      mine = readAccess(this.#local, type, access, kind)
      const own = answerOf(mine, kind)
      const found = kind === 'type_id_local' ? own : this.#ask(mine, kind, candidates)
      const reason = typeof found === 'string' ? found : patch(view, slot, own, found)
      if (reason === undefined) return undefined
      poison(view, slot)
      return { slot, kind, what: describe(mine), reason }
    } catch (error) {
      throw this.#explained(error, mine)
    }
  }

  /** What the target answers, or why it has no answer. */
  #ask(mine: Access, kind: CoreKind, candidates: Candidates): Answer | string {
    const { type } = this.#relocation
    if (this.#local.nameOf(type) === '') throw new Refusal('a type that has no name cannot be found in the target')
    if (candidates.isEmpty) throw new Refusal('there is no BTF to relocate it to')
    const all = candidates.of(type)
    const found: Found[] = []
    const reasons: string[] = []
    for (const candidate of all) {
      const access = findAccess(mine, kind, candidate.btf, candidate.id)
      if (access instanceof Mismatch) reasons.push(access.reason)
      else found.push({ candidate, access, answer: answerOf(access, kind) })
    }
    const [first] = found
    if (first !== undefined) {
      for (const other of found) checkAgree(first, other)
      candidates.keep(
        type,
        found.map(({ candidate }) => candidate),
      )
      return first.answer
    }
    return answerOfNothing(kind) ?? (all.length === 0 ? candidates.missing(type) : joined(reasons))
  }

  #kind(): CoreKind {
    const { kind } = this.#relocation
    const name = CORE_KINDS[kind]
    if (name !== undefined) return name
    throw new Refusal(`its kind is ${kind}, and those that are known are 0 to ${CORE_KINDS.length - 1}`)
  }

  #explained(error: unknown, mine: Access | undefined): unknown {
    const reason = reasonOf(error)
    if (reason === undefined) return error
    const { kind: number, offset } = this.#relocation
    const kind = CORE_KINDS[number]
    const what = this.#named(mine)
    const wanted = `${kind === undefined ? `kind ${number} of` : KIND_WORDS[kind]} ${what}`
    const about = { what, kind, slot: Math.floor(offset / SLOT_BYTES), index: this.#index }
    const cause = error instanceof Refusal ? {} : { cause: error }
    return new CoreError(about, wanted, reason, cause)
  }

  /** As much of its name as can be read. */
  #named(mine: Access | undefined): string {
    const { type, access } = this.#relocation
    try {
      return mine !== undefined ? describe(mine) : `${typeName(this.#local, type)} (${access})`
    } catch {
      return `type ${type} (${access})`
    }
  }
}

/** undefined of what is no fault of a relocation. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof Refusal) return error.message
  if (error instanceof BtfError) return error.message
  // Btf has no type of that id.
  return error instanceof RangeError ? error.message : undefined
}

interface Found {
  readonly candidate: Candidate
  readonly access: Access
  readonly answer: Answer
}

/** Types of one name may differ in what they point to; where they differ in the answer, there is none. */
function checkAgree(one: Found, other: Found): void {
  const field = one.access.bitOffset !== other.access.bitOffset
  if (!field && one.answer.value === other.answer.value) return
  const shown = ({ candidate: { btf, id }, access, answer }: Found) =>
    `${typeName(btf, id)} (type ${id} of ${btf.name}) says ${field ? `bit ${access.bitOffset}` : answer.value}`
  throw new Refusal(`${shown(one)}, and ${shown(other)}: which of them is meant cannot be told`)
}

/** Of many types of one name a few are told. */
function joined(reasons: readonly string[]): string {
  const told = reasons.slice(0, 3).join('; ')
  return reasons.length > 3 ? `${told}; and ${reasons.length - 3} more like it` : told
}

function slotOf(offset: number, length: number): number {
  if (!Number.isInteger(offset) || offset < 0 || offset % SLOT_BYTES !== 0) {
    throw new Refusal(`its instruction is said to be at byte ${offset}, where none begins`)
  }
  if (offset >= length) throw new Refusal(`its instruction is said to be at byte ${offset}, and there are ${length}`)
  return offset / SLOT_BYTES
}
