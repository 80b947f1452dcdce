import { BtfError } from './error'
import { KIND_LAYOUTS, type KindLayout, kindOf, type Range, readHeader, TYPE_BYTES, vlenOf } from './format'

/** KSYM_NAME_LEN: the kernel takes no longer names of types, members and functions. Linux 6.1; 128 before. */
export const NAME_BYTES = 512

/** Types up to which what is known of their places is not copied to its length. */
const FEW_PLACES = 4096

/**
 * BTF as bytes, checked so far that every type and every string has its place. Types are read when they are asked for.
 * Split BTF goes on where its base ends: with the ids of types as well as with the offsets of strings.
 */
export class BtfImage {
  readonly what: string
  readonly base: BtfImage | undefined
  readonly bytes: Buffer
  readonly view: DataView
  readonly littleEndian: boolean
  /** The id of the first type in these bytes, and the id behind the last. */
  readonly firstId: number
  readonly endId: number
  readonly layouts: readonly KindLayout[] | undefined
  /** Where the strings are, what the first of them is called by, and what is behind the last. */
  readonly #strings: Range
  readonly #firstString: number
  readonly #endString: number
  /** Where each type begins, by id less firstId. */
  readonly places: Uint32Array
  /** Strings that are longer than names, each once. */
  readonly #long = new Map<number, string>()

  constructor(bytes: Buffer, what: string, base?: BtfImage) {
    this.what = what
    this.base = base
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const { littleEndian, types, strings, layouts } = readHeader(this.view, what)
    this.littleEndian = littleEndian
    if (base !== undefined && base.littleEndian !== littleEndian) {
      throw new BtfError(what, `its byte order is not that of its base ${base.what}`, 0)
    }
    this.layouts = layouts ?? base?.layouts
    this.#strings = strings
    this.#checkStrings()
    this.#firstString = base === undefined ? 0 : base.#endString
    this.#endString = this.#firstString + strings.to - strings.from
    this.firstId = base === undefined ? 1 : base.endId
    this.places = this.#findTypes(types)
    this.endId = this.firstId + this.places.length
  }

  /** The one of this and its bases that has the type, whose id is below endId and not 0. */
  owner(id: number): BtfImage {
    let image: BtfImage = this
    while (image.base !== undefined && id < image.firstId) image = image.base
    return image
  }

  /** Where struct btf_type of one of these types is. */
  placeOf(id: number): number {
    return this.places[id - this.firstId] as number
  }

  word(at: number): number {
    return this.view.getUint32(at, this.littleEndian)
  }

  /** The id of a type, which must be there. */
  reference(at: number): number {
    const id = this.word(at)
    if (id >= this.endId) throw this.error(`it refers to type ${id}, and the last one is ${this.endId - 1}`, at)
    return id
  }

  /** The string whose offset is at `at`. */
  stringAt(at: number): string {
    return this.string(this.word(at), at)
  }

  /** The string at an offset, which the bytes at `from` name, where they do. */
  string(offset: number, from?: number): string {
    if (offset >= this.#endString) {
      throw this.error(`a string at ${offset}, and strings end at ${this.#endString}`, from)
    }
    const image = this.#ownerOfString(offset)
    return image.#read(image.#strings.from + offset - image.#firstString, from)
  }

  /** Whether there is a string at an offset. */
  hasString(offset: number): boolean {
    return offset < this.#endString
  }

