/**
 * The section .BTF.ext of a compiled object: where functions and lines of source begin among the instructions, and which
 * instructions depend on the layout of types (Documentation/bpf/btf.rst, section 4.2). Its names are in the section .BTF.
 */
import { tabulate } from '../tabulate'
import type { Btf } from './btf'
import { asBuffer } from './bytes'
import { BtfError } from './error'
import { type Range, readPreamble, readRange } from './format'

/** Offsets of instructions are in bytes here, as ELF counts; the kernel, which is given the same, counts instructions. */
const INSTRUCTION_BYTES = 8

/** The records of one kind for one section of code. */
export interface BtfExtSection<R> {
  /** 'xdp', '.text' ... */
  readonly section: string
  readonly records: readonly R[]
}

/** struct bpf_func_info: a function begins. */
export interface BtfFuncInfo {
  /** Of the first instruction, in bytes from the start of the section. */
  readonly offset: number
  /** The id of the func. */
  readonly type: number
}

/** struct bpf_line_info: what follows comes from a line of source. `btf.string` reads the names. */
export interface BtfLineInfo {
  /** Of the first instruction, in bytes from the start of the section. */
  readonly offset: number
  /** The offset of the string with the file's name. */
  readonly fileName: number
  /** The offset of the string with the line's text. */
  readonly text: number
  /** From 1 on; 0 where the compiler does not know. */
  readonly line: number
  readonly column: number
}

/** struct bpf_core_relo: an instruction depends on how the running kernel lays out a type. */
export interface BtfRelocation {
  /** Of the instruction, in bytes from the start of the section. */
  readonly offset: number
  /** The id of the type, as the program was compiled with it. */
  readonly type: number
  /** Which part of the type: '0:1:2', the indices of members and elements from the outermost in. */
  readonly access: string
  /** enum bpf_core_relo_kind. */
  readonly kind: number
}

/** What .BTF.ext says, by section of code. */
export interface BtfExt {
  readonly functions: readonly BtfExtSection<BtfFuncInfo>[]
  readonly lines: readonly BtfExtSection<BtfLineInfo>[]
  readonly relocations: readonly BtfExtSection<BtfRelocation>[]
}

/** Up to line_info_len; with core_relo_off and core_relo_len it is longer by 8. */
const HEADER_BYTES = 24
const HEADER_WITH_RELOCATIONS = 32

/**
 * Reads .BTF.ext, whose types and strings are those of `btf`. Longer headers and records than are known are taken, and what
 * is new in them is passed over. Throws BtfError.
 */
export function parseBtfExt(bytes: ArrayBuffer | Uint8Array, btf: Btf, name = '.BTF.ext'): BtfExt {
  const buffer = asBuffer(bytes)
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  const preamble = readPreamble(view, name, HEADER_BYTES)
  if (preamble.littleEndian !== (btf.byteOrder === 'little')) {
    throw new BtfError(name, `its byte order is not that of ${btf.name}, which it belongs to`, 0)
  }
  const range = (field: number, what: string) => readRange(view, name, preamble, field, what)
  const reader = new Reader(view, name, preamble.littleEndian, btf)
  const withRelocations = preamble.headerLength >= HEADER_WITH_RELOCATIONS
  return {
    functions: reader.sections(range(8, 'functions'), 8, (at) => ({
      offset: reader.instruction(at),
      type: reader.type(at + 4),
    })),
    lines: reader.sections(range(16, 'lines'), 16, (at) => ({
      offset: reader.instruction(at),
      fileName: reader.stringOffset(at + 4),
      text: reader.stringOffset(at + 8),
      // line_col: 22 bits for the line, 10 for the column.
      line: reader.word(at + 12) >>> 10,
      column: reader.word(at + 12) & 0x3ff,
    })),
    relocations: !withRelocations
      ? []
      : reader.sections(range(24, 'relocations'), 16, (at) => ({
          offset: reader.instruction(at),
          type: reader.type(at + 4),
          access: reader.string(at + 8),
          kind: reader.word(at + 12),
        })),
  }
}

class Reader {
  readonly #view: DataView
  readonly #name: string
  readonly #littleEndian: boolean
  readonly #btf: Btf

  constructor(view: DataView, name: string, littleEndian: boolean, btf: Btf) {
    this.#view = view
    this.#name = name
    this.#littleEndian = littleEndian
    this.#btf = btf
  }

  /** The size of a record, and for each section its name, the number of its records, and these. */
  sections<R>({ from, to }: Range, least: number, read: (at: number) => R): BtfExtSection<R>[] {
    if (from === to) return []
    if (to - from < 4) throw this.#error(`${to - from} bytes have no room for the size of a record`, from)
    const size = this.word(from)
    if (size < least) throw this.#error(`records of ${size} bytes; they have at least ${least}`, from)
    if (size % 4 !== 0) throw this.#error(`records of ${size} bytes are not aligned to 4`, from)
    const sections: BtfExtSection<R>[] = []
    for (let at = from + 4; at < to; ) {
      if (to - at < 8) throw this.#error('a section is cut off in its head', at)
      const count = this.word(at + 4)
      const first = at + 8
      if (count * size > to - first) {
        throw this.#error(`${count} records of ${size} bytes, and there are ${to - first} bytes left`, at + 4)
      }
      const section = this.string(at)
      sections.push({ section, records: tabulate(count, (i) => read(first + i * size)) })
      at = first + count * size
    }
    return sections
  }

  word(at: number): number {
    return this.#view.getUint32(at, this.#littleEndian)
  }

  instruction(at: number): number {
    const offset = this.word(at)
    if (offset % INSTRUCTION_BYTES === 0) return offset
    throw this.#error(`an instruction at ${offset}, and each has ${INSTRUCTION_BYTES} bytes`, at)
  }

  type(at: number): number {
    const id = this.word(at)
    const last = this.#btf.firstId + this.#btf.size - 1
    if (id <= last) return id
    throw this.#error(`it refers to type ${id}, and the last one of ${this.#btf.name} is ${last}`, at)
  }

  stringOffset(at: number): number {
    const offset = this.word(at)
    if (this.#btf.hasString(offset)) return offset
    throw this.#error(`a string at ${offset}, and ${this.#btf.name} has none there`, at)
  }

  string(at: number): string {
    return this.#btf.string(this.stringOffset(at))
  }

  #error(reason: string, at: number): BtfError {
    return new BtfError(this.#name, reason, at)
  }
}
