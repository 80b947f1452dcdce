import type { Btf } from '../btf'
import {
  type BtfExtTable,
  type BtfRelocation,
  columnOf,
  FUNCTION_WORDS,
  LINE_WORDS,
  lineOf,
  readExtTables,
  relocationsIn,
} from '../btf/ext'
import type { SourceLine } from '../program'
import { SLOT } from './functions'
import type { LinkedCode, Part } from './link-code'

/** What .BTF.ext says of an object's programs, by their sections, in the order of the instructions. */
export interface ProgramExt {
  /** struct bpf_func_info and struct bpf_line_info, but for their offsets, which are in bytes from the section's start. */
  readonly functions: ReadonlyMap<string, Uint32Array>
  readonly lines: ReadonlyMap<string, Uint32Array>
  readonly relocations: ReadonlyMap<string, readonly BtfRelocation[]>
}

/** Reads .BTF.ext. Throws BtfError. */
export function readProgramExt(bytes: Uint8Array, btf: Btf, name: string): ProgramExt {
  const { functions, lines, relocations } = readExtTables(bytes, btf, name)
  const bySection = new Map<string, BtfRelocation[]>()
  for (const { section, records } of relocationsIn(relocations, btf)) {
    const before = bySection.get(section)
    if (before === undefined) bySection.set(section, [...records])
    else for (const record of records) before.push(record)
  }
  for (const all of bySection.values()) all.sort((a, b) => a.offset - b.offset)
  return {
    functions: inOrder(functions, FUNCTION_WORDS),
    lines: inOrder(lines, LINE_WORDS),
    relocations: bySection,
  }
}

/** One table a section: those of several files that were linked are one behind the other. */
function inOrder(tables: readonly BtfExtTable[], size: number): Map<string, Uint32Array> {
  const bySection = new Map<string, Uint32Array[]>()
  for (const { section, words } of tables) {
    const before = bySection.get(section)
    if (before === undefined) bySection.set(section, [words])
    else before.push(words)
  }
  const found = new Map<string, Uint32Array>()
  for (const [section, all] of bySection) {
    const words = all.length === 1 ? (all[0] as Uint32Array) : joined(all)
    found.set(section, isInOrder(words, size) ? words : sorted(words, size))
  }
  return found
}

function joined(all: readonly Uint32Array[]): Uint32Array {
  const whole = new Uint32Array(all.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const words of all) {
    whole.set(words, at)
    at += words.length
  }
  return whole
}

/** As compilers write them. */
function isInOrder(words: Uint32Array, size: number): boolean {
  for (let at = size; at < words.length; at += size) {
    if ((words[at] as number) < (words[at - size] as number)) return false
  }
  return true
}

function sorted(words: Uint32Array, size: number): Uint32Array {
  const starts = Array.from({ length: words.length / size }, (_, i) => i * size)
  starts.sort((a, b) => (words[a] as number) - (words[b] as number))
  const found = new Uint32Array(words.length)
  for (const [i, at] of starts.entries()) found.set(words.subarray(at, at + size), i * size)
  return found
}

/** struct bpf_func_info and struct bpf_line_info as the kernel takes them, which counts instructions from the program's first. */
export interface ProgramRecords {
  readonly functions: Uint8Array | undefined
  readonly lines: Uint8Array | undefined
}

/** What .BTF.ext says of a program and the functions behind it; nothing where it does not know all of them. */
export function recordsOf({ parts }: LinkedCode, ext: ProgramExt): ProgramRecords {
  // The kernel wants one for each function, or none at all (check_btf_func).
  const functions = new Uint32Array(parts.length * FUNCTION_WORDS)
  for (const [i, part] of parts.entries()) {
    const words = ext.functions.get(part.function.section.name) ?? NONE
    const at = lowerBound(words, FUNCTION_WORDS, part.function.from)
    if (words[at] !== part.function.from) return NO_RECORDS
    functions[i * FUNCTION_WORDS] = part.slot
    functions[i * FUNCTION_WORDS + 1] = words[at + 1] as number
  }
  return { functions: new Uint8Array(functions.buffer), lines: linesIn(parts, ext.lines) }
}

const NONE = new Uint32Array(0)
const NO_RECORDS: ProgramRecords = { functions: undefined, lines: undefined }

/** The lines of all parts; undefined where one does not begin with a line, as the kernel wants it (check_btf_line). */
function linesIn(parts: readonly Part[], lines: ProgramExt['lines']): Uint8Array | undefined {
  let length = 0
  for (const part of parts) {
    const { words, from, to } = rangeOf(part, lines)
    if (from === to || words[from] !== part.function.from) return undefined
    length += to - from
  }
  const all = new Uint32Array(length)
  let at = 0
  for (const part of parts) {
    const { words, from, to } = rangeOf(part, lines)
    all.set(words.subarray(from, to), at)
    for (const end = at + to - from; at < end; at += LINE_WORDS) all[at] = slotOf(part, all[at] as number)
  }
  return new Uint8Array(all.buffer)
}

/** Where the lines of a part are among those of its section. */
function rangeOf({ function: { section, from, to } }: Part, lines: ProgramExt['lines']) {
  const words = lines.get(section.name) ?? NONE
  return { words, from: lowerBound(words, LINE_WORDS, from), to: lowerBound(words, LINE_WORDS, to) }
}

/** Where the first record is whose offset is not below this one. */
function lowerBound(words: Uint32Array, size: number, offset: number): number {
  let [low, high] = [0, words.length / size]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((words[middle * size] as number) < offset) low = middle + 1
    else high = middle
  }
  return low * size
}

function slotOf(part: Part, offset: number): number {
  return part.slot + (offset - part.function.from) / SLOT
}

/** The source of a program, for messages of the verifier. */
export function linesOf({ parts }: LinkedCode, ext: ProgramExt, btf: Btf): SourceLine[] {
  return parts.flatMap((part) => {
    const { words, from, to } = rangeOf(part, ext.lines)
    const all: SourceLine[] = []
    for (let at = from; at < to; at += LINE_WORDS) {
      const [offset, , text, place] = words.subarray(at, at + LINE_WORDS) as unknown as [number, number, number, number]
      all.push({
        slot: slotOf(part, offset),
        line: lineOf(place),
        column: columnOf(place),
        text: btf.string(text).trim(),
      })
    }
    return all
  })
}

/** What depends on the kernel's types. */
export function relocationsOf({ parts }: LinkedCode, ext: ProgramExt): BtfRelocation[] {
  const all: BtfRelocation[] = []
  for (const part of parts) {
    const { section, from, to } = part.function
    for (const record of ext.relocations.get(section.name) ?? []) {
      const { offset } = record
      if (offset >= from && offset < to) all.push({ ...record, offset: slotOf(part, offset) * SLOT })
    }
  }
  return all
}
