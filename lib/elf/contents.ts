import { LITTLE } from '../asm/decode'
import { Btf, type Btf as BtfType } from '../btf'
import { type ArenaData, readArenaData } from './arena'
import { readBtfMaps } from './btf-maps'
import { ObjectFunctions } from './functions'
import { type DataSection, type Global, readDataSections, readGlobals } from './globals'
import { type PlacedMap, readLegacyMaps } from './legacy-maps'
import type { ObjectFile, ObjectSection } from './object-file'
import { type ProgramExt, readProgramExt } from './program-btf'
import { type PlacedProgram, readPrograms } from './programs'
import { type PlacedStructOps, readStructOps } from './struct-ops'

/** All that an object says, understood, and nothing of it done yet. */
export interface Contents {
  readonly file: ObjectFile
  readonly btf: BtfType | undefined
  readonly ext: ProgramExt | undefined
  readonly license: string
  readonly version: number
  readonly maps: readonly PlacedMap[]
  /** Those of the maps that are structs of functions. */
  readonly structOps: readonly PlacedStructOps[]
  readonly data: readonly DataSection[]
  /** The variables in the arena. */
  readonly arena: ArenaData | undefined
  readonly globals: readonly Global[]
  readonly functions: ObjectFunctions
  readonly programs: readonly PlacedProgram[]
}

/** Reads all of an object. Makes no system call. Errors: ElfError, BtfError. */
export function readContents(file: ObjectFile): Contents {
  const btf = readBtf(file)
  const ext = readExt(file, btf)
  const functions = new ObjectFunctions(file)
  const data = readDataSections(file, btf)
  const structOps = readStructOps(file, btf, functions)
  const own = [...readLegacyMaps(file), ...readBtfMaps(file, btf, functions), ...structOps]
  const maps = [...own, ...data.map(({ placed }) => placed)]
  const arena = readArenaData(file, maps)
  const contents = {
    file,
    btf,
    ext,
    license: readText(file, file.section('license')),
    version: readVersion(file),
    maps,
    structOps,
    data,
    arena,
    globals: readGlobals(file, btf, arena === undefined ? data : [...data, arena]),
    functions,
    programs: readPrograms(functions, btf),
  }
  checkReferences(contents)
  return contents
}

function readBtf(file: ObjectFile): BtfType | undefined {
  const section = file.section('.BTF')
  return section === undefined || section.size === 0 || isEmpty(file.bytes(section))
    ? undefined
    : Btf.parse(file.bytes(section), { name: `.BTF of ${file.path}` })
}

/** A header and nothing else, without even the empty string: what gcc writes where the source has no types. */
function isEmpty(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return bytes.length >= 24 && view.getUint32(12, LITTLE) === 0 && view.getUint32(20, LITTLE) === 0
}

function readExt(file: ObjectFile, btf: BtfType | undefined): ProgramExt | undefined {
  const section = file.section('.BTF.ext')
  if (section === undefined || section.size === 0 || btf === undefined) return undefined
  return readProgramExt(file.bytes(section), btf, `.BTF.ext of ${file.path}`)
}

/** Text up to a NUL, or to the section's end; '' where there is none. */
function readText(file: ObjectFile, section: ObjectSection | undefined): string {
  if (section === undefined) return ''
  const bytes = Buffer.from(file.bytes(section))
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

/** A kernel's version, which kprobe programs needed before Linux 5.0; 0 where there is none. */
function readVersion(file: ObjectFile): number {
  const section = file.section('version')
  if (section === undefined) return 0
  if (section.size !== 4) throw file.error(section.at, `section version has ${section.size} bytes, not the 4 of a u32`)
  const bytes = file.bytes(section)
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, LITTLE)
}

/** What code refers to must be there: else the file is not what it says. */
function checkReferences({ file, maps, structOps, arena, programs }: Contents): void {
  const withMaps = new Set(maps.map(({ section }) => section))
  for (const { section } of structOps) withMaps.delete(section)
  if (arena !== undefined) withMaps.add(arena.section.index)
  for (const { linked, program } of programs) {
    for (const { symbol, at } of linked.references) {
      const section = file.sectionOf(symbol)
      if (section === undefined || withMaps.has(section.index)) continue
      const name = symbol.name === '' ? 'a place' : `'${symbol.name}'`
      throw file.error(
        at,
        `program '${program.name}' refers to ${name} in section ${section.name}, which is for no map that programs use`,
      )
    }
  }
}

/** The map that a place in a section belongs to, and where it is within; undefined where there is none. */
export function mapAt(maps: readonly PlacedMap[], section: number, offset: number): PlacedMap | undefined {
  return maps.find(
    (map) => map.section === section && offset >= map.offset && offset < map.offset + Math.max(map.size, 1),
  )
}
