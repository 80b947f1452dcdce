import { BatchCalls } from '../../syscalls/batch'
import { KernelError, type Subject, throwKernelError } from '../../syscalls/errno'
import { type Codec, withPath } from '../codec'
import { given } from '../text/given'
import { batchCapacity, type WalkTarget } from './walk'

/** Writing and deleting many entries: batch commands, and one by one where the kernel has none. */
export interface BulkTarget<K, V> {
  readonly key: Codec<K>
  readonly value: Codec<V>
  readonly subject: Subject
  readonly fd: number
  /** Below this, single calls cost less than the memory of a batch. */
  readonly few: number
  /**
   * Whether each call that writes waits for an RCU grace period, and so also each one that ends at a key which is not
   * there: the others of that kind are then looked for first.
   */
  readonly writesWait: boolean
  lacks(command: string): boolean
  setLacks(command: string): void
  /** Whether there is such a key; true where that cannot be told. */
  mayHave(key: K): boolean
  store(key: K, value: V, flags: number): void
  remove(key: K): boolean
}

/** Writes the entries; an error's `done` says how many were written before it, if any. Returns how many there were. */
export function updateBulk<K, V>(target: BulkTarget<K, V>, entries: Iterable<readonly [K, V]>, flags: number): number {
  const command = 'BPF_MAP_UPDATE_BATCH'
  let done = 0
  for (const chunk of chunks(entries, chunkSize(target))) {
    if (chunk.length < target.few || target.lacks(command)) {
      done += storeEach(target, chunk, flags, done)
      continue
    }
    const calls = new BatchCalls(chunk.length, target.key.size, target.value.size)
    withDone(done, () => {
      for (const [i, entry] of chunk.entries()) writeEntry(target, calls, i, entry, done + i)
    })
    const answer = calls.update(target.fd, chunk.length, flags)
    if (answer.code === 'ENOTSUPP') {
      target.setLacks(command)
      done += storeEach(target, chunk, flags, done)
    } else if (answer.code !== '') {
      throwKernelError(answer.errno, { command, subject: target.subject, done: done + answer.count })
    } else {
      done += chunk.length
    }
  }
  return done
}

/** Deletes the keys; returns how many of them were there. */
export function deleteBulk<K, V>(target: BulkTarget<K, V>, keys: Iterable<K>): number {
  const command = 'BPF_MAP_DELETE_BATCH'
  let there = 0
  let passed = 0
  for (const chunk of chunks(keys, chunkSize(target))) {
    if (chunk.length < target.few || target.lacks(command)) {
      there += removeEach(target, chunk, passed)
      passed += chunk.length
      continue
    }
    const calls = new BatchCalls(chunk.length, target.key.size, 0)
    for (const [i, key] of chunk.entries()) writeKey(target, calls, i, key, passed + i)
    let from = 0
    while (from < chunk.length) {
      const answer = calls.delete(target.fd, chunk.length - from, from)
      if (answer.code === 'ENOTSUPP') {
        target.setLacks(command)
        there += removeEach(target, chunk.slice(from), passed + from)
        break
      }
      there += answer.count
      from += answer.count
      if (answer.code === '') break
      if (answer.code !== 'ENOENT') {
        throwKernelError(answer.errno, { command, subject: target.subject, done: passed + from })
      }
      // The command ends at the first key that is not there: on behind it.
      from++
      if (target.writesWait) {
        there += deletePresent(target, chunk.slice(from), passed + from)
        break
      }
    }
    passed += chunk.length
  }
  return there
}

/** Those of the keys that are there; `before` keys came in front of them. */
function deletePresent<K, V>(target: BulkTarget<K, V>, keys: readonly K[], before: number): number {
  const present = keys.filter((key) => target.mayHave(key))
  try {
    return deleteBulk(target, present)
  } catch (error) {
    // The absent ones are dealt with.
    const passed = before + keys.length - present.length
    throw error instanceof KernelError ? error.withDone(passed + (error.done ?? 0)) : error
  }
}

/**
 * Empties a map: a batch at a time is read and deleted in one call, the others by their keys. What is read is not looked
 * at. Deleting key after key from the front would be quadratic: each search for the first key passes the empty buckets.
 */
