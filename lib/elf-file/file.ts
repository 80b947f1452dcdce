import { tabulate } from '../tabulate'
import { ElfError } from './error'
import type { ElfSource } from './source'

/**
 * The headers of an ELF file, of 32 or 64 bits and either byte order (man 5 elf). Nothing in the file is trusted: what
 * points outside of it is an ElfError that says where it stands.
 */

/** e_type */
export const ET_REL = 1
export const ET_EXEC = 2
export const ET_DYN = 3

/** p_type and p_flags */
export const PT_LOAD = 1
export const PF_X = 1

export interface Section {
  /** Where its header stands, for messages. */
  readonly at: number
  readonly index: number
  /** sh_type */
  readonly type: number
  /** sh_flags: SHF_... bits, of which those below 2^32. */
  readonly flags: number
  /** sh_addr: where it is in memory, before the loader moves it; 0 where it is not. */
  readonly address: bigint
  readonly offset: number
  readonly size: number
  /** sh_link: another section that belongs to it. */
  readonly link: number
  /** sh_info: of relocations, the section that they are for. */
  readonly info: number
  /** sh_name: where its name is among those of sections. */
  readonly nameAt: number
  /** Bytes of one entry of a table; 0 of what is none. */
  readonly entrySize: number
}

/** A section of strings, each of which ends with a NUL. */
export interface Strings {
  /** The string at an offset; `from` is what refers to it, for messages. Errors: ElfError. */
  at(offset: number, from: number): string
}

export interface Segment {
  /** p_type */
  readonly type: number
  /** p_flags */
  readonly flags: number
  readonly offset: number
  readonly address: bigint
  /** Bytes in the file. */
  readonly size: number
}

/** Where the fields of the headers are; those of 64 bits stand elsewhere, and are wider. */
interface Shape {
  readonly word: 4 | 8
  readonly header: number
  readonly phoff: number
  readonly shoff: number
  /** e_phentsize; e_phnum, e_shentsize and e_shnum follow. */
  readonly phentsize: number
  readonly segment: { size: number; flags: number; offset: number; address: number; bytes: number }
  readonly section: {
    size: number
    flags: number
    address: number
    offset: number
    bytes: number
    link: number
    info: number
    entrySize: number
  }
}

const SHAPES: Readonly<Record<32 | 64, Shape>> = {
  32: {
    word: 4,
    header: 52,
    phoff: 28,
    shoff: 32,
    phentsize: 42,
    segment: { size: 32, flags: 24, offset: 4, address: 8, bytes: 16 },
    section: { size: 40, flags: 8, address: 12, offset: 16, bytes: 20, link: 24, info: 28, entrySize: 36 },
  },
  64: {
    word: 8,
    header: 64,
    phoff: 32,
    shoff: 40,
    phentsize: 54,
    segment: { size: 56, flags: 4, offset: 8, address: 16, bytes: 32 },
    section: { size: 64, flags: 8, address: 16, offset: 24, bytes: 32, link: 40, info: 44, entrySize: 56 },
  },
}

/** e_phnum of a file with more segments than fit: section 0 tells how many (PN_XNUM). */
const MANY_SEGMENTS = 0xffff

/** A section that has no bytes in the file, whatever its size is. */
export const SHT_NOBITS = 8

/** e_shstrndx of a file with more sections than fit: section 0 tells which (SHN_XINDEX). */
const ELSEWHERE = 0xffff

/** More than the largest executables have of any one table: a hostile file may claim what no memory can hold. */
const LARGEST_TABLE = 2 ** 30

/** What makes an object of a file that is taken for one. */
function howToCompile(path: string): string {
  if (!path.endsWith('.c')) return ''
  const files = `-c ${path} -o ${path.slice(0, -1)}o`
  return `: it is source, which  clang -O2 -g -target bpf -I/usr/include/$(uname -m)-linux-gnu ${files}  compiles`
}

/** Bytes of names that are read for each byte there is: names may share their ends, and many places one name. */
const MOST_SHARED = 64

export class ElfFile {
  readonly source: ElfSource
  readonly bits: 32 | 64
  readonly littleEndian: boolean
  /** e_type: ET_EXEC, ET_DYN ... */
  readonly type: number
  /** e_machine: the processor. */
  readonly machine: number
  readonly sections: readonly Section[]
  readonly segments: readonly Segment[]
  readonly #shape: Shape
  /** Which section has the names of sections. */
  readonly #namesIndex: number
  #names: Strings | undefined

