/** Changes to ELF files that keep to their form: headers, tables, and the BTF and the code in their sections. */
import { changeBytes, joined, putNumber, putWord, someNumber, viewOf, word } from './bytes'
import { changeBtf, changeExt } from './change-btf'
import { changeCode } from './change-code'
import type { Random } from './random'

/** Names that readers look for. */
const NAMES: readonly string[] = [
  ...['.text', 'maps', '.maps', 'license', 'version', '.BTF', '.BTF.ext', '.bss', '.data', '.rodata', '.rodata.str'],
  ...['.ksyms', '.kconfig', 'xdp', '?xdp', 'tracepoint/a/b', 'kprobe/x', 'fentry', 'constructor', '__proto__', '', 'a'],
]

const SECTION_TYPES = [0, 1, 2, 3, 4, 8, 9, 11, 17, 0x6fffffff, 0xffff_ffff]

/** struct Elf64_Shdr, Elf64_Sym and their like of 32 bits: offset and size of each field. */
type Fields = readonly (readonly [at: number, size: number])[]

interface Shape {
  readonly word: 4 | 8
  readonly shoff: number
  readonly phoff: number
  readonly counts: number
  readonly section: Fields
  readonly sectionBytes: number
  readonly symbol: Fields
  readonly symbolBytes: number
}

const fields = (...list: readonly (readonly [number, number])[]): Fields => list

/** Fields in the order: name, type, flags, address, offset, size, link, info, alignment, entry size. */
const WIDE: Shape = {
  ...{ word: 8, shoff: 40, phoff: 32, counts: 54, sectionBytes: 64, symbolBytes: 24 },
  section: fields([0, 4], [4, 4], [8, 8], [16, 8], [24, 8], [32, 8], [40, 4], [44, 4], [48, 8], [56, 8]),
  // name, info, other, section, value, size
  symbol: fields([0, 4], [4, 1], [5, 1], [6, 2], [8, 8], [16, 8]),
}
const NARROW: Shape = {
  ...{ word: 4, shoff: 32, phoff: 28, counts: 42, sectionBytes: 40, symbolBytes: 16 },
  section: fields([0, 4], [4, 4], [8, 4], [12, 4], [16, 4], [20, 4], [24, 4], [28, 4], [32, 4], [36, 4]),
  symbol: fields([0, 4], [12, 1], [13, 1], [14, 2], [4, 4], [8, 4]),
}

const [NAME, TYPE, , , OFFSET, SIZE, LINK, INFO] = [0, 1, 2, 3, 4, 5, 6, 7]

interface Section {
  readonly at: number
  readonly index: number
  readonly type: number
  readonly name: string
  readonly offset: number
  readonly size: number
  readonly executable: boolean
}

interface Parsed {
  readonly shape: Shape
  readonly little: boolean
  readonly table: number
  readonly sections: readonly Section[]
  readonly names: Section | undefined
}

/** As far as it can be read. */
function parse(bytes: Uint8Array): Parsed | undefined {
  if (bytes.length < 64 || word(bytes, 0, false) !== 0x7f454c46) return undefined
  const shape = bytes[4] === 1 ? NARROW : WIDE
  const little = bytes[5] !== 2
  const view = viewOf(bytes)
  const number = (at: number, size: number): number => {
    if (at + size > bytes.length) return 0
    if (size === 2) return view.getUint16(at, little)
    return size === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little))
  }
  const table = number(shape.shoff, shape.word)
  const field = (at: number, which: number): number => {
    const [from, size] = shape.section[which] as readonly [number, number]
    return number(at + from, size)
  }
  const count = Math.min(number(shape.counts + 6, 2), Math.floor((bytes.length - table) / shape.sectionBytes))
  if (!(count > 0)) return undefined
  const nameless = Array.from({ length: count }, (_, index) => {
    const at = table + index * shape.sectionBytes
    const [offset, size] = [field(at, OFFSET as number), field(at, SIZE as number)]
    const executable = (field(at, 2) & 4) !== 0
    return { at, index, type: field(at, TYPE as number), name: '', offset, size, executable }
  })
  const names = nameless[number(shape.counts + 8, 2)]
  const sections = nameless.map((section) => {
    const from = (names?.offset ?? 0) + field(section.at, NAME as number)
    const end = bytes.indexOf(0, from)
    return { ...section, name: Buffer.from(bytes.subarray(from, Math.max(end, from))).toString('latin1') }
  })
  return { shape, little, table, sections, names }
}

