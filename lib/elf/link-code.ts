import { BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC } from '../../syscalls/uapi-prog'
import { readInsn, writeInsn } from '../asm/decode'
import { type ElfSymbol, type Relocation, SHN_UNDEF, STT_FUNC } from '../elf-file/tables'
import { type ObjectFunction, type ObjectFunctions, SLOT } from './functions'
import type { ObjectFile } from './object-file'

/** Opcodes: a call, and the load of a 64-bit constant, which takes two slots. */
export const CALL = 0x85
export const LD_IMM64 = 0x18

/** r_type (llvm/include/llvm/BinaryFormat/ELFRelocs/BPF.def): of a constant of 64 bits, and of a call. */
const R_BPF_64_64 = 1
const R_BPF_64_32 = 10

/** A place in linked code that waits for what only the kernel can give: a map, a variable, something of the kernel's. */
export interface Reference {
  /** The instruction, counted in slots from the program's first. */
  readonly slot: number
  readonly kind: 'load' | 'call'
  readonly symbol: ElfSymbol
  /** What stands there: added to the symbol's place. */
  readonly addend: number
  /** Where its relocation stands in the file, for messages. */
  readonly at: number
}

/** A function as a part of linked code. */
export interface Part {
  readonly function: ObjectFunction
  /** Its first slot there. */
  readonly slot: number
}

/** A program with all functions that it calls, directly or not, behind it. */
export interface LinkedCode {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly parts: readonly Part[]
  readonly references: readonly Reference[]
}

/** The verifier takes up to 256 functions (BPF_MAX_SUBPROGS). */
const MOST_PARTS = 256

/** Of all programs of an object: many small ones that all call the same would else fill all memory. */
export const MOST_SLOTS = 2 ** 23

/** Slots that are left for programs of an object. */
export interface Room {
  slots: number
}

/**
 * Puts a program and the functions that it needs one behind the other, each once, in the order in which they are first
 * named, and makes the calls meet; behind it those that it needs though no instruction names them. Errors: ElfError.
 */
export function linkCode(
  functions: ObjectFunctions,
  entry: ObjectFunction,
  room: Room,
  also: readonly ObjectFunction[] = [],
): LinkedCode {
  const { file } = functions
  const parts: Part[] = []
  const slots = new Map<ObjectFunction, number>()
  const calls: { readonly slot: number; readonly target: ObjectFunction }[] = []
  const references: Reference[] = []
  let length = 0
  const place = (part: ObjectFunction): void => {
    if (slots.has(part)) return
    if (parts.length === MOST_PARTS) {
      throw file.error(
        entry.at,
        `'${entry.name}' calls more than ${MOST_PARTS - 1} functions: the kernel takes no more`,
      )
    }
    slots.set(part, length)
    parts.push({ function: part, slot: length })
    length += (part.to - part.from) / SLOT
    room.slots -= (part.to - part.from) / SLOT
    if (room.slots < 0) {
      throw file.error(
        entry.at,
        `with '${entry.name}' the programs, each with all that it calls, have more than ${MOST_SLOTS} instructions`,
      )
    }
  }
  place(entry)
  for (const each of also) place(each)
  for (let i = 0; i < parts.length; i++) {
    const { function: part, slot } = parts[i] as Part
    for (const found of scan(functions, part)) {
      const its = slot + (found.offset - part.from) / SLOT
      if ('target' in found) {
        calls.push({ slot: its, target: found.target })
        place(found.target)
      } else {
        references.push({ slot: its, ...found.reference })
      }
    }
  }
  const bytes = new Uint8Array(length * SLOT)
  for (const { function: part, slot } of parts) {
    bytes.set(file.bytes(part.section).subarray(part.from, part.to), slot * SLOT)
  }
  const view = new DataView(bytes.buffer)
  for (const { slot, target } of calls) meet(view, slot, slots.get(target) as number)
  return { bytes, parts, references }
}

/** Makes the instruction in a slot name the function that begins at another. */
function meet(view: DataView, slot: number, target: number): void {
  const insn = readInsn(view, slot * SLOT)
  const src = insn.code === CALL ? BPF_PSEUDO_CALL : BPF_PSEUDO_FUNC
  writeInsn(view, slot * SLOT, { ...insn, src, imm: target - slot - 1 })
}

