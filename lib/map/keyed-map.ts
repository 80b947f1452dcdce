import { ElementCalls } from '../../syscalls/element'
import { KernelError } from '../../syscalls/errno'
import { BPF_ANY, BPF_EXIST, BPF_F_LOCK, BPF_NOEXIST } from '../../syscalls/uapi-map'
import { type Codec, withPath } from '../codec'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { BpfMap } from './bpf-map'
import {
  type BulkTarget,
  checkEntries,
  checkEntry,
  checkKeys,
  clearBulk,
  counted,
  deleteBulk,
  updateBulk,
} from './bulk'
import { copiedBytes } from './per-cpu'
import type { MapCore } from './spec'
import { countEntries, type WalkTarget, walkEntries, walkKeys, walkValues } from './walk'

/** How to read an entry. */
export interface GetOptions {
  /** Read under the value's bpf_spin_lock (BPF_F_LOCK, Linux 5.1); the value needs one, by BTF. */
  readonly lock?: boolean
}

/** How to write an entry. */
export interface SetOptions {
  /**
   * 'create' refuses a key that is there (EEXIST, BPF_NOEXIST), 'replace' one that is not (ENOENT, BPF_EXIST).
   * Without it either is fine (BPF_ANY).
   */
  readonly only?: 'create' | 'replace' | undefined
  /** Write under the value's bpf_spin_lock (BPF_F_LOCK, Linux 5.1); the value needs one, by BTF. */
  readonly lock?: boolean | undefined
}

/** How keys and values of a map are written, and how many bytes of them the kernel copies. */
export interface Codecs<K, V> {
  readonly key: Codec<K>
  readonly value: Codec<V>
}

/** A map as walking and bulk writing see it. */
export type Target<K, V> = WalkTarget<K, V> & BulkTarget<K, V>

/**
 * A map whose entries are reached by key. The hot operations allocate nothing: attr, key and value were packed and
 * addressed once; a call writes the key's bytes and goes.
 */
export abstract class KeyedMap<K, V> extends BpfMap {
  protected readonly key: Codec<K>
  protected readonly value: Codec<V>
  #calls: ElementCalls | undefined
  /** Batch commands that this kernel has answered ENOTSUPP to: not tried again. */
  #noBatch: Set<string> | undefined

  protected constructor(core: MapCore, codecs: Codecs<K, V>) {
    super(core)
    checkRoom(core, codecs)
    this.key = codecs.key
    this.value = codecs.value
  }

  override close(): void {
    this.rest()
    super.close()
  }

  /** @internal Gives the prepared calls' memory back until the next operation: for maps that may not have one soon. */
  rest(): void {
    this.#calls?.close()
    this.#calls = undefined
  }

