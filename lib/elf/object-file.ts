import { LITTLE } from '../asm/decode'
import { ElfError } from '../elf-file/error'
import { ElfFile, ET_REL, type Section, SHT_NOBITS } from '../elf-file/file'
import { type ElfSource, withElfFile } from '../elf-file/source'
import {
  type ElfSymbol,
  type Relocation,
  readRelocations,
  readSymbols,
  SHN_LORESERVE,
  SHN_UNDEF,
  STT_FUNC,
  STT_SECTION,
} from '../elf-file/tables'

/** e_machine of BPF, and of what clang made before there was a number. */
const EM_BPF = 247
const EM_NONE = 0

/** sh_flags */
const SHF_ALLOC = 2
const SHF_EXECINSTR = 4

/**
 * What describes the program, and is read by tables of its own: their relocations, of which there are many, tell nothing
 * that is not in these.
 */
const DESCRIPTIVE = /^\.(BTF|debug_)/

/** More than any compiled program has: a hostile file may claim zeros without end (SHT_NOBITS). */
const LARGEST_SECTION = 2 ** 28

/** A section with its name, its bytes, and what is to be filled in. */
export interface ObjectSection {
  readonly index: number
  readonly name: string
  /** Where its header stands in the file, and where its bytes do, for messages. */
  readonly at: number
  readonly offset: number
  readonly size: number
  readonly executable: boolean
  /** Loaded: neither debugging information nor tables. */
  readonly allocated: boolean
  /** All zeros: it has no bytes in the file. */
  readonly zeros: boolean
  readonly relocations: readonly Relocation[]
}

/** An object file as clang makes it for BPF, read as a whole: all tables are checked, nothing of it is interpreted. */
export class ObjectFile {
  readonly path: string
  readonly sections: readonly ObjectSection[]
  readonly symbols: readonly ElfSymbol[]
  readonly #elf: ElfFile
  readonly #bytes: (Uint8Array<ArrayBuffer> | undefined)[] = []
  /** The first section of each name. */
  readonly #byName = new Map<string, ObjectSection>()
  /** By section; and those of a section by their names. */
  readonly #symbols = new Map<number, ElfSymbol[]>()
  readonly #named = new Map<number, Map<string, ElfSymbol>>()

  constructor(source: ElfSource) {
    const elf = new ElfFile(source)
    this.#elf = elf
    this.path = source.path
    if (elf.bits !== 64) throw elf.error(4, 'objects for BPF have 64 bits, and this one 32')
    if (elf.machine !== EM_BPF && elf.machine !== EM_NONE) {
      throw elf.error(18, `no object for BPF: its machine is ${elf.machine}, not 247 (clang -target bpf)`)
    }
    if (elf.type !== ET_REL) {
      throw elf.error(16, `no object file: its type is ${elf.type}, not 1 (clang -c makes one)`)
    }
    if (elf.littleEndian !== LITTLE) {
      const [its, ours] = elf.littleEndian ? ['little', 'big'] : ['big', 'little']
      throw elf.error(5, `it is for ${its}-endian machines, and this one is ${ours}-endian (clang -target bpf)`)
    }
    const relocations = readRelocations(elf, (section) => !DESCRIPTIVE.test(elf.nameOf(section)))
    this.sections = elf.sections.map((section) => ({
      index: section.index,
      name: elf.nameOf(section),
      at: section.at,
      offset: section.offset,
      size: section.size,
      executable: (section.flags & SHF_EXECINSTR) !== 0,
      allocated: (section.flags & SHF_ALLOC) !== 0,
      zeros: section.type === SHT_NOBITS,
      relocations: relocations.get(section.index) ?? [],
    }))
    this.#checkSizes(source.size)
    for (const section of this.sections) if (!this.#byName.has(section.name)) this.#byName.set(section.name, section)
    this.symbols = readSymbols(elf)
    for (const symbol of this.symbols) {
      this.#checkSymbol(symbol)
      const those = this.#symbols.get(symbol.section)
      if (those === undefined) this.#symbols.set(symbol.section, [symbol])
      else those.push(symbol)
    }
  }

  /** The section of this name; undefined where there is none. */
  section(name: string): ObjectSection | undefined {
    return this.#byName.get(name)
  }

  /** The section that a symbol stands in; undefined where it is elsewhere. */
  sectionOf(symbol: ElfSymbol): ObjectSection | undefined {
    return symbol.section === SHN_UNDEF ? undefined : this.sections[symbol.section]
  }

  /** The bytes of a section; the same each time, and not to be written to. Errors: ElfError. */
  bytes({ index, at, zeros, size, name }: ObjectSection): Uint8Array<ArrayBuffer> {
    let bytes = this.#bytes[index]
    if (bytes === undefined) {
      if (size > LARGEST_SECTION)
        throw this.error(at, `section ${name} has ${size} bytes: more than ${LARGEST_SECTION}`)
      bytes = zeros ? new Uint8Array(size) : this.#contents(this.#elf.sections[index] as Section)
      this.#bytes[index] = bytes
    }
    return bytes
  }

  /** The symbol of a relocation. Errors: ElfError. */
  symbolOf({ at, symbol }: Relocation): ElfSymbol {
    const found = this.symbols[symbol]
    if (found === undefined) throw this.error(at, `it refers to symbol ${symbol} of ${this.symbols.length}`)
    return found
  }

  /** The symbols that stand in a section, in the order of the table. */
  symbolsOf({ index }: ObjectSection): readonly ElfSymbol[] {
    return this.#symbols.get(index) ?? []
  }

  /** The first symbol of this name in a section, other than the section's own; undefined where there is none. */
  symbolNamed(section: ObjectSection, name: string): ElfSymbol | undefined {
    let named = this.#named.get(section.index)
    if (named === undefined) {
      named = new Map()
      for (const symbol of this.symbolsOf(section)) {
        if (symbol.kind !== STT_SECTION && !named.has(symbol.name)) named.set(symbol.name, symbol)
      }
      this.#named.set(section.index, named)
    }
    return named.get(name)
  }

  /** The functions of a section, in their order. */
  functionsOf(section: ObjectSection): ElfSymbol[] {
    const all = this.symbolsOf(section).filter(({ kind }) => kind === STT_FUNC)
    return all.sort((a, b) => a.value - b.value)
  }

  error(offset: number, reason: string): ElfError {
    return new ElfError(this.path, reason, offset)
  }

  #contents(section: Section): Uint8Array<ArrayBuffer> {
    const { buffer, byteOffset, byteLength } = this.#elf.contents(section)
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
  }

