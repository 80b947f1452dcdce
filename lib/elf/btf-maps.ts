import { LITTLE } from '../asm/decode'
import { type Btf, BtfError, type BtfMember } from '../btf'
import { type Relocation, SHN_UNDEF } from '../elf-file/tables'
import type { MapType } from '../map'
import { mapTypeLabel } from '../map/attributes'
import type { ObjectMap } from './description'
import type { ObjectFunctions } from './functions'
import type { PlacedMap } from './legacy-maps'
import { flagsOf, isOuter } from './map-shape'
import type { ObjectFile, ObjectSection } from './object-file'
import { TEXT } from './programs'

/** The section of maps that are described by the types of their variables. */
export const MAPS_SECTION = '.maps'

/** Bytes of a pointer in an object for BPF. */
const POINTER = 8

/** LIBBPF_PIN_BY_NAME */
const PIN_BY_NAME = 1

/** Members whose number is the length of an array that they point to. */
const NUMBERS = ['type', 'max_entries', 'map_flags', 'numa_node', 'key_size', 'value_size', 'pinning', 'map_extra']

interface Definition {
  readonly name: string
  /** BTF id of the struct. */
  readonly type: number
  readonly inner: boolean
}

/**
 * The maps of section .maps: each is a variable of an anonymous struct, whose members tell by their types (parse_btf_map_def
 * of libbpf; __uint, __type, __array of its bpf_helpers.h). Errors: ElfError, BtfError.
 */
export function readBtfMaps(file: ObjectFile, btf: Btf | undefined, functions: ObjectFunctions): PlacedMap[] {
  const section = file.section(MAPS_SECTION)
  if (section === undefined || section.size === 0) return []
  const datasec = btf?.find(MAPS_SECTION, 'datasec')
  if (btf === undefined || datasec === undefined) {
    throw file.error(section.at, 'the maps in section .maps are told by BTF, and there is none: compile it with -g')
  }
  const placed = datasec.vars.map(({ type }): PlacedMap & { valuesAt: number | undefined } => {
    const variable = btf.type(type)
    if (variable.kind !== 'var') throw new BtfError(btf.name, `section .maps has a ${variable.kind}, no variable`)
    const { name } = variable
    const symbol = file.symbolNamed(section, name)
    if (symbol === undefined) throw file.error(section.at, `map '${name}' is in the BTF, and has no symbol`)
    const { map, valuesAt } = readDefinition(btf, { name, type: variable.type, inner: false })
    return { map, section: section.index, offset: symbol.value, size: btf.sizeOf(variable.type), valuesAt }
  })
  // A map's own size is that of an array without a length: its values go on to where the next variable begins.
  const byPlace = [...placed].sort((a, b) => a.offset - b.offset)
  const names = new Map(placed.map(({ offset, map }) => [offset, map.name]))
  for (const [i, { map, offset, valuesAt }] of byPlace.entries()) {
    const to = byPlace[i + 1]?.offset ?? section.size
    if (to === offset) throw file.error(section.at, `map '${map.name}' and another one are both at ${offset} of .maps`)
    if (valuesAt === undefined) continue
    map.values = readValues({ file, section, from: offset + valuesAt, to, map, names, functions })
  }
  return placed
}

/** How a definition is refused. */
function refuse(btf: Btf, { name, inner }: Definition, reason: string): BtfError {
  return new BtfError(btf.name, `${inner ? 'the inner maps of ' : ''}map '${name}': ${reason}`)
}