/** One change. */
export function changeElf(bytes: Uint8Array, random: Random, other: Uint8Array): [Uint8Array, string] {
  const parsed = random.once(12) ? undefined : parse(bytes)
  if (parsed === undefined) return changeBytes(bytes, random, other)
  switch (random.below(16)) {
    case 0:
      return changeHeader(bytes, parsed, random)
    case 1:
    case 2:
    case 3:
      return changeSection(bytes, parsed, random)
    case 4:
    case 5:
    case 6:
      return changeSymbol(bytes, parsed, random)
    case 7:
    case 8:
      return changeRelocation(bytes, parsed, random)
    case 9:
    case 10:
      return changeContents(bytes, parsed, random, other, ({ name }) => name === '.BTF')
    case 11:
      return changeContents(bytes, parsed, random, other, ({ name }) => name === '.BTF.ext')
    case 12:
      return changeContents(bytes, parsed, random, other, ({ executable }) => executable)
    case 13:
      return rename(bytes, parsed, random)
    case 14:
      return random.once(3) ? grow(bytes, parsed, random) : changeContents(bytes, parsed, random, other, () => true)
    default:
      return changeBytes(bytes, random, other)
  }
}

function changeHeader(bytes: Uint8Array, { shape, little }: Parsed, random: Random): [Uint8Array, string] {
  const changed = bytes.slice()
  const places: Fields = [
    ...fields([4, 1], [5, 1], [16, 2], [18, 2], [shape.shoff, shape.word], [shape.phoff, shape.word]),
    ...[0, 2, 4, 6, 8].map((at) => [shape.counts + at, 2] as const),
  ]
  const [at, size] = random.pick(places)
  const value = someNumber(random, bytes[at])
  putNumber(changed, at, size, value, little)
  return [changed, `ELF header ${at} = ${value}`]
}

function changeSection(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { shape, little, sections } = parsed
  const changed = bytes.slice()
  const { at, index } = random.pick(sections)
  const which = random.below(shape.section.length)
  const [from, size] = shape.section[which] as readonly [number, number]
  let value = someNumber(random, word(bytes, at + from, little))
  const other = random.pick(sections)
  if (which === TYPE && !random.once(4)) value = random.pick(SECTION_TYPES)
  else if ((which === LINK || which === INFO) && !random.once(4)) value = other.index
  else if (!random.once(3)) value = word(bytes, other.at + from, little)
  putNumber(changed, at + from, size, value, little)
  if (which === OFFSET && random.once(2))
    putNumber(changed, at + (shape.section[5]?.[0] ?? 0), size, other.size, little)
  return [changed, `section ${index} field ${which} = ${value}`]
}

/** The entries of tables of symbols; or of relocations. */
function entries(bytes: Uint8Array, { sections }: Parsed, types: readonly number[], entry: number): number[] {
  return sections
    .filter(({ type }) => types.includes(type))
    .flatMap(({ offset, size }) => {
      const count = Math.floor(Math.min(size, bytes.length - offset) / entry)
      return Array.from({ length: Math.max(Math.min(count, 4096), 0) }, (_, i) => offset + i * entry)
    })
}

function changeSymbol(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { shape, little, sections } = parsed
  const places = entries(bytes, parsed, [2, 11], shape.symbolBytes)
  if (places.length === 0) return changeSection(bytes, parsed, random)
  const changed = bytes.slice()
  const at = random.pick(places)
  if (random.once(8)) {
    const from = random.pick(places)
    changed.copyWithin(at, from, from + shape.symbolBytes)
    return [changed, `symbol ${from} again at ${at}`]
  }
  const which = random.below(shape.symbol.length)
  const [from, size] = shape.symbol[which] as readonly [number, number]
  let value = someNumber(random, word(bytes, at + from, little))
  if (which === 1) value = (random.below(4) << 4) | random.pick([0, 1, 2, 3, 4, 10])
  else if (which === 3 && !random.once(4)) value = random.pick(sections).index
  else if (which === 4 && random.once(2)) value = 8 * random.below(64)
  else if (random.once(3)) value = word(bytes, random.pick(places) + from, little)
  putNumber(changed, at + from, size, value, little)
  return [changed, `symbol at ${at} field ${which} = ${value}`]
}

