import { endianness } from 'node:os'
import { checkAlone, MOST_BYTES, MOST_STRING_BYTES, MOST_TYPES } from './check'
import { checkTogether } from './check-together'
import { type BtfDescription, labelOf } from './description'
import { wordsOf } from './encode'

/** The machine's byte order: the kernel takes no other. */
const LE = endianness() === 'LE'

/** struct btf_header (include/uapi/linux/btf.h). */
const MAGIC = 0xeb9f
const VERSION = 1
const HEADER_BYTES = 24

/** What the same words do not make one: two variables of one name and type are two, as libbpf has it (btf__dedup). */
const UNIQUE: ReadonlySet<BtfDescription['kind']> = new Set(['var', 'datasec'])

/**
 * Builds BTF: for BPF_BTF_LOAD, for who describes maps or programs of his own, for tests. Types and strings that are
 * alike are there once. What the kernel would refuse without a word (names, sizes, members that overlap their struct's
 * end, types that are in themselves) is a TypeError or RangeError that names the type, here or in `bytes()`.
 *
 * Kinds are younger than the format, and an older kernel refuses all of the BTF for one that it does not know (EINVAL):
 * `datasec` and `var` Linux 5.2, `float` 5.13, `decl_tag` 5.16, `type_tag` 5.17, `enum64` and signed enums 6.0.
 * `features.btf` tells. Needs no kernel.
 *
 * @example
 * const builder = new BtfBuilder()
 * const u64 = builder.add({ kind: 'int', name: 'unsigned long long', size: 8 })
 * const stats = builder.add({
 *   kind: 'struct', name: 'stats', size: 16,
 *   members: [{ name: 'packets', type: u64, bitOffset: 0 }, { name: 'bytes', type: u64, bitOffset: 64 }],
 * })
 * btfLoad({ btf: builder.bytes() })
 */
export class BtfBuilder {
  /** By id; what is reserved and not defined is undefined. Id 0 is void. */
  readonly #types: (BtfDescription | undefined)[] = [undefined]
  readonly #words: (readonly number[])[] = [[]]
  readonly #ids = new Map<string, number>()
  readonly #strings = new Map<string, number>([['', 0]])
  #stringBytes = 1

  /** How many types there are. */
  get size(): number {
    return this.#types.length - 1
  }

  /** What was added under an id; undefined for void, and for what is reserved and not defined. */
  type(id: number): BtfDescription | undefined {
    return this.#types[id]
  }

  /**
   * The id of a type: of one that was added before, where it is the same. The ids in it must be known by now. Throws
   * TypeError, RangeError.
   */
  add(type: BtfDescription): number {
    const words = this.#encoded(type)
    if (UNIQUE.has(type.kind)) return this.#push(type, words)
    const key = words.join()
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const id = this.#push(type, words)
    this.#ids.set(key, id)
    return id
  }

  /** An id for a type that is told later by `define`: for structs that point to themselves, or to one another. */
  reserve(): number {
    return this.#push(undefined, [])
  }

  /** The type of an id that was reserved. Throws TypeError, RangeError. */
  define(id: number, type: BtfDescription): void {
    if (!Number.isInteger(id) || id < 1 || id >= this.#types.length) {
      throw new RangeError(`${id} is no id of this BTF: reserve() gives one`)
    }
    if (this.#types[id] !== undefined) throw new RangeError(`type ${id} is ${labelOf(this.#types[id])} already`)
    this.#words[id] = this.#encoded(type)
    this.#types[id] = type
  }

  /** The offset of a string among the strings, as records of lines and CO-RE relocations name them. */
  string(text: string): number {
    const known = this.#strings.get(text)
    if (known !== undefined) return known
    if (typeof text !== 'string') throw new TypeError(`a string is wanted, not ${typeof text}`)
    if (text.includes('\0')) throw new RangeError(`${JSON.stringify(text)} holds a NUL, which would end it`)
    const offset = this.#stringBytes
    // btf_name_offset_valid
    if (offset > MOST_STRING_BYTES) throw new RangeError(`strings of more than ${MOST_STRING_BYTES} bytes`)
    this.#strings.set(text, offset)
    this.#stringBytes += Buffer.byteLength(text) + 1
    return offset
  }

  /** The BTF as BPF_BTF_LOAD takes it. Throws RangeError for what fits each by itself and not together. */
  bytes(): Uint8Array<ArrayBuffer> {
    if (this.size === 0) throw new RangeError('BTF without types: the kernel takes none')
    checkTogether(this.#types)
    let typeBytes = 0
    for (const words of this.#words) typeBytes += words.length * 4
    const total = HEADER_BYTES + typeBytes + this.#stringBytes
    if (total > MOST_BYTES) throw new RangeError(`BTF of ${total} bytes: the kernel takes up to ${MOST_BYTES}`)
    const bytes = Buffer.from(new ArrayBuffer(total))
    const view = new DataView(bytes.buffer)
    view.setUint16(0, MAGIC, LE)
    view.setUint8(2, VERSION)
    let at = 4
    const put = (word: number) => {
      view.setInt32(at, word, LE)
      at += 4
    }
    for (const word of [HEADER_BYTES, 0, typeBytes, typeBytes, this.#stringBytes]) put(word)
    for (const words of this.#words) for (const word of words) put(word)
    for (const text of this.#strings.keys()) at += bytes.write(text, at) + 1
    return new Uint8Array(bytes.buffer)
  }

  #encoded(type: BtfDescription): number[] {
    checkAlone(type, this.#types.length)
    return wordsOf(type, (text) => this.string(text))
  }

  #push(type: BtfDescription | undefined, words: readonly number[]): number {
    if (this.size >= MOST_TYPES) throw new RangeError(`more than ${MOST_TYPES} types`)
    this.#words.push(words)
    return this.#types.push(type) - 1
  }
}
