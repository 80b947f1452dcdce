import { types } from 'node:util'
import { KernelError } from '../../syscalls/errno'
import { BPF_ANY } from '../../syscalls/uapi-map'
import { u32, withPath } from '../codec'
import { BpfMap } from './bpf-map'
import { checkEntries, checkKeys, updateBulk } from './bulk'
import { SharedTypes } from './content'
import type { ContentOf } from './fillable'
import { HeldMaps } from './held'
import { attributesById, checkContent, createFilled, duplicateInner, openInner } from './inner'
import { brief, summarize } from './inspect'
import { type Codecs, KeyedMap, textOf } from './keyed-map'
import { innerMismatch } from './mismatch'
import { outerHint } from './outer-hint'
import type { Verifiable } from './outer-options'
import { OuterWrites } from './outer-writes'
import { type SnapshotOf, snapshotOf } from './snapshot'
import { checkChanges, type MapAttributes, type MapCore, type MapSpec } from './spec'

/** An inner map to install: one that exists, which stays the caller's, or the entries of one to be made. */
export type InnerContent<M extends BpfMap> = M | ContentOf<M>

/** How to make the inner map of a `set` with entries. */
export interface InnerChanges {
  /** Name of the new inner map; the template's where not given. */
  readonly name?: string
  /** Size of the new inner map; the template's where not given. Arrays need `dynamicSize: true` in the template. */
  readonly maxEntries?: number
}

/** Times that a look-up is made again because the entry was replaced between reading its id and opening it. */
const MAX_RACES = 64

/**
 * A map of maps. The kernel is asymmetric, and this class is not: maps and entries go in, maps and entries come out; the
 * fds, ids and grace periods in between are its business.
 */
export abstract class OuterMap<K, M extends BpfMap> extends KeyedMap<K, number> {
  /** What every inner map looks like; `createInner()` and `set` with entries make maps of it. */
  readonly template: MapSpec<M>
  readonly #held: HeldMaps<M> | undefined
  /** BTF for the inner maps that are made here. */
  #types: SharedTypes | undefined
  #writes: OuterWrites<K, M> | undefined

  protected constructor(core: MapCore, codecs: Omit<Codecs<K, number>, 'value'>, template: MapSpec<M>, hold: boolean) {
    super(core, { key: codecs.key, value: u32 })
    this.template = template
    this.#held = hold ? new HeldMaps() : undefined
    // Of one that was opened it is not certain yet that it is what it is taken for: verifyInner.
    if (core.attributes.id === undefined) this.#keepTypes()
  }

