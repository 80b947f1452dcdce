import { checkKeys } from './bulk'
import { type Fillable, fill } from './fillable'
import { entryLine, summarize } from './inspect'
import { type GetOptions, getFlags, KeyedMap, lockHint, type SetOptions, setFlags } from './keyed-map'

/** A map indexed from 0 to `length - 1`, whose elements can be overwritten, not deleted. */
export abstract class ArrayTable<V> extends KeyedMap<number, V> implements Fillable<readonly [number, V]> {
  /** How many elements there are. */
  get length(): number {
    return this.maxEntries
  }

  /** The element, or undefined past the end. */
  get(index: number, options?: GetOptions): V | undefined {
    return this.lookup(index, options === undefined ? 0 : getFlags(options))
  }

  /** Whether there is such an index. */
  has(index: number): boolean {
    return this.exists(index)
  }

  /** Writes an element. Errors: E2BIG (past the end), EPERM (frozen, read-only), EEXIST (`only: 'create'`: it always exists). */
  set(index: number, value: V, options?: SetOptions): this {
    this.store(index, value, options === undefined ? 0 : setFlags(options))
    return this
  }

  /** The elements at many indices, in their order. */
  getMany(indices: Iterable<number>, options?: GetOptions): (V | undefined)[] {
    checkKeys(indices, 'getMany')
    const flags = getFlags(options)
    const values: (V | undefined)[] = []
    for (const index of indices) values.push(this.lookup(index, flags))
    return values
  }

  /** Writes `[index, value]` pairs in as few calls as the kernel allows: for a plain list, `setMany(list.entries())`. */
  setMany(entries: Iterable<readonly [number, V]>, options?: SetOptions): number {
    return this.storeMany(entries, setFlags(options))
  }

  /** Writes the same value to every element. */
  fill(value: V): this {
    const all = Array.from({ length: this.length }, (_, index): [number, V] => [index, value])
    this.storeMany(all, 0)
    return this
  }

  entries(): IterableIterator<[number, V]> {
    return this.walk()
  }

  *keys(): IterableIterator<number> {
    for (let index = 0; index < this.length; index++) yield index
  }

  values(): IterableIterator<V> {
    return this.walkValues()
  }

  [Symbol.iterator](): IterableIterator<[number, V]> {
    return this.walk()
  }

  forEach(callback: (value: V, index: number, map: this) => void): void {
    for (const [index, value] of this.walk()) callback(value, index, this)
  }

  /** The elements as they are now, as plain data. */
  snapshot(): V[] {
    return Array.from(this.values())
  }

  [fill](entries: Iterable<readonly [number, V]>): void {
    this.storeMany(entries, 0)
  }

  protected override inspectEntries(few: number) {
    if (this.length > few) return undefined
    const { lines } = summarize(
      few,
      () => this.length,
      () => this.walk(),
      ([index, value]) => entryLine(index, value),
    )
    return { size: `${this.length}`, lines }
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'E2BIG') return `the index is past the end: the array has ${this.length} elements, from 0`
    if (code === 'EEXIST') return 'every element of an array exists from the start'
    return lockHint(command, code) ?? super.hint(command, code)
  }
}