function readDefinition(btf: Btf, definition: Definition): { map: ObjectMap; valuesAt: number | undefined } {
  const { name } = definition
  const its = btf.resolve(definition.type)
  if (its.kind !== 'struct') throw refuse(btf, definition, `it is defined by a ${its.kind}, not by a struct`)
  const numbers: Record<string, number | bigint> = {}
  let [keyType, valueType, inner, valuesAt] = [
    0,
    0,
    undefined as ObjectMap | undefined,
    undefined as number | undefined,
  ]
  const known = new Set<string>()
  for (const member of its.members) {
    if (known.has(member.name)) throw refuse(btf, definition, `member '${member.name}' is there twice`)
    known.add(member.name)
    if (NUMBERS.includes(member.name)) numbers[member.name] = numberOf(btf, definition, member)
    else if (member.name === 'key') keyType = described(btf, pointedTo(btf, definition, member))
    else if (member.name === 'value') valueType = described(btf, pointedTo(btf, definition, member))
    else if (member.name === 'values') {
      valuesAt = member.bitOffset / 8
      inner = readInner(btf, definition, member)
    } else throw refuse(btf, definition, `member '${member.name}' is not one that maps have`)
  }
  const number = (key: string) => Number(numbers[key] ?? 0)
  if (numbers.type === undefined) throw refuse(btf, definition, 'it has no type: __uint(type, BPF_MAP_TYPE_...)')
  const type = mapTypeLabel(number('type')) as MapType
  if (valuesAt !== undefined && !isOuter(type) && type !== 'PROG_ARRAY') {
    throw refuse(btf, definition, `it has \`values\`, which maps of maps and PROG_ARRAYs have, and is a ${type}`)
  }
  if (number('pinning') > PIN_BY_NAME)
    throw refuse(btf, definition, `pinning is ${number('pinning')}: 0 or 1 are known`)
  const references = isOuter(type) || type === 'PROG_ARRAY'
  const keySize = sizeOf(btf, definition, { what: 'key', type: keyType, given: numbers.key_size })
  const valueSize = sizeOf(btf, definition, { what: 'value', type: valueType, given: numbers.value_size })
  const map: ObjectMap = {
    name,
    type,
    // libbpf fills these in for maps whose values stand in the source.
    keySize: keySize === 0 && references ? 4 : keySize,
    valueSize: valueSize === 0 && references ? 4 : valueSize,
    maxEntries: number('max_entries'),
    flags: flagsOf(number('map_flags'), (reason) => refuse(btf, definition, reason)),
    mapExtra: BigInt(numbers.map_extra ?? 0),
    numaNode: numbers.numa_node === undefined ? undefined : number('numa_node'),
    pinning: number('pinning') === PIN_BY_NAME ? 'by-name' : 'none',
    inner,
    values: [],
    keyType,
    valueType,
    key: undefined,
    value: undefined,
    autocreate: true,
  }
  return { map, valuesAt }
}

/** __uint: a pointer to an array of so many; __ulong: an enum of one value. */
function numberOf(btf: Btf, definition: Definition, { name, type }: BtfMember): number | bigint {
  const its = btf.resolve(type)
  if (its.kind === 'ptr') {
    const array = btf.resolve(its.type)
    if (array.kind === 'array') return array.length
  }
  if ((its.kind === 'enum' || its.kind === 'enum64') && its.values[0] !== undefined) return its.values[0].value
  throw refuse(btf, definition, `${name} is no number: __uint(${name}, 1) makes one`)
}

/** __type: a pointer to the type. */
function pointedTo(btf: Btf, definition: Definition, { name, type }: BtfMember): number {
  const its = btf.resolve(type)
  if (its.kind !== 'ptr') throw refuse(btf, definition, `${name} is no type: __type(${name}, int) makes one`)
  return its.type
}

/**
 * What is behind a declaration, where the BTF has it: compilers before clang 15 follow the types of inner maps no further
 * than to names, and linkers put the structs of other files beside them.
 */
function described(btf: Btf, type: number): number {
  const its = btf.resolve(type)
  return its.kind === 'fwd' ? (btf.find(its.name, its.of)?.id ?? type) : type
}

interface Size {
  readonly what: 'key' | 'value'
  readonly type: number
  readonly given: number | bigint | undefined
}

