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

/** Records of one kind for one section of code, checked, and otherwise as they stand: so many words each. */
export interface BtfExtTable {
  readonly section: string
  readonly words: Uint32Array
}

/** Words of a record, without what is new in it: struct bpf_func_info, bpf_line_info, bpf_core_relo. */
export const FUNCTION_WORDS = 2
export const LINE_WORDS = 4
const RELOCATION_WORDS = 4

/** What .BTF.ext says, before objects are made of it. */
export interface BtfExtTables {
  readonly functions: readonly BtfExtTable[]
  readonly lines: readonly BtfExtTable[]
  readonly relocations: readonly BtfExtTable[]
}

/**
 * Reads .BTF.ext, whose types and strings are those of `btf`. Longer headers and records than are known are taken, and what
 * is new in them is passed over. Throws BtfError.
 */
export function parseBtfExt(bytes: ArrayBuffer | Uint8Array, btf: Btf, name = '.BTF.ext'): BtfExt {
  const { functions, lines, relocations } = readExtTables(bytes, btf, name)
  return {
    functions: functions.map((table) => ({
      section: table.section,
      records: records(table, FUNCTION_WORDS, ([offset, type]) => ({ offset, type })),
    })),
    lines: lines.map((table) => ({
      section: table.section,
      records: records(table, LINE_WORDS, ([offset, fileName, text, place]) => {
        return { offset, fileName, text, line: lineOf(place), column: columnOf(place) }
      }),
    })),
    relocations: relocationsIn(relocations, btf),
  }
}

type Words = readonly [number, number, number, number]

function records<R>({ words }: BtfExtTable, size: number, make: (words: Words) => R): R[] {
  return tabulate(words.length / size, (i) => {
    const at = i * size
    return make([words[at] ?? 0, words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0])
  })
}

/** line_col of a line: 22 bits for the line, 10 for the column. */
export const lineOf = (place: number): number => place >>> 10
export const columnOf = (place: number): number => place & 0x3ff

/** Relocations as objects. Throws BtfError. */
export function relocationsIn(tables: readonly BtfExtTable[], btf: Btf): BtfExtSection<BtfRelocation>[] {
  return tables.map((table) => ({
    section: table.section,
    records: records(table, RELOCATION_WORDS, ([offset, type, access, kind]) => {
      return { offset, type, access: btf.string(access), kind }
    }),
  }))
}

/** The same as it stands: most of it is handed on to the kernel, word for word. Throws BtfError. */
export function readExtTables(bytes: ArrayBuffer | Uint8Array, btf: Btf, name: string): BtfExtTables {
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
    functions: reader.tables(range(8, 'functions'), FUNCTION_WORDS, (at) => reader.checkType(at + 4)),
    lines: reader.tables(range(16, 'lines'), LINE_WORDS, (at) => {
      reader.checkString(at + 4)
      reader.checkString(at + 8)
    }),
    relocations: !withRelocations
      ? []
      : reader.tables(range(24, 'relocations'), RELOCATION_WORDS, (at) => {
          reader.checkType(at + 4)
          reader.checkString(at + 8)
        }),
  }
}

class Reader {
  readonly #view: DataView
  readonly #name: string
  readonly #littleEndian: boolean
  readonly #btf: Btf
  readonly #lastType: number

  constructor(view: DataView, name: string, littleEndian: boolean, btf: Btf) {
    this.#view = view
    this.#name = name
    this.#littleEndian = littleEndian
    this.#btf = btf
    this.#lastType = btf.firstId + btf.size - 1
  }

  /** The size of a record, and for each section its name, the number of its records, and these. */
  tables({ from, to }: Range, wordsEach: number, check: (at: number) => void): BtfExtTable[] {
    if (from === to) return []
    if (to - from < 4) throw this.#error(`${to - from} bytes have no room for the size of a record`, from)
    const size = this.#word(from)
    if (size < wordsEach * 4) throw this.#error(`records of ${size} bytes; they have at least ${wordsEach * 4}`, from)
    if (size % 4 !== 0) throw this.#error(`records of ${size} bytes are not aligned to 4`, from)
    const tables: BtfExtTable[] = []
    for (let at = from + 4; at < to; ) {
      if (to - at < 8) throw this.#error('a section is cut off in its head', at)
      const count = this.#word(at + 4)
      const first = at + 8
      if (count * size > to - first) {
        throw this.#error(`${count} records of ${size} bytes, and there are ${to - first} bytes left`, at + 4)
      }
      this.checkString(at)
      const section = this.#btf.string(this.#word(at))
      const words = new Uint32Array(count * wordsEach)
      for (let i = 0; i < count; i++) {
        const record = first + i * size
        this.#checkInstruction(record)
        check(record)
        for (let word = 0; word < wordsEach; word++) words[i * wordsEach + word] = this.#word(record + word * 4)
      }
      tables.push({ section, words })
      at = first + count * size
    }
    return tables
  }

  checkType(at: number): void {
    const id = this.#word(at)
    if (id <= this.#lastType) return
    throw this.#error(`it refers to type ${id}, and the last one of ${this.#btf.name} is ${this.#lastType}`, at)
  }

  checkString(at: number): void {
    const offset = this.#word(at)
    if (this.#btf.hasString(offset)) return
    throw this.#error(`a string at ${offset}, and ${this.#btf.name} has none there`, at)
  }

  #checkInstruction(at: number): void {
    const offset = this.#word(at)
    if (offset % INSTRUCTION_BYTES === 0) return
    throw this.#error(`an instruction at ${offset}, and each has ${INSTRUCTION_BYTES} bytes`, at)
  }

  #word(at: number): number {
    return this.#view.getUint32(at, this.#littleEndian)
  }

  #error(reason: string, at: number): BtfError {
    return new BtfError(this.#name, reason, at)
  }
}