  /** Reads the headers. Errors: ElfError. */
  constructor(source: ElfSource) {
    this.source = source
    const ident = source.read(0, Math.min(16, source.size))
    const magic = Array.from(ident.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    if (magic !== '7f 45 4c 46') {
      const found = magic === '' ? 'nothing' : magic
      throw this.error(0, `no ELF file: it begins with ${found}, not with 7f 45 4c 46${howToCompile(source.path)}`)
    }
    this.bits = this.#oneOf(ident, 4, { 1: 32, 2: 64 }, 'class (1 for 32 bits, 2 for 64)')
    this.littleEndian = this.#oneOf(ident, 5, { 1: true, 2: false }, 'byte order (1 for little-endian, 2 for big)')
    this.#shape = SHAPES[this.bits]
    const header = this.view(0, this.#shape.header, 'the ELF header', 0)
    this.type = header.getUint16(16, this.littleEndian)
    this.machine = header.getUint16(18, this.littleEndian)
    this.sections = this.#readSections(header)
    this.#namesIndex = this.#readNamesIndex(header)
    this.segments = this.#readSegments(header)
  }

  /** The bytes of a section. Errors: ElfError where the file does not have them. */
  contents(section: Section): DataView {
    const what = `section ${section.index}`
    if (section.type === SHT_NOBITS) throw this.error(section.at, `${what} has no bytes in the file`)
    return this.view(section.offset, section.size, what, section.at)
  }

  /** The name of a section: '.text'. Errors: ElfError. */
  nameOf(section: Section): string {
    // Read when first asked for: what goes by symbols alone does not need them.
    this.#names ??= this.strings(this.#namesIndex, this.#shape.phentsize + 8)
    return this.#names.at(section.nameAt, section.at)
  }

  /** The strings of a section that something at `from` refers to. Errors: ElfError. */
  strings(index: number, from: number): Strings {
    const section = this.sections[index]
    if (section === undefined) {
      throw this.error(from, `its names are in section ${index} of ${this.sections.length}`)
    }
    const { buffer, byteOffset, byteLength } = this.contents(section)
    const bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
    let [times, read] = [0, 0]
    return {
      at: (offset, from) => {
        const end = bytes.indexOf(0, offset)
        if (offset >= bytes.length || end < 0) {
          throw this.error(from, `a name is at ${offset} of ${bytes.length} bytes of names`)
        }
        times++
        read += end - offset
        if (read > MOST_SHARED * (bytes.length + times)) {
          throw this.error(from, `${times} names are ${read} bytes, and all of them are in ${bytes.length}`)
        }
        return bytes.toString('utf8', offset, end)
      },
    }
  }

  /** Bytes that something at `from` refers to. Errors: ElfError where they are not within the file. */
  view(offset: number, length: number, what: string, from: number): DataView {
    const { size } = this.source
    if (offset + length > size) {
      throw this.error(from, `${what} is ${length} bytes at offset ${offset}, and the file has ${size}`)
    }
    if (length > LARGEST_TABLE) throw this.error(from, `${what} is ${length} bytes: more than ${LARGEST_TABLE}`)
    const { buffer, byteOffset, byteLength } = this.source.read(offset, length)
    return new DataView(buffer, byteOffset, byteLength)
  }

  /** Where in the file the bytes of an address are; undefined where nothing is loaded there from the file. */
  placeOf(address: bigint): { readonly offset: number; readonly executable: boolean } | undefined {
    for (const { type, flags, offset, address: from, size } of this.segments) {
      if (type !== PT_LOAD || address < from || address >= from + BigInt(size)) continue
      return { offset: offset + Number(address - from), executable: (flags & PF_X) !== 0 }
    }
    return undefined
  }

  /** An error of this file. */
  error(offset: number, reason: string): ElfError {
    return new ElfError(this.source.path, reason, offset)
  }

  #oneOf<T>(ident: Uint8Array, at: number, values: Readonly<Record<number, T>>, what: string): T {
    const found = values[ident[at] ?? -1]
    if (found === undefined) throw this.error(at, `${ident[at] ?? 'nothing'} is no ${what}`)
    return found
  }

  /** An offset, size or address. */
  #word(view: DataView, at: number): bigint {
    const le = this.littleEndian
    if (this.#shape.word === 4) return BigInt(view.getUint32(at, le))
    // Addresses of what is not linked yet: a bigint of each costs more than all the rest.
    return view.getUint32(at, le) === 0 && view.getUint32(at + 4, le) === 0 ? 0n : view.getBigUint64(at, le)
  }

  /** The same of what is in the file, hence below 2^53; `base` is where the view begins. */
  #place(view: DataView, at: number, base: number, what: string): number {
    const le = this.littleEndian
    if (this.#shape.word === 4) return view.getUint32(at, le)
    // By halves, without a bigint.
    const value = view.getUint32(at + (le ? 4 : 0), le) * 2 ** 32 + view.getUint32(at + (le ? 0 : 4), le)
    if (Number.isSafeInteger(value)) return value
    throw this.error(base + at, `${what} is ${this.#word(view, at)}: no file is so long`)
  }

  #readSections(header: DataView): Section[] {
    const { shoff, phentsize, section } = this.#shape
    const table = this.#place(header, shoff, 0, 'the offset of the section headers')
    if (table === 0) return []
    const entry = header.getUint16(phentsize + 4, this.littleEndian)
    this.#checkEntry(entry, section.size, phentsize + 4, 'section')
    // 0 where there are too many for 16 bits: the first section's size tells.
    let count = header.getUint16(phentsize + 6, this.littleEndian)
    if (count === 0) {
      const first = this.view(table, section.size, 'section header 0', shoff)
      count = this.#place(first, section.bytes, table, 'the number of sections')
    }
    const view = this.view(table, count * entry, `the table of ${count} section headers`, shoff)
    const lowHalf = this.#shape.word === 8 && !this.littleEndian ? 4 : 0
    return tabulate(count, (index): Section => {
      const from = index * entry
      return {
        at: table + from,
        index,
        type: view.getUint32(from + 4, this.littleEndian),
        flags: view.getUint32(from + section.flags + lowHalf, this.littleEndian),
        nameAt: view.getUint32(from, this.littleEndian),
        info: view.getUint32(from + section.info, this.littleEndian),
        address: this.#word(view, from + section.address),
        offset: this.#place(view, from + section.offset, table, 'the offset of a section'),
        size: this.#place(view, from + section.bytes, table, 'the size of a section'),
        link: view.getUint32(from + section.link, this.littleEndian),
        entrySize: this.#place(view, from + section.entrySize, table, 'the size of the entries of a section'),
      }
    })
  }

