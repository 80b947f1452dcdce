import { BatchCalls } from '../../syscalls/batch'
import { KeyWalk } from '../../syscalls/element'
import { type Subject, throwKernelError } from '../../syscalls/errno'
import type { Codec } from '../codec'
import { SeenKeys } from './seen-keys'

/**
 * Iteration that is safe while others write.
 *
 * Batch-first: a hash remembers its place as a bucket, so nothing that others do makes it begin again, and each bucket is
 * read once. Where the kernel has no batch command it is GET_NEXT_KEY, which begins again when the key that it stands on
 * is deleted: the keys already given are then remembered and passed over. The same holds for the batches of an LPM trie,
 * whose place is a key.
 */
export interface WalkTarget<K, V> {
  readonly key: Codec<K>
  readonly value: Codec<V>
  readonly maxEntries: number
  /** Whether a batch look-up keeps its place whatever is deleted: all but LPM_TRIE do. */
  readonly keepsPosition: boolean
  readonly subject: Subject
  /** Asked for at each step: the map may be closed in the middle of a loop. */
  readonly fd: number
  lacks(command: string): boolean
  setLacks(command: string): void
  lookup(key: K, flags: number): V | undefined
}

/** Bytes of keys and values that one batch may take: far more gains nothing (272 ns an entry at 4096, 322 at 256). */
const BATCH_BYTES = 1 << 18
const BATCH_ENTRIES = 4096

/** Entries of one batch. */
export function batchCapacity(maxEntries: number, entryBytes: number): number {
  const fitting = Math.floor(BATCH_BYTES / Math.max(entryBytes, 1))
  return Math.max(1, Math.min(BATCH_ENTRIES, fitting, maxEntries))
}

/** All entries of a map. */
export function walkEntries<K, V>(target: WalkTarget<K, V>, flags: number): IterableIterator<[K, V]> {
  return new EntryIterator(target, flags)
}

/** All keys of a map; the values are not decoded. */
export function walkKeys<K, V>(target: WalkTarget<K, V>): IterableIterator<K> {
  return new KeyIterator(target, 0)
}

/** All values of a map; the keys are not decoded. */
export function walkValues<K, V>(target: WalkTarget<K, V>): IterableIterator<V> {
  return new ValueIterator(target, 0)
}

/** How many entries there are, counted up to `limit`; nothing is decoded. */
export function countEntries<K, V>(target: WalkTarget<K, V>, limit: number): number {
  return new CountingIterator(target, 0).countTo(limit)
}

const NOTHING = new DataView(new ArrayBuffer(0))

/** What array iterators and generators inherit from: the helpers (map, filter, take ...) of newer versions of Node. */
const IteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))

/**
 * One walk over a map. An iterator of its own, not a generator: that costs a third less an entry, which is most of what
 * reading a large map costs above the kernel's share.
 */
abstract class Walk<K, V, T> implements IterableIterator<T> {
  readonly #target: WalkTarget<K, V>
  readonly #flags: number
  readonly #keyBytes: number
  readonly #valueBytes: number
  #batch: BatchCalls | undefined
  /** The batch's block, and where in it the keys and the values begin. */
  #view: DataView = NOTHING
  #keysAt = 0
  #valuesAt = 0
  #keys: KeyWalk | undefined
  #seen: SeenKeys | undefined
  /** Of a walk by key: whether `#keys` stands on a key that is still to be given; undefined before the first. */
  #ahead: boolean | undefined
  /** The entries of the batch: how many, and which comes next. */
  #count = 0
  #next = 0
  /** Whether the batch in the block is the map's last. */
  #last = false

  constructor(target: WalkTarget<K, V>, flags: number) {
    this.#target = target
    this.#flags = flags
    this.#keyBytes = target.key.size
    this.#valueBytes = target.value.size
  }

  /** What the walk gives of an entry. */
  protected abstract read(target: WalkTarget<K, V>, view: DataView, keyAt: number, valueAt: number): T
  /** The same of a key, whose value is still to be looked up; undefined where it is gone by now. */
  protected abstract find(target: WalkTarget<K, V>, key: K, flags: number): T | undefined

