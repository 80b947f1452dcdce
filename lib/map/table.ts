import { unsupportedOr } from '../features/unsupported'
import { checkKeys } from './bulk'
import { type Fillable, fill } from './fillable'
import { entryLine, summarize } from './inspect'
import { type GetOptions, getFlags, KeyedMap, lockHint, type SetOptions, setFlags } from './keyed-map'

/** A map from keys to values whose entries come and go: the verbs of JavaScript's `Map`. */
export abstract class Table<K, V> extends KeyedMap<K, V> implements Fillable<readonly [K, V]> {
  /** The value, or undefined where there is no such key. Errors: EPERM (write-only handle). */
  get(key: K, options?: GetOptions): V | undefined {
    return this.lookup(key, options === undefined ? 0 : getFlags(options))
  }

  /** Whether there is such a key. */
  has(key: K): boolean {
    return this.exists(key)
  }

  /** Writes an entry. Errors: E2BIG (full), EEXIST and ENOENT (`only`), EPERM (frozen, read-only), ENOMEM. */
  set(key: K, value: V, options?: SetOptions): this {
    this.store(key, value, options === undefined ? 0 : setFlags(options))
    return this
  }

  /** Deletes an entry: whether there was one. Errors: EPERM. */
  delete(key: K): boolean {
    return this.remove(key)
  }

  /** The values of many keys, in their order; undefined where there is none. One call each: the kernel has no other way. */
  getMany(keys: Iterable<K>, options?: GetOptions): (V | undefined)[] {
    checkKeys(keys, 'getMany')
    const flags = getFlags(options)
    const values: (V | undefined)[] = []
    for (const key of keys) values.push(this.lookup(key, flags))
    return values
  }

  /**
   * Writes many entries in as few calls as the kernel allows (batches from Linux 5.6; one by one with `only`).
   * A KernelError's `done` says how many were written before it. Returns how many there were.
   */
  setMany(entries: Iterable<readonly [K, V]>, options?: SetOptions): number {
    return this.storeMany(entries, setFlags(options))
  }

  /** Deletes many keys, in as few calls as the kernel allows; returns how many of them were there. */
  deleteMany(keys: Iterable<K>): number {
    return this.removeMany(keys)
  }

  /** Deletes every entry that is there. What others write meanwhile may stay. Returns how many were deleted. */
  clear(): number {
    return this.removeAll()
  }

  /** How many entries there are: counted by reading the map, as the kernel keeps no count. */
  get size(): number {
    return this.count()
  }

  /** Safe while others write: an entry that is there all along is given once; see walk.ts. */
  entries(): IterableIterator<[K, V]> {
    return this.walk()
  }

  keys(): IterableIterator<K> {
    return this.walkKeys()
  }

  values(): IterableIterator<V> {
    return this.walkValues()
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.walk()
  }

  forEach(callback: (value: V, key: K, map: this) => void): void {
    for (const [key, value] of this.walk()) callback(value, key, this)
  }

  /** The entries as they are now, as plain data. */
  snapshot(): Map<K, V> {
    return new Map(this.walk())
  }

  [fill](entries: Iterable<readonly [K, V]>): void {
    this.storeMany(entries, 0)
  }

  protected override inspectEntries(few: number) {
    return summarize(
      few,
      (limit) => this.count(limit),
      () => this.walk(),
      ([key, value]) => entryLine(key, value),
    )
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'E2BIG') return `the map is full: maxEntries is ${this.maxEntries}`
    return lockHint(command, code) ?? super.hint(command, code)
  }
}

/** A Table that can give an entry away in one step. */
export abstract class TakingTable<K, V> extends Table<K, V> {
  /** Deletes an entry and gives its value, in one step; undefined where there was none. Linux 5.14. Errors: UnsupportedError. */
  getAndDelete(key: K, options?: GetOptions): V | undefined {
    try {
      return this.take(key, getFlags(options))
    } catch (error) {
      throw unsupportedOr(error, () => [['lookupAndDelete']])
    }
  }
}