  /**
   * The prepared calls, for one operation: `state` is 1 until `leave`. A codec is code that may use this very map
   * in the middle of an operation; it is then given calls of its own.
   */
  #enter(): ElementCalls {
    const calls = this.#calls
    if (calls !== undefined && calls.state === 0) {
      calls.state = 1
      return calls
    }
    return this.#enterSlowly(calls)
  }

  #enterSlowly(calls: ElementCalls | undefined): ElementCalls {
    const fd = this.handle.fd // throws where it is closed
    const made = new ElementCalls(fd, this.key.size, this.value.size, this.subject)
    if (calls === undefined) this.#calls = made
    made.state = 1
    return made
  }

  /** After a codec has run: it may have closed this very map, and its fd may by now be something else's. */
  #stillOpen(): void {
    if (this.handle.closed) void this.handle.fd // throws
  }

  /** BPF_MAP_LOOKUP_ELEM. */
  protected lookup(key: K, flags: number): V | undefined {
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, key)
      this.#stillOpen()
      if (!calls.lookup(flags)) return undefined
      return this.value.read(calls.view, calls.valueAt)
    } finally {
      leave(calls)
    }
  }

  /** Whether there is an entry, without reading its value. */
  protected exists(key: K): boolean {
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, key)
      this.#stillOpen()
      return calls.lookup(0)
    } finally {
      leave(calls)
    }
  }

  /** BPF_MAP_LOOKUP_ELEM of a map without keys that is asked for a value: whether it has it. */
  protected holds(value: V): boolean {
    const calls = this.#enter()
    try {
      writeAs('value', this.value, calls.view, calls.valueAt, value)
      this.#stillOpen()
      return calls.lookup(0)
    } finally {
      leave(calls)
    }
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  protected take(key: K, flags: number): V | undefined {
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, key)
      this.#stillOpen()
      if (!calls.lookupAndDelete(flags)) return undefined
      return this.value.read(calls.view, calls.valueAt)
    } finally {
      leave(calls)
    }
  }

  /** BPF_MAP_UPDATE_ELEM. */
  protected store(key: K, value: V, flags: number): void {
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, key)
      writeAs('value', this.value, calls.view, calls.valueAt, value)
      this.#stillOpen()
      calls.update(flags)
    } finally {
      leave(calls)
    }
  }

  /** BPF_MAP_DELETE_ELEM. */
  protected remove(key: K): boolean {
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, key)
      this.#stillOpen()
      return calls.delete()
    } finally {
      leave(calls)
    }
  }

  /** The bytes of a key, as a text that two equal keys share. */
  protected keyText(key: K): string {
    return textOf(this.keyBytes(key))
  }

  /** The bytes of a key, as the kernel compares them. */
  protected keyBytes(key: K): Buffer {
    const bytes = Buffer.alloc(this.key.size)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    writeAs('key', this.key, view, 0, key)
    return bytes
  }

  /** BPF_MAP_UPDATE_ELEM under a key given as bytes, whose refusal is an answer: '' for success, else the code. */
  protected tryStoreBytes(key: Uint8Array, value: V, flags: number): string {
    const calls = this.#enter()
    try {
      new Uint8Array(calls.view.buffer, calls.keyAt, this.key.size).set(key)
      writeAs('value', this.value, calls.view, calls.valueAt, value)
      this.#stillOpen()
      return calls.tryUpdate(flags)
    } finally {
      leave(calls)
    }
  }

  /** `lookup` of a key given as bytes. */
  protected lookupBytes(key: Uint8Array): V | undefined {
    const calls = this.#enter()
    try {
      new Uint8Array(calls.view.buffer, calls.keyAt, this.key.size).set(key)
      return calls.lookup(0) ? this.value.read(calls.view, calls.valueAt) : undefined
    } finally {
      leave(calls)
    }
  }

  /** `exists` of a key given as bytes. */
  protected existsBytes(key: Uint8Array): boolean {
    const calls = this.#enter()
    try {
      new Uint8Array(calls.view.buffer, calls.keyAt, this.key.size).set(key)
      return calls.lookup(0)
    } finally {
      leave(calls)
    }
  }

  /** The same, and true also where that cannot be told: through a write-only handle, or one that is closed by now. */
  protected mayHave(key: Uint8Array): boolean {
    try {
      return this.closed || this.existsBytes(key)
    } catch (error) {
      if (error instanceof KernelError && error.code === 'EPERM') return true
      throw error
    }
  }

  /** All entries, batch by batch where the kernel can; see walk.ts. */
  protected walk(flags = 0): IterableIterator<[K, V]> {
    return walkEntries(this.target(), flags)
  }

  /** All keys; their values are not decoded. */
  protected walkKeys(): IterableIterator<K> {
    return walkKeys(this.target())
  }

  /** All values; their keys are not decoded. */
  protected walkValues(): IterableIterator<V> {
    return walkValues(this.target())
  }

  /** How many entries there are, counted up to `limit`. */
  protected count(limit = Number.POSITIVE_INFINITY): number {
    return countEntries(this.target(), limit)
  }

  /** Writes many entries, in as few calls as the kernel allows. */
  protected storeMany(entries: Iterable<readonly [K, V]>, flags: number): number {
    checkEntries(entries)
    // UPDATE_BATCH takes no condition (EINVAL); and the list for a small inner map is not worth what a batch needs.
    const short = Array.isArray(entries) && entries.length < this.few
    if (!short && (flags & (BPF_NOEXIST | BPF_EXIST)) === 0) return updateBulk(this.target(), entries, flags)
    // As in a batch: an entry that cannot be written is found before the first one is.
    if (short && entries.length > 1) for (const [i, entry] of entries.entries()) this.#tryEntry(entry, i)
    let done = 0
    for (const entry of entries as Iterable<readonly [K, V]>) {
      checkEntry(entry, done)
      counted(done, () => this.store(entry[0], entry[1], flags))
      done++
    }
    return done
  }

  /** Writes an entry to our own memory alone, for the sake of the errors. */
  #tryEntry(entry: readonly [K, V], number: number): void {
    checkEntry(entry, number)
    const calls = this.#enter()
    try {
      writeAs('key', this.key, calls.view, calls.keyAt, entry[0])
      writeAs('value', this.value, calls.view, calls.valueAt, entry[1])
    } catch (error) {
      throw withPath(number, error)
    } finally {
      leave(calls)
    }
  }

  /** Deletes many keys, in as few calls as the kernel allows; how many of them were there. */
  protected removeMany(keys: Iterable<K>): number {
    checkKeys(keys, 'deleteMany')
    return deleteBulk(this.target(), keys)
  }

  /** Deletes all entries that are there; how many there were. */
  protected removeAll(): number {
    return clearBulk(this.target(), () => this.removeMany(this.walkKeys()))
  }

  /** Whether each call that writes waits for an RCU grace period: outer maps. */
  protected get writesWait(): boolean {
    return false
  }

  /** Entries below which single calls cost less than the memory of a batch; two are worth one where each call waits. */
  private get few(): number {
    return this.writesWait ? 2 : 4
  }

  /** What walking and bulk writing need to know of this map. */
  protected target(): Target<K, V> {
    const map = this
    return {
      key: this.key,
      value: this.value,
      maxEntries: this.maxEntries,
      few: this.few,
      writesWait: this.writesWait,
      mayHave: (key) => map.mayHave(map.keyBytes(key)),
      keepsPosition: this.type !== 'LPM_TRIE',
      subject: this.subject,
      get fd() {
        return map.fd
      },
      lacks: (command) => map.#noBatch?.has(command) === true,
      setLacks(command) {
        map.#noBatch ??= new Set()
        map.#noBatch.add(command)
      },
      lookup: (key, flags) => map.lookup(key, flags),
      store: (key, value, flags) => map.store(key, value, flags),
      remove: (key) => map.remove(key),
    }
  }
}

