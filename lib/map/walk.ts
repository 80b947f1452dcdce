import { type BatchAnswer, BatchCalls } from '../../syscalls/batch'
import { KeyWalk } from '../../syscalls/element'
import { type Subject, throwKernelError } from '../../syscalls/errno'
import type { Codec } from '../codec'

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

/** A walk that others made begin again too often without anything new. */
export class IterationError extends Error {
  override readonly name: string = 'IterationError'
  readonly code = 'ERR_EBPF_ITERATION'
}

export function* walkEntries<K, V>(target: WalkTarget<K, V>, flags: number): Generator<[K, V], void, undefined> {
  const seen = target.keepsPosition ? undefined : new SeenKeys(target)
  for (const { calls, count } of batches(target, flags)) {
    const { view, keysAt, valuesAt } = calls
    const { key, value } = target
    const [keyBytes, valueBytes] = [key.size, value.size]
    for (let i = 0; i < count; i++) {
      if (seen !== undefined && !seen.add(view, keysAt + i * keyBytes)) continue
      yield [key.read(view, keysAt + i * keyBytes), value.read(view, valuesAt + i * valueBytes)]
    }
  }
  if (!target.lacks('BPF_MAP_LOOKUP_BATCH')) return
  yield* walkByKey(target, flags, new SeenKeys(target))
}

export function countEntries<K, V>(target: WalkTarget<K, V>, limit: number): number {
  let count = 0
  if (target.keepsPosition) {
    for (const batch of batches(target, 0)) {
      count += batch.count
      if (count >= limit) return limit
    }
    if (!target.lacks('BPF_MAP_LOOKUP_BATCH')) return count
  }
  for (const _ of walkEntries(target, 0)) if (++count >= limit) return limit
  return count
}

/** The map's batches, each in the same block of memory; ends at once, and says so, where the kernel has no such command. */
function* batches<K, V>(target: WalkTarget<K, V>, flags: number): Generator<{ calls: BatchCalls; count: number }> {
  if (target.lacks('BPF_MAP_LOOKUP_BATCH')) return
  const [keyBytes, valueBytes] = [target.key.size, target.value.size]
  let calls = new BatchCalls(batchCapacity(target.maxEntries, keyBytes + valueBytes), keyBytes, valueBytes)
  for (;;) {
    const answer: BatchAnswer = calls.lookup(target.fd, flags)
    if (answer.code === '' || answer.code === 'ENOENT') {
      if (answer.count > 0) yield { calls, count: answer.count }
      if (answer.code === 'ENOENT') return
    } else if (answer.code === 'ENOSPC' && calls.capacity < target.maxEntries) {
      // A bucket holds more entries than there is room for.
      calls = calls.larger(Math.min(calls.capacity * 4, target.maxEntries))
    } else if (answer.code === 'ENOTSUPP') {
      target.setLacks('BPF_MAP_LOOKUP_BATCH')
      return
    } else {
      throwKernelError(answer.errno, { command: 'BPF_MAP_LOOKUP_BATCH', subject: target.subject })
    }
  }
}

function* walkByKey<K, V>(target: WalkTarget<K, V>, flags: number, seen: SeenKeys<K, V>): Generator<[K, V], void> {
  const walk = new KeyWalk(target.key.size, target.subject)
  while (walk.next(target.fd)) {
    if (!seen.add(walk.view, walk.keyAt)) continue
    const key = target.key.read(walk.view, walk.keyAt)
    const value = target.lookup(key, flags)
    // Deleted between the two calls: then it is not there.
    if (value !== undefined) yield [key, value]
  }
}

/** Times that a walk may pass over all it has given already before it gives up. */
const MAX_RESTARTS = 64

/** The keys that a walk has given, so that beginning again gives none twice; and the bound on beginning again. */
class SeenKeys<K, V> {
  readonly #seen = new Set<string>()
  readonly #target: WalkTarget<K, V>
  /** Keys passed over since the last new one. */
  #fruitless = 0

  constructor(target: WalkTarget<K, V>) {
    this.#target = target
  }

  /** Whether the key at this place is new. */
  add(view: DataView, offset: number): boolean {
    const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + offset, this.#target.key.size)
    const before = this.#seen.size
    this.#seen.add(bytes.toString('latin1'))
    if (this.#seen.size > before) {
      this.#fruitless = 0
      return true
    }
    if (++this.#fruitless > MAX_RESTARTS * (before + 16)) {
      throw new IterationError(
        `${this.#target.subject.description}: others delete keys so fast that the walk began again ${MAX_RESTARTS} times without a new one`,
      )
    }
    return false
  }
}
