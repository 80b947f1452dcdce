/** Sizes and alignments, as C has them on the machine that the BTF is of. */
import * as format from './format'
import { KIND_NAMES, kindFlagOf, kindOf, TYPE_BYTES, vlenOf } from './format'
import type { BtfImage } from './image'

/** MAX_RESOLVE_DEPTH of the kernel and of libbpf: what is longer is a circle. */
const DEPTH = 32

const LARGEST_SIZE = 0xffff_ffff

const QUALIFIERS: ReadonlySet<number> = new Set([
  format.TYPEDEF,
  format.VOLATILE,
  format.CONST,
  format.RESTRICT,
  format.TYPE_TAG,
])

/** All that C calls long, as compilers write it. */
const LONG: ReadonlySet<string> = new Set([
  ...['long int', 'long unsigned int', 'long', 'unsigned long', 'unsigned long int', 'long int unsigned'],
  ...['int long', 'long unsigned', 'unsigned int long', 'int unsigned long', 'int long unsigned'],
])

/** The kind of a type by number: 0 for void. */
export function kindNumber(image: BtfImage, id: number): number {
  if (id === 0) return 0
  const owner = image.owner(id)
  return kindOf(owner.word(owner.placeOf(id) + 4))
}

/** The size of a pointer: what long has on every machine of Linux; 8, as BPF itself has it, where nothing tells. */
export function pointerSize(image: BtfImage): 4 | 8 {
  if (image.base !== undefined) return pointerSize(image.base)
  for (let id = image.firstId; id < image.endId; id++) {
    const at = image.placeOf(id)
    if (kindOf(image.word(at + 4)) !== format.INT || !LONG.has(image.stringAt(at))) continue
    const size = image.word(at + 8)
    if (size === 4 || size === 8) return size
  }
  return 8
}

/** The id that is left when typedefs and qualifiers are taken away. */
export function resolve(image: BtfImage, id: number): number {
  let left = id
  for (let depth = 0; depth <= DEPTH; depth++) {
    if (left === 0) return 0
    const owner = image.owner(left)
    const at = owner.placeOf(left)
    if (!QUALIFIERS.has(kindOf(owner.word(at + 4)))) return left
    left = owner.reference(at + 8)
  }
  throw tooDeep(image, id)
}

/** Size in bytes. */
export function sizeOf(image: BtfImage, id: number, pointer: number): number {
  let count = 1
  let left = id
  for (let depth = 0; depth <= DEPTH; depth++) {
    if (left === 0) throw noSize(image, 0, 'size')
    const owner = image.owner(left)
    const at = owner.placeOf(left)
    const kind = kindOf(owner.word(at + 4))
    if (QUALIFIERS.has(kind) || kind === format.VAR) {
      left = owner.reference(at + 8)
    } else if (kind === format.ARRAY) {
      count *= owner.word(at + TYPE_BYTES + 8)
      left = owner.reference(at + TYPE_BYTES)
    } else {
      const size = count * ownSize(owner, left, at, kind, pointer)
      // Not a number: infinitely many of nothing.
      if (size <= LARGEST_SIZE) return size
      throw image.error(`type ${id} is larger than 4 GiB`, placeOf(image, id))
    }
  }
  throw tooDeep(image, id)
}

function ownSize(owner: BtfImage, id: number, at: number, kind: number, pointer: number): number {
  switch (kind) {
    case format.PTR:
      return pointer
    case format.INT:
    case format.STRUCT:
    case format.UNION:
    case format.ENUM:
    case format.ENUM64:
    case format.FLOAT:
    case format.DATASEC:
      return owner.word(at + 8)
    default:
      throw noSize(owner, id, 'size')
  }
}

/** The alignments of structs and unions that are known by now, or why they have none. */
export class Alignments {
  readonly #image: BtfImage
  readonly #pointer: number
  /** By id; 0 while the members are gone through. */
  readonly #known = new Map<number, number | string>()

  constructor(image: BtfImage, pointer: number) {
    this.#image = image
    this.#pointer = pointer
  }

  /** In bytes. Throws BtfError for what has none. */
  of(id: number): number {
    const behind = this.#behind(id)
    const scalar = this.#scalar(behind)
    if (scalar !== undefined) return scalar
    this.#goThrough(behind)
    return this.#composite(behind)
  }

  /** What arrays, typedefs and qualifiers are made from: an alignment is that of the elements. */
  #behind(id: number): number {
    let left = id
    for (let depth = 0; depth <= DEPTH; depth++) {
      if (left === 0) return 0
      const owner = this.#image.owner(left)
      const at = owner.placeOf(left)
      const kind = kindOf(owner.word(at + 4))
      if (kind === format.ARRAY) left = owner.reference(at + TYPE_BYTES)
      else if (QUALIFIERS.has(kind) || kind === format.VAR) left = owner.reference(at + 8)
      else return left
    }
    throw tooDeep(this.#image, id)
  }

