import { LITTLE } from '../asm/decode'
import type { ElfSymbol } from '../elf-file/tables'
import { STT_SECTION } from '../elf-file/tables'
import { type MapType, mapTypeLabel } from '../map/attributes'
import type { ObjectMap } from './description'
import { flagsOf, isOuter } from './map-shape'
import type { ObjectFile, ObjectSection } from './object-file'

/** A map, and where the object has it. */
export interface PlacedMap {
  readonly map: ObjectMap
  readonly section: number
  readonly offset: number
  /** Bytes of its definition. */
  readonly size: number
}

/** struct bpf_map_def of libbpf before 1.0: type, key_size, value_size, max_entries, map_flags. */
const LIBBPF_BYTES = 20
/** The same in the kernel's samples: and inner_map_idx, numa_node. */
const SAMPLES_BYTES = 28
/** struct bpf_elf_map of iproute2: and id, pinning, inner_id, inner_idx; older ones end with pinning. */
const IPROUTE2_BYTES = 36
/** struct bpf_map_def of gobpf: and pinning, and the folder of the pin as text of 256 bytes. */
const GOBPF_BYTES = 280

/** The words that all begin with, without the flags, which were last to come. */
const LEAST_BYTES = 16

/** A program uses up to 64 (MAX_USED_MAPS). */
const MOST_MAPS = 4096

/** As many as an outer map is filled with by its object: they are gone through one by one. */
const MOST_SLOTS = 2 ** 16

/** pinning of iproute2 and of gobpf: in a folder of the object's, or in one for all; of gobpf alone: in one that the caller says. */
const PIN_OBJECT = 1
const PIN_GLOBAL = 2
const PIN_CUSTOM = 3

/** BPF_F_NUMA_NODE: without it nobody looks at numa_node. */
const NUMA_NODE = 4

/** `maps`; of gobpf 'maps/NAME', one section a map; of ir-keytable 'lirc_mode2/maps', beside its programs. */
const SECTIONS = /^(maps|maps\/.*|lirc_mode2\/maps)$/

/**
 * The maps of sections called `maps`, by structs of plain words: what was written before there was BTF, and what iproute2
 * takes. Of an outer map they do not tell what its inner maps look like, other than by reference to another map.
 */
export function readLegacyMaps(file: ObjectFile): PlacedMap[] {
  return file.sections.filter(({ name }) => SECTIONS.test(name)).flatMap((section) => readSection(file, section))
}

function readSection(file: ObjectFile, section: ObjectSection): PlacedMap[] {
  const symbols = file
    .symbolsOf(section)
    .filter(({ kind, name }) => kind !== STT_SECTION && name !== '')
    .sort((a, b) => a.value - b.value)
  if (symbols.length > MOST_MAPS) {
    throw file.error(section.at, `section maps has ${symbols.length} maps: no object has more than ${MOST_MAPS}`)
  }
  const first = symbols[0]
  if (first === undefined) {
    if (section.size === 0) return []
    throw file.error(section.at, `section ${section.name} has maps without names: there are no symbols of them`)
  }
  // Some have symbols without sizes: all have the same then.
  const each = first.size !== 0 ? first.size : section.size / symbols.length
  const placed = symbols.map((symbol) => readDefinition(file, section, symbol, each))
  for (const { its, words } of placed) settleInner(file, its.map, words, placed)
  return placed.map(({ its }) => its)
}

interface Read {
  readonly its: PlacedMap
  readonly words: readonly number[]
}

function readDefinition(file: ObjectFile, section: ObjectSection, symbol: ElfSymbol, each: number): Read {
  const size = symbol.size === 0 ? each : symbol.size
  if (!Number.isInteger(size) || size < LEAST_BYTES || symbol.value + size > section.size) {
    throw file.error(
      symbol.at,
      `map '${symbol.name}' is defined by ${size} bytes: struct bpf_map_def has ${LIBBPF_BYTES}`,
    )
  }
  const all = file.bytes(section)
  const view = new DataView(all.buffer, all.byteOffset + symbol.value, size)
  const words = Array.from({ length: Math.floor(size / 4) }, (_, i) => view.getUint32(i * 4, LITTLE))
  checkRest(file, symbol, size, words)
  const [type = 0, keySize = 0, valueSize = 0, maxEntries = 0, flags = 0] = words
  const where = section.offset + symbol.value
  const map: ObjectMap = {
    name: symbol.name,
    type: mapTypeLabel(type) as MapType,
    keySize,
    valueSize,
    maxEntries,
    flags: flagsOf(flags, (reason) => file.error(where, `map '${symbol.name}': ${reason}`)),
    mapExtra: 0n,
    numaNode: size === SAMPLES_BYTES && (flags & NUMA_NODE) !== 0 && words[6] !== 0 ? words[6] : undefined,
    pinning: isPinned(size, words) ? 'by-name' : 'none',
    inner: undefined,
    values: [],
    keyType: 0,
    valueType: 0,
    key: undefined,
    value: undefined,
    autocreate: true,
  }
  return { its: { map, section: section.index, offset: symbol.value, size }, words }
}

/** Which folder it is that each loader means, `pins` says here. */
function isPinned(size: number, words: readonly number[]): boolean {
  const [, , , , flags = 0, sixth = 0, seventh = 0] = words
  if (size === GOBPF_BYTES) return sixth >= PIN_OBJECT && sixth <= PIN_CUSTOM
  // As long as those of the kernel's samples: where no node is asked for, the last word is that of an older iproute2.
  const ofIproute2 = size === IPROUTE2_BYTES || (size === SAMPLES_BYTES && (flags & NUMA_NODE) === 0)
  return ofIproute2 && (seventh === PIN_OBJECT || seventh === PIN_GLOBAL)
}

/** What a longer struct says that is not known here would be passed over in silence: it must be zeros. */
function checkRest(file: ObjectFile, { at, name }: ElfSymbol, size: number, words: readonly number[]): void {
  if (size === SAMPLES_BYTES || size === IPROUTE2_BYTES || size === GOBPF_BYTES) return
  const unknown = words.findIndex((word, i) => i >= LIBBPF_BYTES / 4 && word !== 0)
  if (unknown < 0) return
  throw file.error(
    at,
    `map '${name}' is defined by ${size} bytes, with ${words[unknown]} in word ${unknown}: what is it?`,
  )
}

/** The template of an outer map, where its definition refers to another. */
function settleInner(file: ObjectFile, map: ObjectMap, words: readonly number[], all: readonly Read[]): void {
  if (!isOuter(map.type)) return
  if (words.length === SAMPLES_BYTES / 4) {
    map.inner = all[words[5] as number]?.its.map
  } else if (words.length === IPROUTE2_BYTES / 4 && words[7] !== 0) {
    const [, , , , , , , innerId] = words
    const members = all.filter((each) => each.words.length === words.length && each.words[5] === innerId)
    if (members.length === 0) throw file.error(0, `map '${map.name}' has inner maps of id ${innerId}, which no map has`)
    map.inner = members[0]?.its.map
    // inner_idx: which slot of the outer map it is put into; -1 for none.
    for (const { its, words: theirs } of members) {
      const slot = (theirs[8] as number) | 0
      if (slot >= MOST_SLOTS && slot < map.maxEntries) {
        throw file.error(
          0,
          `map '${its.map.name}' is to be put into slot ${slot} of '${map.name}': ${MOST_SLOTS} are filled`,
        )
      }
      if (slot >= 0 && slot < map.maxEntries) map.values[slot] = its.map.name
    }
  }
  if (map.inner === map) throw file.error(0, `map '${map.name}' is said to be its own inner map`)
}
