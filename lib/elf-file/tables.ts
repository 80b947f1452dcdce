import { tabulate } from '../tabulate'
import type { ElfFile, Section } from './file'

/** The tables of an object file that was not linked yet: its symbols, and where they are to be filled in (man 5 elf). */

/** sh_type */
export const SHT_SYMTAB = 2
const SHT_RELA = 4
const SHT_REL = 9

/** The low half of st_info. */
export const STT_OBJECT = 1
export const STT_FUNC = 2
export const STT_SECTION = 3

/** The high half of st_info. */
export const STB_LOCAL = 0
export const STB_WEAK = 2

/** The low bits of st_other: not to be seen outside of what it is linked into. */
const STV_INTERNAL = 1
const STV_HIDDEN = 2

/** st_shndx of what is elsewhere, and of what is not in a section. */
export const SHN_UNDEF = 0
export const SHN_LORESERVE = 0xff00

export interface ElfSymbol {
  /** Where it stands in the file, for messages. */
  readonly at: number
  readonly index: number
  readonly name: string
  /** STT_... */
  readonly kind: number
  /** STB_... */
  readonly binding: number
  /** Declared so that nobody outside of the object calls it. */
  readonly hidden: boolean
  /** st_shndx */
  readonly section: number
  /** Where it is in its section. */
  readonly value: number
  readonly size: number
}

/** A place that a symbol's address is to be written to. */
export interface Relocation {
  /** Where it stands in the file, for messages. */
  readonly at: number
  /** The place, within the section that the relocations are for. */
  readonly offset: number
  /** r_type, by the processor. */
  readonly type: number
  /** The symbol's number. */
  readonly symbol: number
}

/** The symbols of a 64-bit file; empty where it has none. Errors: ElfError. */
export function readSymbols(elf: ElfFile): ElfSymbol[] {
  const section = elf.sections.find(({ type }) => type === SHT_SYMTAB)
  if (section === undefined) return []
  const table = tableOf(elf, section, 24, 'symbols')
  const names = elf.strings(section.link, section.at)
  const le = elf.littleEndian
  return rows(table, 24, (from, index) => {
    const at = section.offset + from
    const info = table.getUint8(from + 4)
    return {
      at,
      index,
      name: names.at(table.getUint32(from, le), at),
      kind: info & 0xf,
      binding: info >> 4,
      hidden: [STV_INTERNAL, STV_HIDDEN].includes(table.getUint8(from + 5) & 3),
      section: table.getUint16(from + 6, le),
      value: place(elf, table, from + 8, at + 8),
      size: place(elf, table, from + 16, at + 16),
    }
  })
}

/**
 * The relocations of a 64-bit file, by the section that they are for, each list by place; of those sections that are
 * wanted. Errors: ElfError.
 */
export function readRelocations(
  elf: ElfFile,
  wanted = (_section: Section): boolean => true,
): Map<number, Relocation[]> {
  const found = new Map<number, Relocation[]>()
  let bytes = 0
  for (const section of elf.sections) {
    if (section.type === SHT_RELA) {
      throw elf.error(section.at, 'relocations with addends (SHT_RELA): compilers for BPF make SHT_REL')
    }
    if (section.type !== SHT_REL) continue
    bytes += section.size
    if (bytes > elf.source.size) {
      throw elf.error(section.at, `with it there are ${bytes} bytes of relocations in ${elf.source.size}: they overlap`)
    }
    const its = elf.sections[section.info]
    if (its !== undefined && !wanted(its)) continue
    const table = tableOf(elf, section, 16, 'relocations')
    const le = elf.littleEndian
    const list = rows(table, 16, (from): Relocation => {
      const at = section.offset + from
      // r_info: the type is the low half of the word, the symbol the high one.
      return {
        at,
        offset: place(elf, table, from, at),
        type: table.getUint32(from + (le ? 8 : 12), le),
        symbol: table.getUint32(from + (le ? 12 : 8), le),
      }
    })
    const before = found.get(section.info)
    if (before === undefined) found.set(section.info, list)
    else for (const relocation of list) before.push(relocation)
  }
  for (const list of found.values()) if (!isInOrder(list)) list.sort((a, b) => a.offset - b.offset)
  return found
}

/** As compilers write them. */
function isInOrder(list: readonly Relocation[]): boolean {
  return list.every(({ offset }, i) => i === 0 || offset >= (list[i - 1] as Relocation).offset)
}

function tableOf(elf: ElfFile, section: Section, entry: number, what: string): DataView {
  if (section.entrySize !== entry) {
    throw elf.error(section.at, `${what} of 64 bits have ${entry} bytes, and here ${section.entrySize}`)
  }
  if (section.size % entry !== 0) {
    throw elf.error(section.at, `${section.size} bytes are no whole number of ${what} of ${entry}`)
  }
  return elf.contents(section)
}

function rows<T>(table: DataView, entry: number, read: (from: number, index: number) => T): T[] {
  return tabulate(table.byteLength / entry, (index) => read(index * entry, index))
}

/** What is within a section, hence below 2^53: by halves, as a bigint of each would cost more than all the rest. */
function place(elf: ElfFile, table: DataView, from: number, at: number): number {
  const le = elf.littleEndian
  const value = table.getUint32(from + (le ? 4 : 0), le) * 2 ** 32 + table.getUint32(from + (le ? 0 : 4), le)
  if (Number.isSafeInteger(value)) return value
  throw elf.error(at, `${table.getBigUint64(from, le)} is no place in an object file`)
}
