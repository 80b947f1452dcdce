import { ElfFile } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'

const SHT_NOBITS = 8
const SHF_EXECINSTR = 4

/** The sections of a file that is sound, by name. */
export function sectionsOf(bytes: Uint8Array): Map<string, Uint8Array> {
  const elf = new ElfFile(memorySource(bytes))
  return new Map(
    elf.sections
      .filter(({ type, size }) => type !== SHT_NOBITS && size > 0)
      .map((section) => [elf.nameOf(section), bytes.slice(section.offset, section.offset + section.size)]),
  )
}

/** Sections of instructions. */
export function codeOf(bytes: Uint8Array): Uint8Array[] {
  return new ElfFile(memorySource(bytes)).sections
    .filter(({ flags, size }) => (flags & SHF_EXECINSTR) !== 0 && size > 0)
    .map(({ offset, size }) => bytes.slice(offset, offset + size))
}