  /** The alignment of what has no members; undefined for structs and unions. */
  #scalar(id: number): number | undefined {
    if (id === 0) throw noSize(this.#image, 0, 'alignment')
    const owner = this.#image.owner(id)
    const at = owner.placeOf(id)
    const kind = kindOf(owner.word(at + 4))
    switch (kind) {
      case format.STRUCT:
      case format.UNION:
        return undefined
      case format.PTR:
        return this.#pointer
      case format.INT:
      case format.ENUM:
      case format.ENUM64:
      case format.FLOAT: {
        // The largest power of two that divides the size, which may be 12 (long double on i386). 16 bytes have the
        // alignment of 16 on all 64-bit machines of Linux, and that of a long on those with 32.
        const size = owner.word(at + 8)
        return Math.min((size & -size) >>> 0 || 1, this.#pointer === 8 ? 16 : 4)
      }
      default:
        throw noSize(owner, id, 'alignment')
    }
  }

  /**
   * Finds the alignments of a struct and of all that is in it, those furthest inside first. Without recursion: nothing says
   * how deep structs in structs may be, but that none is in itself.
   */
  #goThrough(id: number): void {
    const work = [id]
    const open: number[] = []
    try {
      for (let top = work.at(-1); top !== undefined; top = work.at(-1)) {
        const known = this.#known.get(top)
        if (known === undefined) {
          this.#known.set(top, 0)
          open.push(top)
          for (const inner of this.#inner(top)) {
            const state = this.#known.get(inner)
            if (state === 0) throw this.#image.error(`type ${inner} is in itself`, placeOf(this.#image, inner))
            if (state === undefined) work.push(inner)
            else if (typeof state === 'string') throw this.#image.error(state, placeOf(this.#image, inner))
          }
          continue
        }
        if (known === 0) {
          this.#known.set(top, this.#fromMembers(top))
          open.pop()
        }
        work.pop()
      }
    } catch (error) {
      // Each of them has in it, however deep, what is wrong.
      for (const failed of open) this.#known.set(failed, (error as { reason?: string }).reason ?? String(error))
      throw error
    }
  }

  /** The structs and unions that are members, or elements of members. */
  *#inner(id: number): Generator<number, void, undefined> {
    for (const { type } of this.#members(id)) {
      const behind = this.#behind(type)
      const kind = kindNumber(this.#image, behind)
      if (kind === format.STRUCT || kind === format.UNION) yield behind
    }
  }

  /** That of the strictest member; 1 where a member or the end is not where that would have put it: it is packed. */
  #fromMembers(id: number): number {
    const owner = this.#image.owner(id)
    let strictest = 1
    for (const { type, bitOffset, bitfieldSize } of this.#members(id)) {
      const behind = this.#behind(type)
      const alignment = this.#scalar(behind) ?? this.#composite(behind)
      strictest = Math.max(strictest, alignment)
      if (bitfieldSize === 0 && bitOffset % (8 * alignment) !== 0) return 1
    }
    return owner.word(owner.placeOf(id) + 8) % strictest === 0 ? strictest : 1
  }

  #composite(id: number): number {
    const known = this.#known.get(id)
    if (typeof known === 'number') return known
    throw this.#image.error(known ?? `type ${id} is in itself`, placeOf(this.#image, id))
  }

  *#members(id: number): Generator<{ type: number; bitOffset: number; bitfieldSize: number }, void, undefined> {
    const owner = this.#image.owner(id)
    const at = owner.placeOf(id)
    const info = owner.word(at + 4)
    const withSizes = kindFlagOf(info)
    for (let i = 0, member = at + TYPE_BYTES; i < vlenOf(info); i++, member += 12) {
      const offset = owner.word(member + 8)
      yield {
        type: owner.reference(member + 4),
        bitOffset: withSizes ? offset & 0xffffff : offset,
        bitfieldSize: withSizes ? offset >>> 24 : 0,
      }
    }
  }
}

function noSize(image: BtfImage, id: number, what: 'size' | 'alignment') {
  const number = kindNumber(image, id)
  const kind = KIND_NAMES[number] ?? `kind ${number}`
  const name = id === 0 ? '' : image.stringAt(image.placeOf(id))
  const type = id === 0 ? 'void' : `type ${id}, ${kind}${name === '' ? '' : ` ${name}`},`
  const why = kind === 'fwd' ? ': it is declared here, and described elsewhere or nowhere' : ''
  return image.error(`${type} has no ${what}${why}`, placeOf(image, id))
}

function tooDeep(image: BtfImage, id: number) {
  return image.error(`type ${id} is made from itself, or through more than ${DEPTH} others`, placeOf(image, id))
}

/** Where a type is in the bytes of the image itself; undefined for those of its base. */
function placeOf(image: BtfImage, id: number): number | undefined {
  return id >= image.firstId ? image.placeOf(id) : undefined
}
