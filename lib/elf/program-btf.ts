import { LITTLE } from '../asm/decode'
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
  const begun = new Set(lines.map(({ slot }) => slot))
  const whole = linked.parts.every(({ slot }) => begun.has(slot))
  return {
    functions: packed(functions.map(({ slot, record }) => [slot, record.type])),
    lines: whole
      ? packed(
          lines.map(({ slot, record: { fileName, text, line, column } }) => [slot, fileName, text, pack(line, column)]),
        )
      : undefined,
  }
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
  return parts.flatMap((part) => {
    const { section, from, to } = part.function
    const records = sections.filter((each) => each.section === section.name).flatMap((each) => each.records)
    return records
      .filter(({ offset }) => offset >= from && offset < to)
      .map((record) => ({ part, slot: part.slot + (record.offset - from) / SLOT, record }))
      .sort((a, b) => a.slot - b.slot)
  })
}

function packed(rows: readonly (readonly number[])[]): Uint8Array {
  const words = rows.flat()
  const view = new DataView(new ArrayBuffer(words.length * 4))
  for (const [i, word] of words.entries()) view.setUint32(i * 4, word, LITTLE)
  return new Uint8Array(view.buffer)
}
