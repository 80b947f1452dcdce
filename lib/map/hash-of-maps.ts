import type { Codec } from '../codec'
import { checkKnownOptions, optionNames } from '../text/known-options'
import type { BpfMap } from './bpf-map'
import type { ContentOf } from './fillable'
import { flagsOf, type SetOptions } from './keyed-map'
import { type InnerChanges, type InnerContent, OuterMap } from './outer'
import { type OuterOpenOptions, type OuterOptions, outerSpec, verifyInner } from './outer-options'
import type { MapCore, MapSpec } from './spec'

/** What a HASH_OF_MAPS is made of. */
export interface HashOfMapsOptions<K, M extends BpfMap> extends OuterOptions<M> {
  readonly key: Codec<K>
}

/** What it takes to open one that exists. */
export interface HashOfMapsOpenOptions<K, M extends BpfMap> extends OuterOpenOptions<M> {
  readonly key: Codec<K>
}

/** How to install an inner map. */
export interface OuterSetOptions extends InnerChanges {
  /** 'create' refuses a key that is there (EEXIST), 'replace' one that is not (ENOENT). */
  readonly only?: SetOptions['only']
}

const TO_SET = optionNames<OuterSetOptions>({ only: true, name: true, maxEntries: true })

/** Hash table whose values are maps (BPF_MAP_TYPE_HASH_OF_MAPS, Linux 4.12). */
export class HashOfMaps<K, M extends BpfMap> extends OuterMap<K, M> {
  declare protected readonly family: 'HashOfMaps'

  private constructor(core: MapCore, options: HashOfMapsOpenOptions<K, M>) {
    super(core, { key: options.key }, options.inner, options.hold === true)
  }

  /** Describes an outer map without making it. */
  static spec<K, M extends BpfMap>(options: HashOfMapsOptions<K, M>): MapSpec<HashOfMaps<K, M>> {
    return HashOfMaps.#any(options)
  }

  /** Makes an outer map; the caller owns it. The template is made and closed within. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, M extends BpfMap>(options: HashOfMapsOptions<K, M>): HashOfMaps<K, M> {
    return HashOfMaps.#any(options).create()
  }

  /**
   * Opens one by id, and checks that its inner maps are like `inner`. Needs CAP_SYS_ADMIN.
   * Errors: ENOENT, EPERM; MapMismatchError.
   */
  static fromId<K, M extends BpfMap>(id: number, options: HashOfMapsOpenOptions<K, M>): HashOfMaps<K, M> {
    return HashOfMaps.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path, and checks that its inner maps are like `inner`. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, M extends BpfMap>(path: string, options: HashOfMapsOpenOptions<K, M>): HashOfMaps<K, M> {
    return HashOfMaps.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process, and checks that its inner maps are like `inner`. Errors: EBADFD; MapMismatchError. */
  static fromFd<K, M extends BpfMap>(fd: number, options: HashOfMapsOpenOptions<K, M>): HashOfMaps<K, M> {
    return HashOfMaps.#any(options).fromFd(fd)
  }

  static #any<K, M extends BpfMap>(
    options: HashOfMapsOpenOptions<K, M> & { readonly maxEntries?: number },
  ): MapSpec<HashOfMaps<K, M>> {
    return outerSpec(
      'HashOfMaps',
      'HASH_OF_MAPS',
      options?.key as Codec<unknown>,
      options,
      (core) => new HashOfMaps<K, M>(core, options),
      (map) => verifyInner(map.verifiable(), map.key.size, true),
    )
  }

  /**
   * Installs an inner map: one that you hold (you still own your handle), or the entries of a new one, which is made,
   * filled, installed and closed in one step. Programs see the old content or the new, never a half.
   * Each call waits for an RCU grace period, 8 to 9 ms up to Linux 6.18: `setMany` waits once, `setAsync` off the event loop.
   * Errors: MapMismatchError; E2BIG (full), EEXIST and ENOENT (`only`), EPERM (frozen, read-only).
   */
  set(key: K, content: InnerContent<M>, options?: OuterSetOptions): this
  // Once more for the compiler: of two forms it explains the last, and entries are where slips happen.
  set(key: K, entries: ContentOf<M>, options?: OuterSetOptions): this
  set(key: K, content: InnerContent<M>, options: OuterSetOptions = {}): this {
    checkKnownOptions(options, TO_SET)
    this.install(key, content, flagsOf(options), options)
    return this
  }

  /** `set` off the event loop. What is asked for while one write waits goes out together in the next call. */
  setAsync(key: K, content: InnerContent<M>, options?: OuterSetOptions): Promise<void>
  // Once more for the compiler: of two forms it explains the last, and entries are where slips happen.
  setAsync(key: K, entries: ContentOf<M>, options?: OuterSetOptions): Promise<void>
  async setAsync(key: K, content: InnerContent<M>, options: OuterSetOptions = {}): Promise<void> {
    checkKnownOptions(options, TO_SET)
    await this.installAsync(key, content, flagsOf(options), options)
  }
}