/**
 * Codecs come from options, and those may have been changed since the spec was made of them. The kernel copies what the
 * map's sizes say: a smaller codec's buffers would be written past their end.
 */
function checkRoom<K, V>({ attributes, spec }: MapCore, { key, value }: Codecs<K, V>): void {
  if (key.size === attributes.keySize && value.size >= copiedBytes(attributes)) return
  throw new TypeError(
    `${spec.typeName} was described with a key of ${attributes.keySize} bytes and a value of ${attributes.valueSize}, and its codecs are others now: a spec needs options of its own`,
  )
}

function writeAs<T>(what: 'key' | 'value', codec: Codec<T>, view: DataView, offset: number, value: T): void {
  try {
    codec.write(view, offset, value)
  } catch (error) {
    throw withPath(what, error)
  }
}

/** Bytes as a text that equal bytes share. */
export function textOf(bytes: Buffer): string {
  return bytes.toString('latin1')
}

function leave(calls: ElementCalls): void {
  // Not where the map was closed meanwhile: closed stays closed.
  if (calls.state === 1) calls.state = 0
}

const TO_GET = optionNames<GetOptions>({ lock: true })
const TO_SET = optionNames<SetOptions>({ only: true, lock: true })

/** The flags of GetOptions. */
export function getFlags(options: GetOptions | undefined): number {
  if (options === undefined) return 0
  checkKnownOptions(options, TO_GET)
  return options.lock === true ? BPF_F_LOCK : 0
}

/** The flags of SetOptions. */
export function setFlags(options: SetOptions | undefined): number {
  if (options === undefined) return BPF_ANY
  checkKnownOptions(options, TO_SET)
  return flagsOf(options)
}

/** The flags of options that are known to be options. */
export function flagsOf({ only, lock }: SetOptions): number {
  const lockBit = lock === true ? BPF_F_LOCK : 0
  if (only === undefined) return BPF_ANY | lockBit
  if (only === 'create') return BPF_NOEXIST | lockBit
  if (only === 'replace') return BPF_EXIST | lockBit
  throw new TypeError(`only is 'create' or 'replace', not ${JSON.stringify(only)}`)
}

/** What EINVAL means for reads and writes of tables: the kernel has nothing else to object to but their flags. */
export function lockHint(command: string, code: string): string | undefined {
  if (code !== 'EINVAL' || !/LOOKUP|UPDATE/.test(command)) return undefined
  return 'lock: true needs a bpf_spin_lock in the value, told by BTF'
}