function sizeOf(btf: Btf, definition: Definition, { what, type, given }: Size): number {
  if (type === 0) return Number(given ?? 0)
  const its = btf.resolve(type)
  if (its.kind === 'fwd') {
    if (given !== undefined) return Number(given)
    // Of inner maps the caller can tell it yet: see `templateOf`.
    if (definition.inner) return 0
    const size = `__uint(${what}_size, sizeof(struct ${its.name}))`
    throw refuse(
      btf,
      definition,
      `its ${what} is struct ${its.name}, which the BTF only names, as nothing else uses it: ${size} tells its size; a global variable of it, struct ${its.name} unused_${what};, its fields too`,
    )
  }
  const size = btf.sizeOf(type)
  if (given !== undefined && Number(given) !== size) {
    throw refuse(btf, definition, `${what}_size is ${given}, and the type of its ${what} has ${size} bytes`)
  }
  return size
}

/** __array(values, ...): an array of pointers, to structs that define inner maps, or to programs. */
function readInner(btf: Btf, definition: Definition, member: BtfMember): ObjectMap | undefined {
  if (definition.inner) throw refuse(btf, definition, 'they hold maps themselves, and outer maps do not nest')
  const array = btf.resolve(member.type)
  const pointer = array.kind === 'array' ? btf.resolve(array.type) : array
  const its = pointer.kind === 'ptr' ? btf.resolve(pointer.type) : pointer
  if (array.kind !== 'array' || pointer.kind !== 'ptr') {
    throw refuse(btf, definition, 'values is no array of pointers: __array(values, struct inner) makes one')
  }
  if (its.kind === 'func_proto') return undefined
  return readDefinition(btf, { name: definition.name, type: pointer.type, inner: true }).map
}

interface Values {
  readonly file: ObjectFile
  readonly section: ObjectSection
  readonly from: number
  readonly to: number
  readonly map: ObjectMap
  /** Of maps, by where they are. */
  readonly names: ReadonlyMap<number, string>
  readonly functions: ObjectFunctions
}

/** What the source puts into the slots: each has a relocation that names a map, or a program. */
function readValues({ file, section, from, to, map, names, functions }: Values): (string | undefined)[] {
  const values: (string | undefined)[] = []
  // What has no bytes in the file may be said to be of any length, and slots are counted by it.
  if (section.zeros) throw file.error(section.at, 'the maps in section .maps have no bytes in the file')
  const bytes = file.bytes(section)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const relocation of section.relocations) {
    const { offset, at } = relocation
    if (offset < from || offset >= to) continue
    const slot = (offset - from) / POINTER
    if (!Number.isInteger(slot))
      throw file.error(at, `a relocation at ${offset}, within a pointer of map '${map.name}'`)
    if (offset + POINTER > bytes.length)
      throw file.error(at, `a relocation at ${offset} of the ${bytes.length} bytes of ${section.name}`)
    const target = file.symbolOf(relocation)
    if (target.section === SHN_UNDEF) {
      throw file.error(at, `slot ${slot} of map '${map.name}' names '${target.name}', which is in another file`)
    }
    // Of what is static the symbol is the section's, and what stands in the pointer's place tells where in it.
    const place = target.value + Number(view.getBigInt64(offset, LITTLE))
    const where = `slot ${slot} of map '${map.name}'`
    if (map.type === 'PROG_ARRAY') values[slot] = programAt(functions, target.section, place, where, relocation)
    else {
      const its = target.section === section.index ? names.get(place) : undefined
      if (its === undefined) throw file.error(at, `${where} names '${target.name}', which is no map`)
      values[slot] = its
    }
  }
  return Array.from(values)
}

/** The program that begins at a place. Functions that are static, or in no section of a program's, are none. */
function programAt(
  functions: ObjectFunctions,
  section: number,
  place: number,
  where: string,
  { at }: Relocation,
): string {
  const { file } = functions
  const its = functions.holding(section, place)
  if (its === undefined || its.from !== place) {
    throw file.error(
      at,
      `${where} names byte ${place} of section ${file.sections[section]?.name}, where no program begins`,
    )
  }
  if (its.local) throw file.error(at, `${where} names '${its.name}', which is static: programs are not`)
  if (its.section.name === TEXT) {
    throw file.error(at, `${where} names '${its.name}', which is no program: SEC("xdp"), or the like, makes it one`)
  }
  return its.name
}