  #readNamesIndex(header: DataView): number {
    const index = header.getUint16(this.#shape.phentsize + 8, this.littleEndian)
    return index === ELSEWHERE ? (this.sections[0]?.link ?? 0) : index
  }

  #readSegments(header: DataView): Segment[] {
    const { phoff, phentsize, segment, section } = this.#shape
    const table = this.#place(header, phoff, 0, 'the offset of the program headers')
    if (table === 0) return []
    const entry = header.getUint16(phentsize, this.littleEndian)
    this.#checkEntry(entry, segment.size, phentsize, 'program')
    let count = header.getUint16(phentsize + 2, this.littleEndian)
    const first = this.sections[0]
    if (count === MANY_SEGMENTS && first !== undefined) {
      count = this.view(first.at, section.size, 'section header 0', 0).getUint32(section.info, this.littleEndian)
    }
    const view = this.view(table, count * entry, `the table of ${count} program headers`, phoff)
    return tabulate(count, (index): Segment => {
      const from = index * entry
      return {
        type: view.getUint32(from, this.littleEndian),
        flags: view.getUint32(from + segment.flags, this.littleEndian),
        offset: this.#place(view, from + segment.offset, table, 'the offset of a segment'),
        address: this.#word(view, from + segment.address),
        size: this.#place(view, from + segment.bytes, table, 'the size of a segment'),
      }
    })
  }

  #checkEntry(entry: number, least: number, at: number, what: string): void {
    if (entry < least) throw this.error(at, `a ${what} header is said to have ${entry} bytes, and has ${least}`)
  }
}
