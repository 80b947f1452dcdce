/** What fuzzing begins with: the compiled objects of the specs, and files by the book. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ElfFile } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'
import { everyKind, Image } from '../../spec/btf/image'
import { elfImage } from '../../spec/support/elf-image'
import { codeOf, sectionsOf } from './sections'
import type { Input } from './targets'

const ROOT = join(__dirname, '..', '..')
const FOLDERS = ['spec/fixtures', 'spec/btf/fixtures', 'spec/co-re/fixtures']

/** By name, so that a run is the same on every machine. */
function files(): { readonly name: string; readonly bytes: Uint8Array }[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.o'))
      .sort()
      .map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(ROOT, folder, name))) })),
  )
}

export function objects(): Input[] {
  return files().map(({ bytes }) => [bytes])
}

/** Executables and libraries of both widths and byte orders. */
export function libraries(): Input[] {
  const symbols = [
    { name: 'first', address: 0x401000 },
    { name: 'second', address: 0x401010, binding: 2 },
    { name: 'second', address: 0x401020, binding: 0 },
    { name: 'chosen', address: 0x401030, kind: 10 },
    { name: 'elsewhere', address: 0, section: 0 },
  ]
  return ([32, 64] as const).flatMap((bits) =>
    [true, false].flatMap((littleEndian) =>
      [2, 11].map((tableType): Input => {
        // The headers and tables are in the first half; the rest is code that nobody reads.
        return [elfImage({ bits, littleEndian, symbols, tableType }).bytes.slice(0, 0x1000)]
      }),
    ),
  )
}

/** The same with something for debuggers in each, as they are before they are stripped. */
export function unstripped(): Input[] {
  const [from, to] = ['.llvm_addrsig', '.debug_adrsig']
  return files().flatMap(({ bytes }): Input[] => {
    const elf = new ElfFile(memorySource(bytes))
    const section = elf.sections.find((each) => elf.nameOf(each) === from)
    if (section === undefined) return []
    const copy = Buffer.from(bytes)
    copy.write(to, copy.indexOf(from), 'latin1')
    // struct Elf64_Shdr: sh_type, SHT_PROGBITS.
    copy.writeUInt32LE(1, section.at + 4)
    return [[new Uint8Array(copy)]]
  })
}

/** A program with probes. */
export function probed(): Input[] {
  return [[new Uint8Array(readFileSync(join(ROOT, 'spec/fixtures/usdt.x86_64')))]]
}

function sections(name: string): Uint8Array[] {
  return files().flatMap(({ bytes }) => sectionsOf(bytes).get(name) ?? [])
}

export function btfs(): Input[] {
  const made = [
    everyKind().bytes(),
    everyKind({ littleEndian: false }).bytes(),
    everyKind({ layouts: Array.from({ length: 40 }, () => [4, 8] as const) }).bytes(),
  ]
  return [...made, ...sections('.BTF')].map((bytes) => [new Uint8Array(bytes)])
}

export function splits(): Input[] {
  const base = everyKind()
  const split = new Image({ base: { types: base.typeCount, stringBytes: base.stringBytes } })
  split.struct('pair', 56, [
    ['nodes', split.array(7, 2), 0],
    ['same', 33, 384],
  ])
  split.typedef('node_t', 34)
  split.typedef('node', 9)
  return [[new Uint8Array(base.bytes()), new Uint8Array(split.bytes())]]
}

export function exts(): Input[] {
  return files().flatMap(({ bytes }): Input[] => {
    const all = sectionsOf(bytes)
    const [btf, ext] = [all.get('.BTF'), all.get('.BTF.ext')]
    return btf === undefined || ext === undefined ? [] : [[btf, ext]]
  })
}

/** Objects with relocations, and a kernel that answers some: the target of the specs, or the object's own types. */
export function relocated(): Input[] {
  const target = files().find(({ name }) => name === 'target.o')?.bytes
  const kernel = target === undefined ? undefined : sectionsOf(target).get('.BTF')
  return files().flatMap(({ bytes }): Input[] => {
    const all = sectionsOf(bytes)
    const [btf, ext] = [all.get('.BTF'), all.get('.BTF.ext')]
    // core_relo_len
    if (btf === undefined || ext === undefined || Buffer.from(ext).readUInt32LE(28) === 0) return []
    return kernel === undefined
      ? [[bytes, btf]]
      : [
          [bytes, btf],
          [bytes, kernel],
        ]
  })
}

export function codes(): Input[] {
  return files().flatMap(({ bytes }) => codeOf(bytes).map((code): Input => [code]))
}
