/** Changes to BTF that keep to its form, so that what reads it gets further than its header. */
import * as format from '../../lib/btf/format'
import { changeBytes, joined, putWord, someNumber, word } from './bytes'
import type { Random } from './random'

/** Names that readers look for, and access strings of relocations. */
const NAMES: readonly string[] = [
  ...['int', 'long', 'char', 'long unsigned int', '.maps', '.bss', '.data', '.rodata', '.ksyms', '.kconfig', 'license'],
  ...['type', 'key', 'value', 'values', 'max_entries', 'map_flags', 'key_size', 'value_size', 'pinning', 'map_extra'],
  ...[
    'bpf_spin_lock',
    'bpf_timer',
    'bpf_kfunc',
    'kptr',
    '__proto__',
    'constructor',
    'toString',
    'LINUX_KERNEL_VERSION',
  ],
  ...['s', 's___flavour', 'task_struct', 'bool', 'a b', 'a"b\\', '*/', '___', '1', 'x'.repeat(600)],
  ...[
    '0',
    '0:0',
    '0:1',
    '0:2',
    '0:0:0',
    '0:1:2:3',
    '1',
    '0:4294967295',
    '2147483647:1',
    ':',
    '0:',
    '0:x',
    '0:0'.repeat(70),
  ],
]

interface Record {
  readonly at: number
  readonly info: number
  readonly end: number
}

interface Parsed {
  readonly little: boolean
  readonly headerLength: number
  readonly types: readonly Record[]
  readonly typesFrom: number
  readonly typesTo: number
  readonly strings: Uint8Array
  /** What split BTF goes on from. */
  readonly firstId: number
}

/** As far as it can be read. */
function parse(bytes: Uint8Array, firstId: number): Parsed | undefined {
  if (bytes.length < 24) return undefined
  const little = bytes[0] === 0x9f
  const headerLength = word(bytes, 4, little)
  const typesFrom = headerLength + word(bytes, 8, little)
  const typesTo = Math.min(typesFrom + word(bytes, 12, little), bytes.length)
  const from = headerLength + word(bytes, 16, little)
  const types: Record[] = []
  for (let at = typesFrom; at + format.TYPE_BYTES <= typesTo; ) {
    const info = word(bytes, at + 4, little)
    const layout = format.KIND_LAYOUTS[format.kindOf(info)]
    if (layout === undefined) break
    const end = at + format.TYPE_BYTES + layout.once + layout.each * format.vlenOf(info)
    if (end > typesTo) break
    types.push({ at, info, end })
    at = end
  }
  if (types.length === 0) return undefined
  return {
    ...{ little, headerLength, types, typesFrom, typesTo, firstId },
    strings: bytes.subarray(from, from + word(bytes, 20, little)),
  }
}

/** BTF anew, of these types and strings. */
function rebuilt(
  bytes: Uint8Array,
  { little, headerLength }: Parsed,
  types: Uint8Array,
  strings: Uint8Array,
): Uint8Array {
  const whole = joined(bytes.subarray(0, headerLength), types, strings)
  for (const [i, value] of [0, types.length, types.length, strings.length].entries()) {
    putWord(whole, 8 + i * 4, value, little)
  }
  // A layout section would be elsewhere now.
  if (headerLength >= 32) for (const at of [24, 28]) putWord(whole, at, 0, little)
  return whole
}

/** One change. */
export function changeBtf(
  bytes: Uint8Array,
  random: Random,
  other: Uint8Array,
  firstId = 1,
): [changed: Uint8Array, step: string] {
  const parsed = random.once(12) ? undefined : parse(bytes, firstId)
  if (parsed === undefined) return changeBytes(bytes, random, other)
  const { types, little } = parsed
  const index = random.below(types.length)
  const type = types[index] as Record
  const changed = bytes.slice()
  const put = (at: number, value: number): void => putWord(changed, at, value, little)
  const step = `type ${firstId + index}`
  switch (random.below(16)) {
    case 0: {
      const field = 4 + 4 * random.below(7)
      const value = someNumber(random, word(bytes, field, little))
      put(field, value)
      return [changed, `header ${field} = ${value}`]
    }
    case 1: {
      const kind = 1 + random.below(20)
      // What follows is as long as before.
      put(type.at + 4, ((type.info & 0x80ff_ffff) | (kind << 24)) >>> 0)
      return [changed, `${step} kind ${kind}`]
    }
    case 2: {
      const vlen = random.once(2) ? random.below(8) : random.pick([0xffff, 0x10000, 0xffffff, 100])
      put(type.at + 4, ((type.info & 0xff00_0000) | vlen) >>> 0)
      return [changed, `${step} vlen ${vlen}`]
    }
    case 3:
      put(type.at + 4, (type.info ^ 0x8000_0000) >>> 0)
      return [changed, `${step} kind_flag`]
    case 4:
    case 5:
    case 6: {
      const value = random.once(4)
        ? someNumber(random, word(bytes, type.at + 8, little))
        : someId(random, parsed, index)
      put(type.at + 8, value)
      return [changed, `${step} size or type ${value}`]
    }
    case 7:
    case 8:
    case 9: {
      const words = (type.end - type.at - format.TYPE_BYTES) / 4
      if (words === 0) return [changed, 'nothing']
      const at = type.at + format.TYPE_BYTES + 4 * random.below(words)
      const value = random.once(2) ? someId(random, parsed, index) : someNumber(random, word(bytes, at, little))
      put(at, value)
      return [changed, `${step} word ${(at - type.at) / 4} = ${value}`]
    }
    case 10: {
      const value = random.once(3)
        ? random.below(parsed.strings.length + 2)
        : word(bytes, (random.pick(types) as Record).at, little)
      put(type.at, value)
      return [changed, `${step} name at ${value}`]
    }
    case 11:
      return named(bytes, parsed, random, type)
    case 12:
      return reordered(bytes, parsed, random, index)
    case 13:
      return tower(bytes, parsed, random)
    case 14: {
      // A circle of two.
      const id = random.below(types.length)
      put(type.at + 8, firstId + id)
      put((types[id] as Record).at + 8, firstId + index)
      return [changed, `types ${firstId + index} and ${firstId + id} of each other`]
    }
    default:
      return changeBytes(bytes, random, other)
  }
}

