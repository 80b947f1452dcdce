import type { Btf } from '../btf'
import type { BtfExt, BtfExtSection, BtfRelocation } from '../btf/ext'
import type { SourceLine } from '../program'
import { SLOT } from './functions'
import type { LinkedCode, Part } from './link-code'

/** struct bpf_func_info and struct bpf_line_info as the kernel takes them, which counts instructions from the program's first. */
export interface ProgramRecords {
  readonly functions: Uint8Array | undefined
  readonly lines: Uint8Array | undefined
}

/** What .BTF.ext says of a program and the functions behind it; nothing where it does not know all of them. */
export function recordsOf(linked: LinkedCode, ext: BtfExt): ProgramRecords {
  const functions = inParts(linked, ext.functions).filter(({ part, record }) => record.offset === part.function.from)
  // The kernel wants one for each function, or none at all (check_btf_func).
  if (functions.length !== linked.parts.length) return { functions: undefined, lines: undefined }
  const lines = inParts(linked, ext.lines)
  return {
    functions: packed(functions, 2, (words, at, { slot, record }) => {
      words[at] = slot
      words[at + 1] = record.type
    }),
    lines: !areComplete(linked, lines)
      ? undefined
      : packed(lines, 4, (words, at, { slot, record: { fileName, text, line, column } }) => {
          words[at] = slot
          words[at + 1] = fileName
          words[at + 2] = text
          words[at + 3] = pack(line, column)
        }),
  }
}

/** Whether each function begins with a line, as the kernel wants it (check_btf_line). */
function areComplete({ parts }: LinkedCode, lines: readonly InPart<unknown>[]): boolean {
  const begun = new Set<Part>()
  for (const { part, slot } of lines) if (slot === part.slot) begun.add(part)
  return begun.size === parts.length
}

/** The source of a program, for messages of the verifier. */
export function linesOf(linked: LinkedCode, ext: BtfExt, btf: Btf): SourceLine[] {
  return inParts(linked, ext.lines).map(({ slot, record: { line, column, text } }) => {
    return { slot, line, column, text: btf.string(text).trim() }
  })
}

/** What depends on the kernel's types. */
export function relocationsOf(linked: LinkedCode, ext: BtfExt): BtfRelocation[] {
  return inParts(linked, ext.relocations).map(({ slot, record }) => ({ ...record, offset: slot * SLOT }))
}

/** line_col: 22 bits for the line, 10 for the column. */
function pack(line: number, column: number): number {
  return ((line << 10) | column) >>> 0
}

interface InPart<R> {
  readonly part: Part
  /** The instruction, counted from the program's first. */
  readonly slot: number
  readonly record: R
}

/** The records of the functions that a program is made of, in their order there. */
function inParts<R extends { readonly offset: number }>(
  { parts }: LinkedCode,
  sections: readonly BtfExtSection<R>[],
): InPart<R>[] {
  const all: InPart<R>[] = []
  for (const part of parts) {
    const { section, from, to } = part.function
    const own: InPart<R>[] = []
    for (const each of sections) {
      if (each.section !== section.name) continue
      for (const record of each.records) {
        const { offset } = record
        if (offset >= from && offset < to) own.push({ part, slot: part.slot + (offset - from) / SLOT, record })
      }
    }
    own.sort((a, b) => a.slot - b.slot)
    for (const each of own) all.push(each)
  }
  return all
}

/** Records of so many words each, as this machine has them: objects for another are refused. */
function packed<R>(
  records: readonly R[],
  size: number,
  put: (words: Uint32Array, at: number, record: R) => void,
): Uint8Array {
  const words = new Uint32Array(records.length * size)
  for (const [i, record] of records.entries()) put(words, i * size, record)
  return new Uint8Array(words.buffer)
}
