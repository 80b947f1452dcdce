import { nearest } from '../text/nearest'
import { ElfError } from './error'
import { ElfFile, ET_DYN, ET_EXEC, type Section } from './file'
import { type ElfSource, withElfFile } from './source'

/** Where the functions of an executable or a shared library stand in its file: what uprobes are placed by. */

/** sh_type */
const SHT_SYMTAB = 2
const SHT_DYNSYM = 11
const SHT_GNU_VERSYM = 0x6fffffff

/** Of st_info: the low half is the kind, the high one how far it is seen. */
const STT_FUNC = 2
const STT_GNU_IFUNC = 10
const STB_GLOBAL = 1
const STB_WEAK = 2

/** st_shndx of what the file only refers to, and of what stands in no section. */
const SHN_UNDEF = 0
const SHN_ABS = 0xfff1

/** A version that is there for programs linked long ago: `memcpy@GLIBC_2.2.5`, not `memcpy@@GLIBC_2.14`. */
const HIDDEN_VERSION = 0x8000

/** What several symbols of one name are chosen by: others can only call what they see. */
const RANK = { hidden: 0, local: 1, weak: 2, global: 3 } as const

/** Of functions with the same name, how many a message tells the places of. */
const NAMED = 4

interface Found {
  /** Where its symbol stands, for messages. */
  readonly at: number
  /** More than one where there are others of this name and rank elsewhere. */
  readonly addresses: Set<bigint>
  readonly rank: number
  /** A function that chooses one of several at load time, and is not itself what is called. */
  readonly indirect: boolean
}

/** The functions of a file, by name. */
export class ElfFunctions {
  readonly #elf: ElfFile
  readonly #found = new Map<string, Found>()
  /** Of all tables of symbols that have been read. */
  #bytes = 0

  /** Reads .symtab and .dynsym. Errors: ElfError. */
  constructor(source: ElfSource) {
    const elf = new ElfFile(source)
    this.#elf = elf
    if (elf.type !== ET_EXEC && elf.type !== ET_DYN) {
      throw elf.error(16, `neither an executable nor a shared library: its type is ${elf.type}, and not 2 or 3`)
    }
    for (const section of elf.sections) {
      if (section.type === SHT_SYMTAB || section.type === SHT_DYNSYM) this.#read(section)
    }
  }

  /** The names of all functions that can be asked for. */
  get names(): readonly string[] {
    return [...this.#found].filter(([, { indirect }]) => !indirect).map(([name]) => name)
  }

  /**
   * Where in the file the function's first instruction stands. Of several with this name, the one that others see, in its
   * newest version. Errors: ElfError with code ENOENT (there is none, or one for which there is no single place).
   */
  offsetOf(name: string): number {
    const offsets = this.offsetsOf(name)
    if (offsets.length === 1) return offsets[0] as number
    const some = offsets.slice(0, NAMED).join(' or ')
    throw this.#missing(`several functions are called '${name}': say which by its offset, ${some}`)
  }

  /** The same for all of those that have this name. */
  offsetsOf(name: string): readonly number[] {
    const found = this.#found.get(name)
    if (found === undefined) throw this.#missing(this.#unknown(name))
    const { at, addresses, indirect } = found
    if (indirect) {
      throw this.#missing(
        `'${name}' is chosen at load time among several functions (STT_GNU_IFUNC): probe the one that is chosen, by its name or its offset`,
      )
    }
    return Array.from(addresses, (address) => this.#fileOffset(address, at, name))
  }

  #missing(reason: string): ElfError {
    return new ElfError(this.#elf.source.path, reason, undefined, 'ENOENT')
  }

  #unknown(name: string): string {
    if (this.#found.size === 0) return `no function '${name}': the file names none (it is stripped)`
    const near = nearest(name, this.#found.keys())
    const hint = near === undefined ? '' : `: did you mean '${near}'?`
    return `no function '${name}'${hint} (nm and nm -D list them)`
  }

  #fileOffset(address: bigint, at: number, name: string): number {
    const place = this.#elf.placeOf(address)
    if (place?.executable) return place.offset
    throw this.#elf.error(at, `'${name}' is said to be at address 0x${address.toString(16)}: no code is loaded there`)
  }

  #read(section: Section): void {
    const elf = this.#elf
    const { littleEndian, bits } = elf
    const wide = bits === 64
    const entry = wide ? 24 : 16
    if (section.entrySize !== entry) {
      throw elf.error(section.at, `symbols of ${bits} bits have ${entry} bytes, and here ${section.entrySize}`)
    }
    const symbols = elf.contents(section)
    this.#bytes += section.size
    if (this.#bytes > elf.source.size) {
      throw elf.error(
        section.at,
        `with it there are ${this.#bytes} bytes of symbols in ${elf.source.size}: they overlap`,
      )
    }
    const names = elf.strings(section.link, section.at)
    const versions = section.type === SHT_DYNSYM ? this.#versions(section) : undefined
    for (let at = 0; at + entry <= symbols.byteLength; at += entry) {
      const info = symbols.getUint8(at + (wide ? 4 : 12))
      const kind = info & 0xf
      if (kind !== STT_FUNC && kind !== STT_GNU_IFUNC) continue
      const index = symbols.getUint16(at + (wide ? 6 : 14), littleEndian)
      if (index === SHN_UNDEF || index === SHN_ABS) continue
      const name = names.at(symbols.getUint32(at, littleEndian), section.offset + at)
      if (name === '') continue
      const address = wide
        ? symbols.getBigUint64(at + 8, littleEndian)
        : BigInt(symbols.getUint32(at + 4, littleEndian))
      const version = versions?.getUint16((at / entry) * 2, littleEndian) ?? 0
      const rank = (version & HIDDEN_VERSION) !== 0 ? RANK.hidden : rankOf(info >> 4)
      const indirect = kind === STT_GNU_IFUNC
      this.#add(name, section.offset + at, address, rank, indirect)
    }
  }

  #add(name: string, at: number, address: bigint, rank: number, indirect: boolean): void {
    const before = this.#found.get(name)
    if (before === undefined || rank > before.rank) {
      this.#found.set(name, { at, addresses: new Set([address]), rank, indirect })
    } else if (rank === before.rank) {
      before.addresses.add(address)
    }
  }

  /** A u16 a symbol, where the file has versions. */
  #versions(section: Section): DataView | undefined {
    const versions = this.#elf.sections.find(({ type, link }) => type === SHT_GNU_VERSYM && link === section.index)
    if (versions === undefined) return undefined
    const count = Math.floor(section.size / section.entrySize)
    if (versions.size < count * 2) {
      throw this.#elf.error(versions.at, `${versions.size} bytes of versions for ${count} symbols`)
    }
    return this.#elf.contents(versions)
  }
}

function rankOf(binding: number): number {
  if (binding === STB_GLOBAL) return RANK.global
  return binding === STB_WEAK ? RANK.weak : RANK.local
}

/** The functions of a file. Errors: ElfError; Node's own (ENOENT, EACCES) where the file cannot be read. */
export function readFunctions(path: string): ElfFunctions {
  return withElfFile(path, (source) => new ElfFunctions(source))
}