/** The id of a type itself, of one beside it, of any, or of none. */
function someId(random: Random, { types, firstId }: Parsed, index: number): number {
  switch (random.below(5)) {
    case 0:
      return firstId + index
    case 1:
      return firstId + index + 1
    case 2:
      return Math.max(firstId + index - 1, 0)
    case 3:
      return random.below(firstId + types.length + 1)
    default:
      return firstId + random.below(types.length)
  }
}

/** Gives a type, or one of the things in it, a name that is not there yet. */
function named(bytes: Uint8Array, parsed: Parsed, random: Random, type: Record): [Uint8Array, string] {
  const name = random.pick(NAMES)
  const types = bytes.slice(parsed.typesFrom, parsed.typesTo)
  const words = (type.end - type.at - format.TYPE_BYTES) / 4
  const at = random.once(2) || words === 0 ? type.at : type.at + format.TYPE_BYTES + 4 * random.below(words)
  const base = parsed.firstId === 1 ? 0 : word(bytes, type.at, parsed.little)
  putWord(types, at - parsed.typesFrom, base + parsed.strings.length, parsed.little)
  const strings = joined(parsed.strings, Buffer.from(`${name}\0`))
  return [rebuilt(bytes, parsed, types, strings), `name '${name.slice(0, 20)}' at ${at}`]
}

/** Types left out, put in twice, or in another place. */
function reordered(bytes: Uint8Array, parsed: Parsed, random: Random, index: number): [Uint8Array, string] {
  const records = parsed.types.map(({ at, end }) => bytes.subarray(at, end))
  const what = random.below(4)
  const to = random.below(records.length)
  const [own] = what === 1 ? [records[index]] : records.splice(index, 1)
  const times = what === 3 ? 1 + random.below(200) : 1
  if (what !== 0) records.splice(to, 0, ...Array.from({ length: times }, () => own as Uint8Array))
  const step = ['left out', `again at ${to}`, `moved to ${to}`, `${times} times at ${to}`][what]
  return [rebuilt(bytes, parsed, joined(...records), parsed.strings), `type ${index + 1} ${step}`]
}

/** Types each made from the one before, in more than one way: small to write, and large to go through. */
function tower(bytes: Uint8Array, parsed: Parsed, random: Random): [Uint8Array, string] {
  const { little, firstId, types } = parsed
  const height = random.pick([2, 8, 20, 33, 70, 250])
  const wide = 1 + random.below(3)
  const kind = random.pick([
    format.STRUCT,
    format.UNION,
    format.CONST,
    format.TYPEDEF,
    format.PTR,
    format.ARRAY,
    format.FUNC_PROTO,
  ])
  const name = random.once(2) ? 0 : 1
  const ids: number[] = [random.below(firstId + types.length)]
  const words: number[] = []
  let next = firstId + types.length
  const add = (info: number, sizeOrType: number, ...rest: readonly number[]): number => {
    words.push(0, info, sizeOrType, ...rest)
    return next++
  }
  for (let i = 0; i < height; i++) {
    const below = ids.at(-1) as number
    const head = kind << 24
    switch (kind) {
      case format.STRUCT:
      case format.UNION:
        ids.push(add(head | wide, 8, ...Array.from({ length: wide }, (_, i) => [i === 0 ? 0 : name, below, 0]).flat()))
        break
      case format.ARRAY:
        ids.push(add(head, 0, below, 1, wide))
        break
      case format.FUNC_PROTO: {
        const proto = add(head | wide, below, ...Array.from({ length: wide }, () => [name, below]).flat())
        ids.push(add(format.PTR << 24, proto))
        break
      }
      default:
        ids.push(add(head, below))
    }
  }
  const added = new Uint8Array(words.length * 4)
  for (const [i, value] of words.entries()) putWord(added, i * 4, value, little)
  const all = joined(bytes.subarray(parsed.typesFrom, parsed.typesTo), added)
  // Something that was there is of it.
  const { at } = random.pick(types)
  putWord(all, at - parsed.typesFrom + 8, ids.at(-1) as number, little)
  return [rebuilt(bytes, parsed, all, parsed.strings), `tower of ${height} × ${wide}, kind ${kind}`]
}

/** One change to .BTF.ext: its header, the records' sizes and counts, and the records. */
export function changeExt(bytes: Uint8Array, random: Random, other: Uint8Array): [Uint8Array, string] {
  if (bytes.length < 40 || random.once(6)) return changeBytes(bytes, random, other)
  const little = bytes[0] === 0x9f
  const changed = bytes.slice()
  const inHeader = random.once(4)
  const at = inHeader ? 4 + 4 * random.below(7) : 32 + 4 * random.below((bytes.length - 32) >> 2)
  const before = word(bytes, at, little)
  const value = random.once(3)
    ? someNumber(random, before)
    : random.once(2)
      ? random.below(64)
      : before + 8 * random.below(9) - 32
  putWord(changed, at, value >>> 0, little)
  return [changed, `ext ${at} = ${value}`]
}