export function clearBulk<K, V>(target: WalkTarget<K, V>, byKey: () => number): number {
  const command = 'BPF_MAP_LOOKUP_AND_DELETE_BATCH'
  if (target.lacks(command)) return byKey()
  const [keyBytes, valueBytes] = [target.key.size, target.value.size]
  let calls = new BatchCalls(batchCapacity(target.maxEntries, keyBytes + valueBytes), keyBytes, valueBytes)
  let cleared = 0
  for (;;) {
    const answer = calls.lookupAndDelete(target.fd, 0)
    cleared += answer.count
    if (answer.code === 'ENOENT') return cleared
    if (answer.code === 'ENOTSUPP') {
      target.setLacks(command)
      return cleared + byKey()
    }
    if (answer.code === 'ENOSPC' && calls.capacity < target.maxEntries) {
      // A bucket holds more entries than there is room for.
      calls = calls.larger(Math.min(calls.capacity * 4, target.maxEntries))
    } else if (answer.code !== '') {
      throwKernelError(answer.errno, { command, subject: target.subject, done: cleared })
    }
  }
}

function chunkSize<K, V>({ key, value }: BulkTarget<K, V>): number {
  return batchCapacity(Number.MAX_SAFE_INTEGER, key.size + value.size)
}

function storeEach<K, V>(
  target: BulkTarget<K, V>,
  entries: readonly (readonly [K, V])[],
  flags: number,
  before: number,
): number {
  for (const [i, entry] of entries.entries()) {
    checkEntry(entry, before + i)
    counted(before + i, () => target.store(entry[0], entry[1], flags))
  }
  return entries.length
}

function removeEach<K, V>(target: BulkTarget<K, V>, keys: readonly K[], before: number): number {
  let there = 0
  for (const [i, key] of keys.entries()) {
    counted(before + i, () => {
      if (target.remove(key)) there++
    })
  }
  return there
}

/** Runs one of many steps; its failure says how many came before it. */
export function counted(done: number, step: () => void): void {
  try {
    step()
  } catch (error) {
    throw error instanceof KernelError ? error.withDone(done) : withPath(done, error)
  }
}

/** Runs a step whose errors are not the kernel's; they say, too, how many entries were written before. */
function withDone(done: number, step: () => void): void {
  try {
    step()
  } catch (error) {
    if (done > 0 && error instanceof Error) Reflect.set(error, 'done', done)
    throw error
  }
}

function writeEntry<K, V>(
  target: BulkTarget<K, V>,
  calls: BatchCalls,
  i: number,
  entry: readonly [K, V],
  number: number,
): void {
  checkEntry(entry, number)
  writeKey(target, calls, i, entry[0], number)
  try {
    target.value.write(calls.view, calls.valuesAt + i * target.value.size, entry[1])
  } catch (error) {
    throw withPath(number, withPath('value', error))
  }
}

function writeKey<K, V>(target: BulkTarget<K, V>, calls: BatchCalls, i: number, key: K, number: number): void {
  try {
    target.key.write(calls.view, calls.keysAt + i * target.key.size, key)
  } catch (error) {
    throw withPath(number, withPath('key', error))
  }
}

/** A flat list of values is the likely slip, and would otherwise end as "undefined is not a value". */
export function checkEntry(entry: unknown, number: number): asserts entry is readonly [unknown, unknown] {
  if (Array.isArray(entry) && entry.length === 2) return
  const what = typeof entry === 'object' || entry === undefined ? '' : ` a ${typeof entry},`
  throw new TypeError(
    `entry ${number} is ${given(entry)},${what} not a pair [key, value] (of a plain list: list.entries())`,
  )
}

/** Refuses what is no list of entries, by the form that it must have: an object of them is the likely slip. */
export function checkEntries(entries: unknown, method = 'setMany'): void {
  if (isIterable(entries)) return
  throw new TypeError(`${method} takes [key, value] pairs, as a list or a Map, not ${given(entries)}`)
}

/** The same of keys. */
export function checkKeys(keys: unknown, method: string): void {
  if (!isIterable(keys)) throw new TypeError(`${method} takes a list of keys, not ${given(keys)}`)
}

/** The same of values. */
export function checkValues(values: unknown, method: string): void {
  if (!isIterable(values)) throw new TypeError(`${method} takes a list of values, not ${given(values)}`)
}

function isIterable(x: unknown): boolean {
  return x !== null && x !== undefined && typeof (x as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function'
}

/** Lists of at most `size` items. */
export function* chunks<T>(items: Iterable<T>, size: number): Generator<T[]> {
  if (Array.isArray(items) && items.length <= size) {
    if (items.length > 0) yield items
    return
  }
  let chunk: T[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length === size) {
      yield chunk
      chunk = []
    }
  }
  if (chunk.length > 0) yield chunk
}
