import type { Codec } from '../codec'
import { checkValues, counted } from './bulk'
import { noKey } from './fd-codecs'
import { type Fillable, fill } from './fillable'
import { KeyedMap } from './keyed-map'
import type { CreateOptions, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, valuesSpec } from './table-options'

/** What a bloom filter is made of. */
export interface BloomFilterOptions<V> extends Omit<CreateOptions, 'mapExtra'> {
  readonly value: Codec<V>
  /** How many values are expected: more can be added, at the price of more wrong answers. */
  readonly maxEntries: number
  /** How many hash functions, 1 to 15; the kernel takes 5 where not given. */
  readonly hashes?: number
}

export interface BloomFilterCodec<V> extends OpenOptions {
  readonly value: Codec<V>
}

/** BLOOM_FILTER keeps the number of hash functions in the low four bits of map_extra. */
const HASHES_MASK = 0xfn

/** Tells "certainly not added" from "perhaps added"; nothing is taken out again (BPF_MAP_TYPE_BLOOM_FILTER, Linux 5.16). */
export class BloomFilter<V> extends KeyedMap<undefined, V> implements Fillable<V> {
  declare protected readonly family: 'BloomFilter'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: BloomFilterOptions<V>): MapSpec<BloomFilter<V>> {
    return BloomFilter.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: BloomFilterOptions<V>): BloomFilter<V> {
    return BloomFilter.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: BloomFilterCodec<V>): BloomFilter<V> {
    return BloomFilter.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: BloomFilterCodec<V>): BloomFilter<V> {
    return BloomFilter.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: BloomFilterCodec<V>): BloomFilter<V> {
    return BloomFilter.#any(options).fromFd(fd)
  }

  static #any<V>(options: AnySize<BloomFilterOptions<V>>): MapSpec<BloomFilter<V>> {
    checkOptions('BloomFilter', options)
    const mapExtra = options?.hashes === undefined ? undefined : checkHashes(options.hashes)
    return valuesSpec<BloomFilter<V>, V>(
      'BloomFilter',
      'BLOOM_FILTER',
      mapExtra === undefined ? options : { ...options, mapExtra },
      (core) => new BloomFilter<V>(core, { key: noKey, value: options.value }),
    )
  }

  /** How many hash functions it was made with; 0 stands for the kernel's choice, 5. */
  get hashes(): number {
    return Number(this.attributes.mapExtra & HASHES_MASK)
  }

  /** Adds a value. Errors: EPERM (frozen, read-only). */
  add(value: V): this {
    this.store(undefined, value, 0)
    return this
  }

  /** Whether the value may have been added: true can be wrong, false cannot. */
  has(value: V): boolean {
    return this.holds(value)
  }

  /** Adds values, one call each. A KernelError's `done` says how many came before it. Returns how many there were. */
  addMany(values: Iterable<V>): number {
    checkValues(values, 'addMany')
    let done = 0
    for (const value of values) {
      counted(done, () => this.store(undefined, value, 0))
      done++
    }
    return done
  }

  [fill](values: Iterable<V>): void {
    this.addMany(values)
  }
}

function checkHashes(hashes: number): number {
  if (typeof hashes !== 'number') throw new TypeError(`hashes must be a number, not ${typeof hashes}`)
  if (!Number.isInteger(hashes) || hashes < 1 || hashes > 15) {
    throw new RangeError(`${hashes} cannot be the number of hash functions: integers from 1 to 15 can`)
  }
  return hashes
}
