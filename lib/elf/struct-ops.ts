import { LITTLE } from '../asm/decode'
import type { Btf, BtfMember, BtfStruct } from '../btf'
import { essentialName } from '../co-re/names'
import { SHN_UNDEF } from '../elf-file/tables'
import { codecOf } from './codecs'
import type { ObjectMap, ObjectStructOps } from './description'
import type { ObjectFunctions } from './functions'
import type { PlacedMap } from './legacy-maps'
import type { ObjectFile, ObjectSection } from './object-file'
import { TEXT } from './programs'

/**
 * Sections of structs of functions; with a question mark they are left to the caller (init_struct_ops_maps of libbpf).
 */
const SECTION = /^(\?)?\.struct_ops(\.link)?$/

/** Bytes of a pointer in an object for BPF. */
const POINTER = 8

/** r_type of a pointer in data; and what was written for it before LLVM 13. */
const R_BPF_64_64 = 1
const R_BPF_64_ABS64 = 2

/** A struct of functions that programs implement, and where the object has it. */
export interface PlacedStructOps extends PlacedMap {
  readonly ops: ObjectStructOps
  /** Its type in the object's BTF. */
  readonly type: BtfStruct
  /** What it begins with, where it is not a function: written by `ops.values`. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/**
 * The structs of functions of an object: each variable in these sections becomes a map of type STRUCT_OPS. Errors:
 * ElfError, BtfError.
 */
export function readStructOps(file: ObjectFile, btf: Btf | undefined, functions: ObjectFunctions): PlacedStructOps[] {
  return file.sections.flatMap((section) => {
    if (section.size === 0 || !SECTION.test(section.name)) return []
    const datasec = btf?.find(section.name, 'datasec')
    if (btf === undefined || datasec === undefined) {
      throw file.error(section.at, `the structs in section ${section.name} are told by BTF, and there is none of them`)
    }
    const placed = datasec.vars.map(({ type }) => readVariable({ file, btf, section }, type))
    for (const relocation of section.relocations) settle({ file, btf, section }, functions, placed, relocation)
    for (const each of placed) checkFunctions(file, btf, section, each)
    return placed
  })
}

/** The functions of a struct of functions: what programs may stand for. */
export function isFunction(btf: Btf, { type, bitfieldSize }: BtfMember): boolean {
  const its = btf.resolve(type)
  return bitfieldSize === 0 && its.kind === 'ptr' && btf.resolve(its.type).kind === 'func_proto'
}

interface Place {
  readonly file: ObjectFile
  readonly btf: Btf
  readonly section: ObjectSection
}

function readVariable({ file, btf, section }: Place, id: number): PlacedStructOps {
  const variable = btf.type(id)
  if (variable.kind !== 'var') {
    throw file.error(section.at, `section ${section.name} has a ${variable.kind} in its BTF, no variable`)
  }
  const { name } = variable
  const symbol = file.symbolNamed(section, name)
  if (symbol === undefined)
    throw file.error(section.at, `'${name}' of ${section.name} is in the BTF, and has no symbol`)
  const type = btf.resolve(variable.type)
  if (type.kind !== 'struct' || type.name === '') {
    const what = type.kind === 'struct' ? 'a struct without a name' : `a ${type.kind}`
    throw file.error(symbol.at, `'${name}' of ${section.name} is ${what}: it takes one of the kernel's structs`)
  }
  if (symbol.value + type.size > section.size) {
    throw file.error(
      symbol.at,
      `'${name}' is ${type.size} bytes at ${symbol.value} of ${section.size} in ${section.name}`,
    )
  }
  checkMembers(file, symbol.at, btf, name, type)
  const bytes = file.bytes(section).slice(symbol.value, symbol.value + type.size)
  const [, optional, link] = SECTION.exec(section.name) ?? []
  const ops = describe(btf, type, bytes)
  const map: ObjectMap = {
    name,
    type: 'STRUCT_OPS',
    keySize: 4,
    valueSize: type.size,
    maxEntries: 1,
    flags: link === undefined ? [] : ['LINK'],
    mapExtra: 0n,
    numaNode: undefined,
    pinning: 'none',
    inner: undefined,
    values: [],
    keyType: 0,
    valueType: type.id,
    key: undefined,
    value: undefined,
    autocreate: optional === undefined,
    structOps: ops,
  }
  return { map, ops, type, bytes, section: section.index, offset: symbol.value, size: type.size }
}

/** What is copied by its members must have them within it. */
function checkMembers(file: ObjectFile, at: number, btf: Btf, name: string, { members, size }: BtfStruct): void {
  for (const member of members) {
    const bytes = isFunction(btf, member) ? POINTER : btf.sizeOf(member.type)
    const end = member.bitOffset + (member.bitfieldSize || 8 * bytes)
    if (end <= 8 * size && (member.bitfieldSize !== 0 || member.bitOffset % 8 === 0)) continue
    throw file.error(at, `'${name}' has a member '${member.name}' that ends at bit ${end} of ${8 * size}`)
  }
}

function describe(btf: Btf, type: BtfStruct, bytes: Uint8Array<ArrayBuffer>): ObjectStructOps {
  const programs: Record<string, string | undefined> = Object.create(null)
  const values: Record<string, unknown> = Object.create(null)
  for (const member of type.members) {
    const { name, bitOffset, bitfieldSize } = member
    if (name === '' || bitfieldSize !== 0) continue
    if (isFunction(btf, member)) {
      programs[name] = undefined
      continue
    }
    const from = bitOffset / 8
    const size = btf.sizeOf(member.type)
    const codec = codecOf(btf, member.type, size)
    Object.defineProperty(values, name, {
      enumerable: true,
      configurable: true,
      get: () => codec.read(new DataView(bytes.buffer), from),
      set: (value: unknown) => {
        // Encoded elsewhere first: where that throws, nothing has been written.
        const encoded = new ArrayBuffer(size)
        codec.write(new DataView(encoded), 0, value)
        bytes.set(new Uint8Array(encoded), from)
      },
    })
  }
  // Sealed: what is not a member is a TypeError when it is written, not silence.
  return {
    struct: essentialName(type.name),
    programs: Object.seal(programs),
    values: Object.seal(values),
    autoattach: true,
  }
}

/** Puts the program that a relocation names into its member. */
function settle(
  { file, btf, section }: Place,
  functions: ObjectFunctions,
  placed: readonly PlacedStructOps[],
  relocation: ObjectSection['relocations'][number],
): void {
  const { at, offset, type } = relocation
  const its = placed.find((each) => offset >= each.offset && offset < each.offset + each.size)
  if (its === undefined) throw file.error(at, `a relocation at ${offset} of ${section.name}, where no struct is`)
  const { name } = its.map
  const member = its.type.members.find(({ bitOffset }) => bitOffset === 8 * (offset - its.offset))
  if (member === undefined || member.name === '' || !isFunction(btf, member)) {
    const what = member === undefined ? `byte ${offset - its.offset}` : `member '${member.name}'`
    throw file.error(at, `${what} of struct_ops '${name}' has an address, and is no pointer to a function`)
  }
  if (type !== R_BPF_64_ABS64 && type !== R_BPF_64_64) {
    throw file.error(at, `relocation type ${type}: pointers in data have R_BPF_64_ABS64 (2)`)
  }
  const symbol = file.symbolOf(relocation)
  const where = `member '${member.name}' of struct_ops '${name}'`
  if (symbol.section === SHN_UNDEF) throw file.error(at, `${where} names '${symbol.name}', which is in another file`)
  const target = symbol.value + addendOf(its, offset - its.offset)
  const program = functions.holding(symbol.section, target)
  if (program === undefined || program.from !== target || program.local || program.section.name === TEXT) {
    throw file.error(at, `${where} names '${symbol.name}', which is no program`)
  }
  its.ops.programs[member.name] = program.name
  its.bytes.fill(0, offset - its.offset, offset - its.offset + POINTER)
}

/** What stands in the place of a pointer is added to the symbol's. */
function addendOf({ bytes }: PlacedStructOps, at: number): number {
  return Number(new DataView(bytes.buffer).getBigInt64(at, LITTLE))
}

/** A function is a program's, or none. */
function checkFunctions(
  file: ObjectFile,
  btf: Btf,
  section: ObjectSection,
  { map, type, bytes, offset }: PlacedStructOps,
) {
  for (const member of type.members) {
    if (!isFunction(btf, member)) continue
    const from = member.bitOffset / 8
    if (bytes.subarray(from, from + POINTER).every((byte) => byte === 0)) continue
    throw file.error(
      section.offset + offset + from,
      `member '${member.name}' of struct_ops '${map.name}' is an address, and of no program`,
    )
  }
}