  next(): IteratorResult<T, undefined> {
    // Small enough that V8 puts it into the caller's loop, where the result object and the pair then cost nothing.
    return this.#next < this.#count && this.#seen === undefined
      ? { done: false, value: this.#readNext() }
      : this.#nextSlowly()
  }

  #readNext(): T {
    const i = this.#next++
    const keyAt = this.#keysAt + i * this.#keyBytes
    return this.read(this.#target, this.#view, keyAt, this.#valuesAt + i * this.#valueBytes)
  }

  #nextSlowly(): IteratorResult<T, undefined> {
    for (;;) {
      if (this.#next >= this.#count) {
        if (this.#last || !this.#fill()) return this.#keys === undefined ? DONE : this.#nextByKey(this.#keys)
      } else if (this.#seen?.add(this.#view, this.#keysAt + this.#next * this.#keyBytes) === false) {
        this.#next++
      } else {
        return { done: false, value: this.#readNext() }
      }
    }
  }

  /** Ends the walk, as `break` in a loop does. */
  return(): IteratorResult<T, undefined> {
    this.#next = this.#count
    this.#last = true
    this.#batch = undefined
    this.#keys = undefined
    return DONE
  }

  declare [Symbol.iterator]: () => this

  /** What a prompt shows of it. */
  get [Symbol.toStringTag](): string {
    return 'BpfMap Iterator'
  }

  /** @internal Entries still to come, up to `limit`, where counting them needs no look at each. */
  countTo(limit: number): number {
    let count = 0
    while (count < limit && !this.#last && this.#fill()) {
      if (this.#seen !== undefined) break
      count += this.#count - this.#next
      this.#next = this.#count
    }
    // The others have to be told apart.
    while (count < limit && this.next().done !== true) count++
    return Math.min(count, limit)
  }

  /** Reads the next batch that has entries; false at the end, and where the kernel has no such command. */
  #fill(): boolean {
    const target = this.#target
    if (this.#keys !== undefined || target.lacks('BPF_MAP_LOOKUP_BATCH')) return this.#walkByKey()
    this.#batch ??= this.#firstBatch()
    for (;;) {
      const answer = this.#batch.lookup(target.fd, this.#flags)
      if (answer.code === '' || answer.code === 'ENOENT') {
        this.#count = answer.count
        this.#next = 0
        this.#view = this.#batch.view
        this.#keysAt = this.#batch.keysAt
        this.#valuesAt = this.#batch.valuesAt
        this.#last = answer.code === 'ENOENT'
        if (answer.count > 0) return true
        if (this.#last) return false
      } else if (answer.code === 'ENOSPC' && this.#batch.capacity < target.maxEntries) {
        // A bucket holds more entries than there is room for.
        this.#batch = this.#batch.larger(Math.min(this.#batch.capacity * 4, target.maxEntries))
      } else if (answer.code === 'ENOTSUPP') {
        target.setLacks('BPF_MAP_LOOKUP_BATCH')
        return this.#walkByKey()
      } else {
        throwKernelError(answer.errno, { command: 'BPF_MAP_LOOKUP_BATCH', subject: target.subject })
      }
    }
  }

  #firstBatch(): BatchCalls {
    const { maxEntries, keepsPosition, subject } = this.#target
    if (!keepsPosition) this.#seen = new SeenKeys(subject, this.#keyBytes)
    const [keyBytes, valueBytes] = [this.#keyBytes, this.#valueBytes]
    return new BatchCalls(batchCapacity(maxEntries, keyBytes + valueBytes), keyBytes, valueBytes)
  }

  #walkByKey(): false {
    const { subject } = this.#target
    this.#keys ??= new KeyWalk(this.#keyBytes, subject)
    this.#seen ??= new SeenKeys(subject, this.#keyBytes)
    this.#last = true
    return false
  }

  #nextByKey(keys: KeyWalk): IteratorResult<T, undefined> {
    const target = this.#target
    this.#ahead ??= keys.next(target.fd)
    while (this.#ahead) {
      const isNew = this.#seen?.add(keys.view, keys.keyAt) !== false
      const key = target.key.read(keys.view, keys.keyAt)
      // One key ahead of what is given: a loop may delete what it is given, and would each time begin the walk again.
      this.#ahead = keys.next(target.fd)
      if (!isNew) continue
      const value = this.find(target, key, this.#flags)
      // Deleted between the two calls: then it is not there.
      if (value !== undefined) return { done: false, value }
    }
    this.return()
    return DONE
  }
}

Object.setPrototypeOf(Walk.prototype, IteratorPrototype)

const DONE: IteratorResult<never, undefined> = Object.freeze({ done: true, value: undefined })

class EntryIterator<K, V> extends Walk<K, V, [K, V]> {
  protected override read(target: WalkTarget<K, V>, view: DataView, keyAt: number, valueAt: number): [K, V] {
    return [target.key.read(view, keyAt), target.value.read(view, valueAt)]
  }

  protected override find(target: WalkTarget<K, V>, key: K, flags: number): [K, V] | undefined {
    const value = target.lookup(key, flags)
    return value === undefined ? undefined : [key, value]
  }
}

class KeyIterator<K, V> extends Walk<K, V, K> {
  protected override read(target: WalkTarget<K, V>, view: DataView, keyAt: number): K {
    return target.key.read(view, keyAt)
  }

  protected override find(target: WalkTarget<K, V>, key: K, flags: number): K | undefined {
    // Looked up all the same: an array of maps lists its empty slots too.
    return target.lookup(key, flags) === undefined ? undefined : key
  }
}

class ValueIterator<K, V> extends Walk<K, V, V> {
  protected override read(target: WalkTarget<K, V>, view: DataView, _keyAt: number, valueAt: number): V {
    return target.value.read(view, valueAt)
  }

  protected override find(target: WalkTarget<K, V>, key: K, flags: number): V | undefined {
    return target.lookup(key, flags)
  }
}

class CountingIterator<K, V> extends Walk<K, V, true> {
  protected override read(): true {
    return true
  }

  protected override find(target: WalkTarget<K, V>, key: K, flags: number): true | undefined {
    return target.lookup(key, flags) === undefined ? undefined : true
  }
}