  /** Each byte is in one section, and zeros are no more than could be loaded: else a small file would fill all memory. */
  #checkSizes(fileSize: number): void {
    let [inFile, zeros] = [0, 0]
    for (const { at, index, size, zeros: isZeros, relocations } of this.sections) {
      if (isZeros) zeros += size
      // The first one is none: of it there are other things in these fields.
      else if (index > 0) inFile += size
      const outside = relocations.find(({ offset }) => offset >= size)
      if (outside !== undefined) {
        throw this.error(outside.at, `it is for byte ${outside.offset} of the ${size} of section ${index}`)
      }
      if (zeros > LARGEST_SECTION) {
        throw this.error(at, `with section ${index} there are ${zeros} bytes of zeros: more than ${LARGEST_SECTION}`)
      }
      if (inFile > fileSize) {
        throw this.error(at, `with section ${index} there are ${inFile} bytes of sections in ${fileSize}: they overlap`)
      }
    }
  }

  #checkSymbol({ at, name, section, value, size }: ElfSymbol): void {
    if (section === SHN_UNDEF || section >= SHN_LORESERVE) return
    const its = this.sections[section]
    if (its === undefined) throw this.error(at, `symbol '${name}' is in section ${section} of ${this.sections.length}`)
    if (value + size > its.size) {
      throw this.error(at, `symbol '${name}' is ${size} bytes at ${value} of ${its.size} in section ${its.name}`)
    }
  }
}

/** Bytes that are nobody else's, and are not written to: what is read of them is a part of them, not a copy. */
function wholeSource(bytes: Uint8Array, path = 'the object'): ElfSource {
  return { path, size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) }
}

/** Reads an object file from a path or from memory. Errors: ElfError; Node's own (ENOENT, EACCES). */
export function readObjectFile(source: string | Uint8Array, name?: string): ObjectFile {
  if (typeof source === 'string') {
    // As a whole: what is read of it later must be what was checked.
    return withElfFile(source, (file) => {
      if (file.size > LARGEST_SECTION) throw new ElfError(source, `it has ${file.size} bytes: no object for BPF has`)
      return new ObjectFile(wholeSource(file.read(0, file.size), source))
    })
  }
  // A copy: not `slice`, which of a Buffer makes none.
  return new ObjectFile(wholeSource(new Uint8Array(source), name))
}