type Found = { readonly offset: number } & (
  | { readonly target: ObjectFunction }
  | { readonly reference: Omit<Reference, 'slot'> }
)

/** What of a function's instructions refers to something else. */
function* scan(functions: ObjectFunctions, part: ObjectFunction): Generator<Found> {
  const { file } = functions
  const bytes = file.bytes(part.section)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const relocations = relocationsIn(file, part)
  let next = 0
  for (let offset = part.from; offset < part.to; offset += SLOT) {
    // Those for the second slot of an instruction are for nothing.
    while (next < relocations.length && (relocations[next] as Relocation).offset < offset) next++
    const relocation = relocations[next]?.offset === offset ? relocations[next] : undefined
    const code = bytes[offset] as number
    const wide = code === LD_IMM64
    if (relocation === undefined && code !== CALL && !wide) continue
    const { src, imm } = readInsn(view, offset)
    const where = part.section.offset + offset
    if (wide && offset + SLOT >= part.to) {
      throw file.error(where, `'${part.name}' ends in the middle of an instruction of two slots`)
    }
    if (relocation !== undefined) {
      yield { offset, ...relocated(functions, { relocation, code, imm, where }) }
    } else if ((code === CALL && src === BPF_PSEUDO_CALL) || (wide && src === BPF_PSEUDO_FUNC)) {
      yield { offset, target: functionAt(functions, part.section.index, offset + (imm + 1) * SLOT, where) }
    }
    if (wide) offset += SLOT
  }
}

/** The relocations of a function, by their place in the section; each must stand at an instruction. */
function relocationsIn(file: ObjectFile, { section, from, to }: ObjectFunction): readonly Relocation[] {
  const { relocations } = section
  // They are by place: from the first one that is in the function.
  let [low, high] = [0, relocations.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((relocations[middle] as Relocation).offset < from) low = middle + 1
    else high = middle
  }
  let end = low
  for (; end < relocations.length; end++) {
    const { offset, at } = relocations[end] as Relocation
    if (offset >= to) break
    if (offset % SLOT !== 0) throw file.error(at, `a relocation at ${offset}, within an instruction`)
    if (end > low && relocations[end - 1]?.offset === offset) {
      throw file.error(at, `a second relocation at ${offset}`)
    }
  }
  return relocations.slice(low, end)
}

interface Place {
  readonly relocation: Relocation
  readonly code: number
  readonly imm: number
  readonly where: number
}

/** What a relocated instruction refers to: a function of the object, or something that is known when it is loaded. */
function relocated(functions: ObjectFunctions, place: Place) {
  const { relocation, code, imm, where } = place
  const { file } = functions
  const { at, type } = relocation
  if (code !== CALL && code !== LD_IMM64) {
    throw file.error(at, `relocates the instruction at ${where}, which is neither a call nor the load of an address`)
  }
  if (type !== R_BPF_64_64 && type !== R_BPF_64_32) {
    throw file.error(at, `relocation type ${type}: instructions have R_BPF_64_64 (1) and R_BPF_64_32 (10)`)
  }
  const symbol = file.symbolOf(relocation)
  const section = file.sectionOf(symbol)
  if (symbol.section === SHN_UNDEF || (code === LD_IMM64 && section?.executable !== true)) {
    const kind: Reference['kind'] = code === CALL ? 'call' : 'load'
    return { reference: { kind, symbol, addend: code === CALL ? 0 : imm, at } }
  }
  if (section?.executable !== true) {
    const what = symbol.kind === STT_FUNC ? 'function' : 'symbol'
    throw file.error(at, `calls ${what} '${symbol.name}', which is in no section of instructions`)
  }
  // Of a global function the call's own distance is -1; of a static one the symbol is the section, and the distance
  // tells the function. Loads hold bytes, calls slots.
  const offset = code === CALL ? symbol.value + (imm + 1) * SLOT : symbol.value + imm
  return { target: functionAt(functions, section.index, offset, at) }
}

function functionAt(functions: ObjectFunctions, section: number, offset: number, at: number): ObjectFunction {
  const found = functions.holding(section, offset)
  if (found?.from === offset) return found
  const name = functions.file.sections[section]?.name
  throw functions.file.error(at, `refers to a function at ${offset} of section ${name}: none begins there`)
}
