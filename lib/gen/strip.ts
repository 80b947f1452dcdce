import { ElfFile, type Section, SHT_NOBITS } from '../elf-file/file'
import { memorySource } from '../elf-file/source'

/** What compilers add for debuggers: DWARF. BTF is not among it. */
const FOR_DEBUGGERS = /^\.debug_/

/** sh_type of plain contents, and of relocations; sh_flags of what is loaded. */
const SHT_PROGBITS = 1
const SHT_REL = 9
const SHF_ALLOC_OR_EXECINSTR = 6

/** Bytes of a section header of 64 bits, and its fields. */
const HEADER = { size: 64, offset: 24, align: 48 } as const

/** More than compilers ask for. */
const MOST_ALIGN = 4096

/** Where the ELF header says that the section headers are. */
const E_SHOFF = 40

/**
 * An object without what is for debuggers, most of what clang -g writes: no kernel wants it. Sections keep their numbers,
 * those that are left out as ones without a type (SHT_NULL), so that nothing else has to change. Errors: ElfError.
 */
export function withoutDebugging(bytes: Uint8Array, name: string): Uint8Array {
  const elf = new ElfFile(memorySource(bytes, name))
  // Not by their names alone: what is loaded, and tables, may be called anything.
  const described = new Set(
    elf.sections.filter(
      (section) =>
        section.type === SHT_PROGBITS &&
        (section.flags & SHF_ALLOC_OR_EXECINSTR) === 0 &&
        FOR_DEBUGGERS.test(elf.nameOf(section)),
    ),
  )
  const relocates = ({ type, info }: Section) => type === SHT_REL && described.has(elf.sections[info] as Section)
  const dropped = new Set(elf.sections.filter((section) => described.has(section) || relocates(section)))
  if (dropped.size === 0 || elf.segments.length > 0 || elf.bits !== 64) return bytes
  const le = elf.littleEndian
  const headers = new Uint8Array(elf.sections.length * HEADER.size)
  const view = new DataView(headers.buffer)
  const chunks: Uint8Array[] = []
  let end = 0
  const add = (chunk: Uint8Array, align: number): number => {
    const start = Math.ceil(end / align) * align
    chunks.push(new Uint8Array(start - end), chunk)
    end = start + chunk.length
    return start
  }
  const header = bytes.slice(0, 64)
  add(header, 1)
  for (const section of elf.sections) {
    if (dropped.has(section)) continue
    const at = section.index * HEADER.size
    headers.set(bytes.subarray(section.at, section.at + HEADER.size), at)
    if (section.type === SHT_NOBITS || section.size === 0) continue
    const align = Math.max(1, Number(view.getBigUint64(at + HEADER.align, le)))
    // A hostile file would be mostly padding.
    if (align > MOST_ALIGN) throw elf.error(section.at + HEADER.align, `a section aligned to ${align} bytes`)
    const { buffer, byteOffset, byteLength } = elf.contents(section)
    view.setBigUint64(at + HEADER.offset, BigInt(add(new Uint8Array(buffer, byteOffset, byteLength), align)), le)
  }
  new DataView(header.buffer).setBigUint64(E_SHOFF, BigInt(add(headers, 8)), le)
  return new Uint8Array(Buffer.concat(chunks))
}