  /** Whether the string at an offset is there, and is this one. */
  isString(offset: number, wanted: Buffer): boolean {
    if (offset >= this.#endString) return false
    const image = this.#ownerOfString(offset)
    const { bytes } = image
    const from = image.#strings.from + offset - image.#firstString
    // As in #read: what is longer than a name is no end of another.
    if (wanted.length >= NAME_BYTES && bytes[from - 1] !== 0) return false
    for (let i = 0; i < wanted.length; i++) if (bytes[from + i] !== wanted[i]) return false
    return bytes[from + wanted.length] === 0
  }

  /** A hash of the string at an offset, which is there: that of `hashOf`. */
  hashAt(offset: number): number {
    const image = this.#ownerOfString(offset)
    return hashOf(image.bytes, image.#strings.from + offset - image.#firstString)
  }

  /** The string at an offset, where it is there and has so many bytes. */
  stringOfLength(offset: number, least: number, most: number): string | undefined {
    if (offset >= this.#endString) return undefined
    const image = this.#ownerOfString(offset)
    const from = image.#strings.from + offset - image.#firstString
    let end = from
    while (end - from <= most && image.bytes[end] !== 0) end++
    return end - from < least || end - from > most ? undefined : image.bytes.toString('utf8', from, end)
  }

  /** The one of this and its bases that has the string. */
  #ownerOfString(offset: number): BtfImage {
    let image: BtfImage = this
    while (image.base !== undefined && offset < image.#firstString) image = image.base
    return image
  }

  error(reason: string, at?: number): BtfError {
    return new BtfError(this.what, reason, at)
  }

  /**
   * Strings may share their ends, so that a small section holds many long ones. What is no longer than a name is read as
   * often as it is asked for; longer ones (lines of source) are read once, and must begin where another has ended.
   */
  #read(place: number, from: number | undefined): string {
    const { bytes } = this
    if (place > this.#strings.from && bytes[place - 1] !== 0) {
      let end = place
      while (bytes[end] !== 0 && end - place < NAME_BYTES) end++
      if (end - place < NAME_BYTES) return bytes.toString('utf8', place, end)
      throw this.error(`a name that is the end of another, and not shorter than ${NAME_BYTES} bytes`, from)
    }
    const known = this.#long.size === 0 ? undefined : this.#long.get(place)
    if (known !== undefined) return known
    const end = bytes.indexOf(0, place)
    const text = bytes.toString('utf8', place, end)
    if (end - place >= NAME_BYTES) this.#long.set(place, text)
    return text
  }

  /** Each string ends with a NUL, and the first one is empty: it is what nameless things are called by. */
  #checkStrings(): void {
    const { from, to } = this.#strings
    if (from === to) {
      if (this.base === undefined) throw this.error('it has no strings, not even the empty one', 20)
      return
    }
    if (this.bytes[to - 1] !== 0) throw this.error('the last string does not end', to - 1)
    if (this.base === undefined && this.bytes[from] !== 0) throw this.error('the first string is not empty', from)
  }

  /** One pass over the types: how long each is, is said in its second word. */
  #findTypes({ from, to }: Range): Uint32Array {
    const places = new Uint32Array(Math.floor((to - from) / TYPE_BYTES))
    let count = 0
    for (let at = from; at < to; count++) {
      if (at + TYPE_BYTES > to) throw this.error(`type ${this.firstId + count} is cut off where the types end`, at)
      const info = this.word(at + 4)
      const kind = kindOf(info)
      const layout = KIND_LAYOUTS[kind] ?? this.#unknownLayout(kind, at)
      places[count] = at
      const length = TYPE_BYTES + layout.once + layout.each * vlenOf(info)
      if (length > to - at) {
        throw this.error(`type ${this.firstId + count} has ${length} bytes, and the types end after ${to - at}`, at)
      }
      at += length
    }
    // What is left over of a small one costs less than a copy.
    return places.length < FEW_PLACES ? places.subarray(0, count) : places.slice(0, count)
  }

  #unknownLayout(kind: number, at: number): KindLayout {
    const layout = kind === 0 ? undefined : this.layouts?.[kind]
    if (layout === undefined) throw this.error(`a type of kind ${kind}, which is none that is known`, at + 4)
    if (layout.once % 4 !== 0 || layout.each % 4 !== 0) {
      throw this.error(
        `types of kind ${kind} are ${layout.once} and ${layout.each} bytes long, which is not aligned`,
        at,
      )
    }
    return layout
  }
}

/** FNV-1a, of what begins there and ends with a NUL or with the bytes; of long ones the start tells enough. */
export function hashOf(bytes: Buffer, from: number): number {
  const end = Math.min(from + NAME_BYTES, bytes.length)
  let hash = 0x811c9dc5
  for (let i = from; i < end; i++) {
    const byte = bytes[i] as number
    if (byte === 0) break
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}
