import { type Fillable, fill } from './fillable'
import { entryLine, summarize } from './inspect'
import { KeyedMap, type SetOptions, setFlags } from './keyed-map'

/**
 * A map of references to things of the kernel: what is written (an fd, an interface) is not what is read back (an id, a
 * cookie), where it can be read back at all.
 */
export abstract class RefTable<K, In, Out = never> extends KeyedMap<K, In | Out> implements Fillable<readonly [K, In]> {
  /** Writes an entry. Errors: EBADF and EINVAL (not such an fd), E2BIG (past the end, full), EPERM (frozen, read-only). */
  set(key: K, value: In, options?: SetOptions): this {
    this.store(key, value, options === undefined ? 0 : setFlags(options))
    return this
  }

  /** Writes `[key, value]` pairs. A KernelError's `done` says how many came before it. Returns how many there were. */
  setMany(entries: Iterable<readonly [K, In]>, options?: SetOptions): number {
    return this.storeMany(entries, setFlags(options))
  }

  /** Deletes an entry: whether there was one. Errors: EPERM. */
  delete(key: K): boolean {
    return this.remove(key)
  }

  [fill](entries: Iterable<readonly [K, In]>): void {
    this.storeMany(entries, 0)
  }
}

/** A RefTable that user space can read. Iteration gives what is there: empty slots are passed over. */
export abstract class ReadableRefTable<K, In, Out> extends RefTable<K, In, Out> {
  /** Whether there is an entry. */
  has(key: K): boolean {
    return this.exists(key)
  }

  /** How many entries there are: counted by reading the map, as the kernel keeps no count. */
  get size(): number {
    return this.count()
  }

  entries(): IterableIterator<[K, Out]> {
    // What is read is never what was written: the codec gives an Out.
    return this.walk() as IterableIterator<[K, Out]>
  }

  keys(): IterableIterator<K> {
    return this.walkKeys()
  }

  values(): IterableIterator<Out> {
    return this.walkValues() as IterableIterator<Out>
  }

  [Symbol.iterator](): IterableIterator<[K, Out]> {
    return this.entries()
  }

  forEach(callback: (value: Out, key: K, map: this) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this)
  }

  /** The entries as they are now, as plain data. */
  snapshot(): Map<K, Out> {
    return new Map(this.entries())
  }

  protected read(key: K): Out | undefined {
    return this.lookup(key, 0) as Out | undefined
  }

  protected override inspectEntries(few: number): { size: string; lines: string[] } | undefined {
    return summarize(
      few,
      (limit) => this.count(limit),
      () => this.entries(),
      ([key, value]) => entryLine(key, value),
    )
  }
}

/** What E2BIG, and EINVAL of a deletion, mean where the keys are indices. */
export function slotHint(length: number, command: string, code: string): string | undefined {
  const past = code === 'E2BIG' || (code === 'EINVAL' && /DELETE/.test(command))
  return past ? `the index is past the end: there are ${length} slots, from 0` : undefined
}
