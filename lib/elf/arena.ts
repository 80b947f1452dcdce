import { LITTLE } from '../asm/decode'
import { SHN_UNDEF } from '../elf-file/tables'
import { Arena, type BpfMap } from '../map'
import type { ObjectMap } from './description'
import type { Memory } from './globals'
import type { PlacedMap } from './legacy-maps'
import type { ObjectFile, ObjectSection } from './object-file'

/** The section of variables in address space 1, which is that of the arena (ARENA_SEC of libbpf). */
const ARENA_SECTION = '.addr_space.1'

/** r_type of a pointer in data; and what was written for it before LLVM 13. */
const R_BPF_64_64 = 1
const R_BPF_64_ABS64 = 2

/** Bytes of a pointer in an object for BPF. */
const POINTER = 8

/** The variables that an object has in its arena. */
export interface ArenaData {
  readonly section: ObjectSection
  /** The arena. */
  readonly map: ObjectMap
  /** What they begin with. */
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly constant: false
  /** Which of them point to others: where to, counted from the section's start. */
  readonly pointers: readonly { readonly at: number; readonly to: number }[]
}

/** The variables in the object's one arena; undefined for none. Errors: ElfError. */
export function readArenaData(file: ObjectFile, maps: readonly PlacedMap[]): ArenaData | undefined {
  const section = file.section(ARENA_SECTION)
  if (section === undefined || !section.allocated || section.size === 0) return undefined
  const [arena, another] = maps.filter(({ map }) => map.type === 'ARENA')
  if (arena === undefined) {
    throw file.error(section.at, `section ${ARENA_SECTION} has variables of an arena, and no map of the object is one`)
  }
  if (another !== undefined) {
    const names = `'${arena.map.name}' and '${another.map.name}'`
    throw file.error(
      section.at,
      `section ${ARENA_SECTION} has variables of the arena, and there are ${names}: one can be`,
    )
  }
  const bytes = file.bytes(section).slice()
  const pointers = section.relocations.map((relocation) => readPointer(file, section, relocation, bytes))
  return { section, map: arena.map, bytes, constant: false, pointers }
}

function readPointer(
  file: ObjectFile,
  section: ObjectSection,
  relocation: ObjectSection['relocations'][number],
  bytes: Uint8Array<ArrayBuffer>,
) {
  const { at: where, offset: at, type } = relocation
  if (at + POINTER > section.size)
    throw file.error(where, `a relocation at ${at} of ${section.size} in ${section.name}`)
  if (type !== R_BPF_64_ABS64 && type !== R_BPF_64_64) {
    throw file.error(where, `relocation type ${type}: pointers in data have R_BPF_64_ABS64 (2)`)
  }
  const symbol = file.symbolOf(relocation)
  const to = symbol.value + Number(new DataView(bytes.buffer).getBigInt64(at, LITTLE))
  if (symbol.section === SHN_UNDEF || symbol.section !== section.index || to < 0 || to > section.size) {
    const name = symbol.name === '' ? 'something' : `'${symbol.name}'`
    throw file.error(where, `a pointer at ${at} of ${section.name} is to ${name}, which is not in the arena`)
  }
  return { at, to }
}

/**
 * Maps an arena, which the verifier asks for before it takes a program that uses it (its address is then known), and
 * writes what variables begin with, where it was made now. They are at its start, as libbpf has them: so what a program
 * allocates is never at an address whose lower half is zero, which programs take for NULL. Throws TypeError,
 * RangeError.
 */
export function settleArena(map: BpfMap, fresh: boolean, data: ArenaData | undefined): void {
  if (!(map instanceof Arena)) {
    if (data === undefined) return
    throw new TypeError(`map '${data.map.name}' has to be an arena: the object has variables in it`)
  }
  const { address } = map
  if (data === undefined) return
  const { bytes, pointers } = data
  const { memory } = map
  if (bytes.length > memory.byteLength) {
    const needs = Math.ceil(bytes.length / (memory.byteLength / map.pages))
    throw new RangeError(`map '${data.map.name}' has ${map.pages} pages, and the variables in it need ${needs}`)
  }
  if (!fresh) return
  new Uint8Array(memory, 0, bytes.length).set(bytes)
  const view = new DataView(memory)
  for (const { at, to } of pointers) view.setBigUint64(at, address + BigInt(to), LITTLE)
}

/** Where variables of an arena are once it is there. */
export class ArenaMemory implements Memory {
  readonly #arena: Arena
  readonly #length: number
  #bytes: Uint8Array | undefined
  readonly readonly = undefined

  constructor(arena: Arena, { bytes }: ArenaData) {
    this.#arena = arena
    this.#length = bytes.length
  }

  get what(): string {
    return this.#arena.description
  }

  bytes(): Uint8Array {
    // Throws ClosedError.
    const { memory } = this.#arena
    this.#bytes ??= new Uint8Array(memory, 0, this.#length)
    return this.#bytes
  }

  /** The memory is the map's own. */
  close(): void {}
}