function changeRelocation(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { little } = parsed
  const places = entries(bytes, parsed, [9], 16)
  if (places.length === 0) return changeSection(bytes, parsed, random)
  const changed = bytes.slice()
  const at = random.pick(places)
  const from = random.pick(places)
  switch (random.below(4)) {
    case 0:
      changed.copyWithin(at, from, from + 16)
      return [changed, `relocation ${from} again at ${at}`]
    case 1: {
      const value = random.pick([1, 10, 2, 0, 3])
      putWord(changed, at + 8, value, little)
      return [changed, `relocation at ${at} of type ${value}`]
    }
    case 2: {
      const value = random.once(4) ? someNumber(random) : random.below(32)
      putWord(changed, at + 12, value, little)
      return [changed, `relocation at ${at} of symbol ${value}`]
    }
    default: {
      const value = random.once(3) ? someNumber(random) : word(bytes, at, little) + 8 * (random.below(17) - 8)
      putNumber(changed, at, 8, value >>> 0, little)
      return [changed, `relocation at ${at} for ${value}`]
    }
  }
}

/** Changes what is in a section. What becomes longer goes to the end of the file. */
function changeContents(
  bytes: Uint8Array,
  parsed: Parsed,
  random: Random,
  other: Uint8Array,
  which: (section: Section) => boolean,
): [Uint8Array, string] {
  const section = parsed.sections.filter((each) => each.size > 0 && which(each))
  if (section.length === 0) return changeBytes(bytes, random, other)
  const its = random.pick(section)
  const before = bytes.slice(its.offset, its.offset + its.size)
  const theirs = parse(other)?.sections.find(({ name }) => name === its.name)
  const another = theirs === undefined ? other : other.subarray(theirs.offset, theirs.offset + theirs.size)
  const change =
    its.name === '.BTF' ? changeBtf : its.name === '.BTF.ext' ? changeExt : its.executable ? changeCode : changeBytes
  const [after, step] = change(before, random, another)
  return [placed(bytes, parsed, its, after), `${its.name}: ${step}`]
}

/** The file with other contents of a section. */
function placed(
  bytes: Uint8Array,
  { shape, little }: Parsed,
  { at, offset, size }: Section,
  after: Uint8Array,
): Uint8Array {
  // Also where the section is said to be outside of the file.
  const fits = after.length <= size && offset + after.length <= bytes.length
  const changed = fits ? bytes.slice() : joined(bytes, new Uint8Array(-bytes.length & 7), after)
  const to = fits ? offset : changed.length - after.length
  changed.set(after, to)
  const [offsetField, sizeField] = [shape.section[4], shape.section[5]] as [
    readonly [number, number],
    readonly [number, number],
  ]
  putNumber(changed, at + offsetField[0], offsetField[1], to, little)
  putNumber(changed, at + sizeField[0], sizeField[1], after.length, little)
  return changed
}

/** Gives a section or a symbol the name of another, or one that means something. */
function rename(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { shape, little, sections, names } = parsed
  if (names === undefined) return changeSection(bytes, parsed, random)
  const symbols = entries(bytes, parsed, [2, 11], shape.symbolBytes)
  const places = random.once(2) && symbols.length > 0 ? symbols : sections.map(({ at }) => at)
  const at = random.pick(places)
  if (random.once(2)) {
    const changed = bytes.slice()
    const from = random.pick(places)
    putWord(changed, at, word(bytes, from, little), little)
    return [changed, `name of ${from} for ${at}`]
  }
  const name = random.pick(NAMES)
  const all = joined(bytes.subarray(names.offset, names.offset + names.size), Buffer.from(`${name}\0`))
  const changed = placed(bytes, parsed, names, all)
  putWord(changed, at, names.size, little)
  return [changed, `name '${name}' for ${at}`]
}

/** A table that has its entries many times over: what takes a moment each is seen then. */
function grow(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { shape, little, sections, table } = parsed
  const times = random.pick([2, 10, 50])
  const its = random.pick(sections)
  if (random.once(2)) {
    const contents = bytes.subarray(its.offset, its.offset + its.size)
    if (contents.length * times > 2 ** 19) return [bytes, 'nothing']
    return [
      placed(bytes, parsed, its, joined(...Array.from({ length: times }, () => contents))),
      `section ${its.index} ×${times}`,
    ]
  }
  // More sections: copies of those that there are, at the end of the file.
  const count = Math.min(sections.length * times, 0xfeff)
  const headers = bytes.subarray(table, table + sections.length * shape.sectionBytes)
  const copies = Array.from({ length: count - sections.length }, () => {
    const from = (random.once(2) ? its.index : random.below(sections.length)) * shape.sectionBytes
    return headers.subarray(from, from + shape.sectionBytes)
  })
  const changed = joined(bytes, new Uint8Array(-bytes.length & 7), headers, ...copies)
  putNumber(changed, shape.shoff, shape.word, changed.length - count * shape.sectionBytes, little)
  putNumber(changed, shape.counts + 6, 2, count, little)
  return [changed, `${count} sections`]
}