  #keepTypes(): void {
    const { attributes, family } = this.template
    const { content } = family
    // Who says the types has the BTF too.
    if (content !== undefined && attributes.btf === undefined)
      this.#types = new SharedTypes(content, `the BTF for inner maps of ${this.handle.what}`)
  }

  override close(): void {
    this.#held?.close()
    this.#types?.close()
    super.close()
  }

  /** An inner map that is certain to fit. The caller owns it; installing it does not change that. */
  createInner(changes: InnerChanges = {}): M {
    // ClosedError: the BTF of inner maps ends with the outer map, or with the object that it came of.
    void this.fd
    checkChanges(changes)
    return this.template.createWith(this.#types, changes)
  }

  protected override get writesWait(): boolean {
    return true
  }

  /** BPF_MAP_UPDATE_ELEM of one entry; the kernel waits for an RCU grace period (8 to 9 ms up to Linux 6.18). */
  protected install(key: K, content: InnerContent<M>, flags: number, changes: InnerChanges): void {
    const { inner, own } = this.#prepare(content, changes)
    let held = false
    try {
      this.store(key, inner.fd, flags)
      held = this.#hold(key, own)
    } catch (error) {
      throw this.#explain(error, inner)
    } finally {
      if (!held) own?.close()
    }
  }

  /**
   * The map to install, and what of it is ours to close or to hold: a given one once it is certain to fit, else a new
   * one, filled before anybody can see it.
   */
  #prepare(content: InnerContent<M>, changes: InnerChanges): { inner: M; own: M | undefined } {
    void this.fd
    if (content instanceof BpfMap) {
      const mismatch = innerMismatch(this.template.attributes, content.attributes)
      if (mismatch !== undefined) throw mismatch
      const inner = content as M
      return { inner, own: this.#held === undefined ? undefined : duplicateInner(this.template, inner) }
    }
    checkContent(this.template, content)
    const inner = createFilled(this.template, content, changes, this.#types)
    return { inner, own: inner }
  }

  /** Keeps what was installed, where that was asked for; whether it was taken over. */
  #hold(key: K, own: M | undefined): boolean {
    if (this.#held === undefined || own === undefined) return false
    this.#held.put(this.keyText(key), own)
    return true
  }

  /** The same of what an asynchronous write has installed, unless another write through this object has replaced it. */
  #holdLate(key: Buffer, own: M | undefined): boolean {
    if (this.#held === undefined || own === undefined) return false
    return this.#held.putLate(textOf(key), own, () => this.#idAt(key))
  }

  /** The id under a key's bytes; undefined also where this handle may not read. */
  #idAt(key: Buffer): number | undefined {
    try {
      return this.lookupBytes(key)
    } catch (error) {
      if (error instanceof KernelError && error.code === 'EPERM') return undefined
      throw error
    }
  }

  /** EINVAL from an update means a misfit that our own comparison lets pass: this kernel compares more. */
  #explain(error: unknown, inner: BpfMap): unknown {
    if (!(error instanceof KernelError) || error.code !== 'EINVAL') return error
    const [wanted, is] = [this.template.attributes.maxEntries, inner.attributes.maxEntries]
    const size = wanted === is ? '' : `; its maxEntries is ${is}, the template's ${wanted}`
    return error.withHint(`this kernel does not take ${inner.description} for like the outer map's template${size}`)
  }

  /** The id under a key, which is what the kernel really stores; undefined where there is none. */
  idOf(key: K): number | undefined {
    return this.lookup(key, 0)
  }

  /** @deprecated An inner map is a handle that wants closing: `use(key, run)`, `open(key)` or `snapshot()`. */
  get(_key: never): never {
    throw new TypeError('an inner map is a handle that wants closing: use(key, run), open(key) or snapshot()')
  }

  /** Whether there is an inner map under this key. */
  has(key: K): boolean {
    return this.exists(key)
  }

  /**
   * The inner map under a key, the caller's to close; undefined where there is none. Opening by id needs CAP_SYS_ADMIN,
   * but for what `hold: true` has kept. Errors: EPERM.
   */
  open(key: K): M | undefined {
    for (let races = 0; races < MAX_RACES; races++) {
      const id = this.lookup(key, 0)
      if (id === undefined) {
        this.#held?.drop(this.keyText(key))
        return undefined
      }
      const inner = this.#openId(key, id)
      if (inner !== undefined) return inner
    }
    throw new Error(
      `${this.description}: the entry ${brief(key)} was replaced ${MAX_RACES} times, each time between reading its id and opening it`,
    )
  }

  #openId(key: K, id: number): M | undefined {
    const held = this.#held?.get(this.keyText(key), id)
    return held === undefined ? openInner(this.template, id, this.subject) : duplicateInner(this.template, held, id)
  }

  /**
   * Runs a function on the inner map under a key and closes the map after it, after the promise where it returns one;
   * undefined where there is none. Errors: EPERM, as `open`.
   */
  use<R>(key: K, run: (inner: M) => R): R | undefined {
    if (typeof run !== 'function') {
      throw new TypeError('use(key, run) takes a function, which is given the inner map; open(key) gives it to you')
    }
    const inner = this.open(key)
    if (inner === undefined) return undefined
    inner.handle.lent = 'use() closes it when its function is done; open(key) gives one to keep'
    let pending = false
    try {
      const result = run(inner)
      // Not instanceof: what is typed at a prompt, or runs in a context of its own, has another Promise.
      if (types.isPromise(result)) {
        pending = true
        return result.finally(() => inner.close()) as R
      }
      return result
    } finally {
      if (!pending) inner.close()
    }
  }

  /** Deletes an entry: whether there was one. Its inner map goes with its last reference. Waits as `set` does. */
  delete(key: K): boolean {
    const was = this.remove(key)
    this.#held?.drop(this.keyText(key))
    return was
  }

  /** Deletes many keys in one call where the kernel can (HASH_OF_MAPS; not in Linux 5.10, there in 6.1): how many of them were there. */
  deleteMany(keys: Iterable<K>): number {
    checkKeys(keys, 'deleteMany')
    const list = [...keys]
    const bytes = this.#held === undefined ? [] : this.#bytesOf(list)
    try {
      return this.removeMany(list)
    } finally {
      this.#dropAbsent(bytes)
    }
  }

  /** Deletes every entry that is there; returns how many. */
  clear(): number {
    return this.deleteMany(this.keys())
  }

  /** After a delete that may have failed half-way: what is no longer there need not be held. */
  #dropAbsent(keys: readonly Buffer[]): void {
    if (this.#held === undefined) return
    for (const key of keys) if (this.closed || !this.mayHave(key)) this.#held.drop(textOf(key))
  }

  /** The bytes of many keys as they are now. */
  #bytesOf(keys: Iterable<K>): Buffer[] {
    return Array.from(keys, (key, i) => {
      try {
        return this.keyBytes(key)
      } catch (error) {
        throw withPath(i, error)
      }
    })
  }

  /**
   * Installs many in one call, and so in one wait for RCU (not in Linux 5.10, which writes one by one; there in 6.1). Every new inner map is made and
   * filled before the first is installed; a KernelError's `done` says how many were installed before it.
   * Returns how many there were.
   */
  setMany(entries: Iterable<readonly [K, InnerContent<M>]>): number {
    checkEntries(entries)
    return this.#writer().setMany(entries, (installs) => {
      const pairs = installs.map(({ key, inner }): [K, number] => [key, inner.fd])
      return updateBulk(this.target(), pairs, BPF_ANY)
    })
  }

  /** `delete` off the event loop. Deletes asked for while one waits go out together in the next call. */
  async deleteAsync(key: K): Promise<boolean> {
    return (await this.#deleteAsync([this.keyBytes(key)])) === 1
  }

  /** `deleteMany` off the event loop: how many of the keys were there. */
  async deleteManyAsync(keys: Iterable<K>): Promise<number> {
    checkKeys(keys, 'deleteManyAsync')
    return this.#deleteAsync(this.#bytesOf(keys))
  }

  async #deleteAsync(keys: readonly Buffer[]): Promise<number> {
    try {
      return await this.#writer().deleteAsync(keys)
    } finally {
      if (!this.closed) this.#dropAbsent(keys)
    }
  }

  /** `setMany` off the event loop. The inner maps are made and filled before it returns. */
  async setManyAsync(entries: Iterable<readonly [K, InnerContent<M>]>): Promise<number> {
    checkEntries(entries, 'setManyAsync')
    return this.#writer().setAsync([...entries], BPF_ANY, {}, true)
  }

  protected async installAsync(key: K, content: InnerContent<M>, flags: number, changes: InnerChanges): Promise<void> {
    await this.#writer().setAsync([[key, content]], flags, changes, false)
  }

  #writer(): OuterWrites<K, M> {
    this.#writes ??= new OuterWrites<K, M>({
      handle: this.handle,
      keyBytes: this.key.size,
      subject: this.subject,
      target: this.target(),
      encode: (key) => this.keyBytes(key),
      mayHave: (key) => this.mayHave(key),
      prepare: (content, changes) => this.#prepare(content, changes),
      hold: (key, own) => this.#hold(key, own),
      holdLate: (key, own) => this.#holdLate(key, own),
      begin: () => this.#held?.begin(),
      end: () => this.#held?.end(),
      explain: (error, inner) => this.#explain(error, inner),
    })
    return this.#writes
  }

  /** @internal What checking an opened outer map against its spec needs. */
  verifiable(): Verifiable<M> {
    return {
      description: this.description,
      template: this.template,
      firstInner: () => this.#firstInner(),
      tryUpdate: (key, inner, flags) => this.tryStoreBytes(key, inner.fd, flags),
      existsBytes: (key) => this.existsBytes(key),
      verified: () => this.#keepTypes(),
    }
  }

  #firstInner(): MapAttributes | 'none' | 'unreadable' {
    try {
      for (const [, id] of this.walk()) {
        const attributes = attributesById(id, this.subject)
        if (attributes !== undefined) return attributes
      }
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'EPERM') throw error
      // Without CAP_SYS_ADMIN no inner map can be opened; through a write-only handle not even the ids are told.
      if (error.command !== 'BPF_MAP_GET_FD_BY_ID') return 'unreadable'
    }
    return 'none'
  }

  /** How many entries there are: counted by reading the map, as the kernel keeps no count. */
  get size(): number {
    return this.count()
  }

  /** Keys and the ids under them: cheap, and nothing to close. Empty slots of an array are passed over. */
  entries(): IterableIterator<[K, number]> {
    return this.walk()
  }

  keys(): IterableIterator<K> {
    return this.walkKeys()
  }

  [Symbol.iterator](): IterableIterator<[K, number]> {
    return this.walk()
  }

  /**
   * Keys and the inner maps under them, each closed when its step ends: `open(key)` gives one to keep. An entry that is
   * replaced meanwhile is given as it then is; one that vanishes is passed over. Errors: EPERM, as `open`.
   */
  *inners(): IterableIterator<[K, M]> {
    for (const [key, id] of this.walk()) {
      const inner = this.#openId(key, id) ?? this.open(key)
      if (inner === undefined) continue
      inner.handle.lent = 'inners() closes it when its step ends; open(key) gives one to keep'
      try {
        yield [key, inner]
      } finally {
        inner.close()
      }
    }
  }

  /** The whole tree as plain data: a Map from key to the inner map's own snapshot. Errors: EPERM, as `open`. */
  snapshot(): Map<K, SnapshotOf<M>> {
    const tree = new Map<K, SnapshotOf<M>>()
    for (const [key, inner] of this.inners()) tree.set(key, snapshotOf(inner))
    return tree
  }

  protected override inspectEntries(few: number) {
    return summarize(
      few,
      (limit) => this.count(limit),
      () => this.walk(),
      ([key, id]) => `${brief(key)} → ${this.#headlineOf(key, id)}`,
    )
  }

  /** The inner map in a line, as far as it may be opened. */
  #headlineOf(key: K, id: number): string {
    try {
      using inner = this.#openId(key, id)
      if (inner !== undefined) return inner.headline
    } catch (error) {
      // Without CAP_SYS_ADMIN its id is all that can be told.
      if (!(error instanceof KernelError)) throw error
    }
    return `${this.template.family.name}#${id}`
  }

  protected override hint(command: string, code: string): string | undefined {
    return outerHint(this, command, code) ?? super.hint(command, code)
  }
}
