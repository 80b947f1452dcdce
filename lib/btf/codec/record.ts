import { type Codec, withPath } from '../../codec'
import { shown } from '../../codec/error'
import { makeCodec } from '../../codec/make'

/** A member at its offset from the start of the whole; those of anonymous structs and unions count as members. */
export interface Field {
  readonly name: string
  readonly offset: number
  /** Of a bit field: that of its bits. */
  readonly codec: Codec<unknown>
}

/** What is written of a struct or of one way of a union, from byte `from` to byte `to` of the whole. */
export interface Layout {
  readonly from: number
  readonly to: number
  /** The members that are in no anonymous union. */
  readonly own: readonly Field[]
  readonly choices: readonly Choice[]
  /** From and to of bytes that are zero before members are written: padding, and bit fields. */
  readonly gaps: readonly (readonly [number, number])[]
}

/** A union: one of these is written. */
export interface Choice {
  readonly from: number
  readonly to: number
  readonly ways: readonly Layout[]
}

export interface RecordParts {
  readonly name: string
  readonly size: number
  readonly align: Codec<unknown>['align']
  /** All members in the order of their declaration. */
  readonly fields: readonly Field[]
  readonly layout: Layout
  /** Members that the kernel keeps to itself, and what they are. */
  readonly kept: ReadonlyMap<string, string>
}

type Members = Record<string, unknown>
type Write = (view: DataView, offset: number, record: Members) => void

/** A plain object for a struct or union whose members stand where BTF says. */
export function recordCodec({ name, size, align, fields, layout, kept }: RecordParts): Codec<unknown> {
  // As in struct(): parallel arrays and plain loops; objects are filled in one order, so that they have one hidden class.
  const count = fields.length
  const names = fields.map((field) => field.name)
  const offsets = fields.map((field) => field.offset)
  const codecs = fields.map((field) => field.codec)
  const known = new Set(names)
  const plain = layout.choices.length === 0
  const writeMembers = writerOf(name, layout)

  function write(view: DataView, offset: number, value: unknown): void {
    if (typeof value !== 'object' || value === null) throw new TypeError(`${name} takes an object, not ${shown(value)}`)
    const record = value as Members
    let own = 0
    for (const _ in record) own++
    if (own !== count || !plain) refuseUnknown(record)
    writeMembers(view, offset, record)
  }

  function read(view: DataView, offset: number): unknown {
    const out: Members = {}
    let i = 0
    try {
      for (; i < count; i++) {
        out[names[i] as string] = (codecs[i] as Codec<unknown>).read(view, offset + (offsets[i] as number))
      }
    } catch (error) {
      throw withPath(names[i] as string, error)
    }
    return out
  }

  function refuseUnknown(record: Members): void {
    for (const key in record) {
      if (known.has(key)) continue
      const what = kept.get(key)
      const why =
        what === undefined
          ? `no such field in ${name}`
          : `the kernel keeps a ${what} to itself: it is neither read nor written`
      throw withPath(key, new TypeError(why))
    }
  }

  return makeCodec<unknown>({ name, size, align, write, read })
}

function writerOf(name: string, { own, choices, gaps }: Layout): Write {
  const count = own.length
  const names = own.map((field) => field.name)
  const offsets = own.map((field) => field.offset)
  const codecs = own.map((field) => field.codec)
  const starts = gaps.map(([from]) => from)
  const ends = gaps.map(([, to]) => to)
  const choose = choices.map((choice) => chooserOf(name, choice))

  return function write(view, offset, record) {
    for (let g = 0; g < starts.length; g++) clear(view, offset + (starts[g] as number), offset + (ends[g] as number))
    let i = 0
    try {
      for (; i < count; i++) {
        const key = names[i] as string
        const field = record[key]
        if (field === undefined && !(key in record)) throw new TypeError(`missing in the value for ${name}`)
        ;(codecs[i] as Codec<unknown>).write(view, offset + (offsets[i] as number), field)
      }
    } catch (error) {
      throw withPath(names[i] as string, error)
    }
    for (let c = 0; c < choose.length; c++) (choose[c] as Write)(view, offset, record)
  }
}

/** The names of what a layout writes, those in its unions included. */
function namesIn(layout: Layout): string[] {
  return [...layout.own.map(({ name }) => name), ...layout.choices.flatMap(({ ways }) => ways.flatMap(namesIn))]
}

/** Writes the one way that is given; or several, as reading gives them, if they say the same. */
function chooserOf(name: string, choice: Choice): Write {
  const { from, to } = choice
  const ways = choice.ways
    .map((layout) => ({ names: namesIn(layout), bytes: layout.to - layout.from, write: writerOf(name, layout) }))
    // The widest first: what the others say must be in it.
    .sort((a, b) => b.bytes - a.bytes)
  const all = choice.ways.map((layout) => namesIn(layout).join(' with ')).join(', ')

  return function write(view, offset, record) {
    const given = ways.filter((way) => way.names.some((key) => record[key] !== undefined))
    const [first, ...others] = given
    if (first === undefined) throw new TypeError(`${name} takes one of ${all}: none is given`)
    clear(view, offset + from, offset + to)
    first.write(view, offset, record)
    if (others.length === 0) return
    const bytes = new Uint8Array(view.buffer, view.byteOffset + offset + from, to - from)
    const before = bytes.slice()
    for (const other of others) {
      other.write(view, offset, record)
      if (bytes.every((byte, i) => byte === before[i])) continue
      const both = `${first.names.join(' with ')} and ${other.names.join(' with ')}`
      throw new TypeError(`${both} are in one place in ${name}, and say different things: give one of them`)
    }
  }
}

/** Bytes up to which a loop is cheaper than a Uint8Array. */
const SHORT = 64

function clear(view: DataView, from: number, to: number): void {
  if (to - from <= SHORT) {
    for (let i = from; i < to; i++) view.setUint8(i, 0)
    return
  }
  // A view may be a part of its buffer: past its end belongs to somebody else.
  if (from < 0 || to > view.byteLength) throw new RangeError('Offset is outside the bounds of the DataView')
  new Uint8Array(view.buffer, view.byteOffset + from, to - from).fill(0)
}
