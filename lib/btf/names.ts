import { kindOf } from './format'
import { type BtfImage, hashOf } from './image'

/** So many names are looked for by going through all types: 2 ms each for the kernel's, and the index costs ten. */
const SCANS = 3

/** Finds the types of one image, without those of its base, by their names. */
export class Names {
  readonly #image: BtfImage
  #scans = 0
  /** A hash table in two arrays: the first type of each bucket, and the next type after each. 0 is none. */
  #heads: Uint32Array | undefined
  #next = new Uint32Array()

  constructor(image: BtfImage) {
    this.#image = image
  }

  /** The ids of the types with that name, in order. `kind` is the number of a kind, or undefined for any. */
  *find(name: string, kind: number | undefined): Generator<number, void, undefined> {
    const wanted = Buffer.from(name)
    // The nameless are many, and a NUL ends a name.
    if (wanted.length === 0 || wanted.includes(0)) return
    if (this.#heads === undefined && this.#scans < SCANS) {
      this.#scans++
      yield* this.#scan(wanted, kind)
    } else {
      yield* this.#lookUp(this.#heads ?? this.#index(), wanted, kind)
    }
  }

  /** The names of types that have so many bytes. */
  *ofLength(least: number, most: number, kind: number | undefined): Generator<string, void, undefined> {
    const image = this.#image
    for (let id = image.firstId; id < image.endId; id++) {
      const at = image.placeOf(id)
      if (kind !== undefined && kindOf(image.word(at + 4)) !== kind) continue
      const name = image.stringOfLength(image.word(at), least, most)
      if (name !== undefined) yield name
    }
  }

  *#scan(wanted: Buffer, kind: number | undefined): Generator<number, void, undefined> {
    const { firstId, endId } = this.#image
    for (let id = this.#from(firstId, endId, wanted, kind); id < endId; id = this.#from(id + 1, endId, wanted, kind)) {
      yield id
    }
  }

  /** The first that matches, from an id on. */
  #from(first: number, end: number, wanted: Buffer, kind: number | undefined): number {
    let id = first
    while (id < end && !this.#matches(id, wanted, kind)) id++
    return id
  }

  *#lookUp(heads: Uint32Array, wanted: Buffer, kind: number | undefined): Generator<number, void, undefined> {
    const { firstId } = this.#image
    let id = heads[hashOf(wanted, 0) & (heads.length - 1)] as number
    for (; id !== 0; id = this.#next[id - firstId] as number) if (this.#matches(id, wanted, kind)) yield id
  }

  #index(): Uint32Array {
    const image = this.#image
    const count = image.endId - image.firstId
    const heads = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(count, 1))))
    const next = new Uint32Array(count)
    // From the last one on: each goes in front of those before it.
    for (let id = image.endId - 1; id >= image.firstId; id--) {
      const offset = image.word(image.placeOf(id))
      if (offset === 0 || !image.hasString(offset)) continue
      const bucket = image.hashAt(offset) & (heads.length - 1)
      next[id - image.firstId] = heads[bucket] as number
      heads[bucket] = id
    }
    this.#next = next
    this.#heads = heads
    return heads
  }

  #matches(id: number, wanted: Buffer, kind: number | undefined): boolean {
    const image = this.#image
    const at = image.placeOf(id)
    if (kind !== undefined && kindOf(image.word(at + 4)) !== kind) return false
    return image.isString(image.word(at), wanted)
  }
}
