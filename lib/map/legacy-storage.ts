import { type Codec, struct, u32, u64 } from '../codec'
import { buildWith } from './build'
import { entryLine, summarize } from './inspect'
import { type GetOptions, getFlags, KeyedMap } from './keyed-map'
import { perCpuCodec } from './per-cpu'
import type { CreateOptions, MapCore, MapSpec, OpenOptions } from './spec'
import { checkOptions, tableSpec } from './table-options'

/** The key of a storage of its own for each attached program: struct bpf_cgroup_storage_key. */
export const cgroupStorageKey = struct({ cgroup: u64, attachType: u32 })

/** What a CGROUP_STORAGE is made of. The kernel makes an entry when a program that uses it is attached to a cgroup. */
export interface LegacyStorageOptions<K, V> extends CreateOptions {
  /** `cgroupStorageKey`, or `u64`, a cgroup's id, for one that all programs of a cgroup share (Linux 5.9). */
  readonly key: Codec<K>
  readonly value: Codec<V>
}

/** What it takes to open one that exists. */
export interface LegacyStorageOpen<K, V> extends OpenOptions {
  readonly key: Codec<K>
  readonly value: Codec<V>
}

/** Entries come with an attachment and go with the cgroup: user space reads them and overwrites their values. */
abstract class LegacyStorage<K, V> extends KeyedMap<K, V> {
  /** The value, or undefined where no program with this map was attached to the cgroup. */
  get(key: K, options?: GetOptions): V | undefined {
    return this.lookup(key, getFlags(options))
  }

  /** Whether there is an entry. */
  has(key: K): boolean {
    return this.exists(key)
  }

  /** Overwrites the value of an entry. Errors: ENOENT (no program with this map is attached to the cgroup). */
  set(key: K, value: V): this {
    this.store(key, value, 0)
    return this
  }

  /** How many entries there are: counted by reading the map. */
  get size(): number {
    return this.count()
  }

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

  /** The entries as they are now, as plain data. */
  snapshot(): Map<K, V> {
    return new Map(this.walk())
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
    if (code === 'ENOENT')
      return 'there is no such entry: the kernel makes one when a program with this map is attached'
    return super.hint(command, code)
  }
}

function legacySpec<M extends LegacyStorage<K, unknown>, K, V>(
  name: 'LegacyCgroupStorage' | 'LegacyPerCpuCgroupStorage',
  type: 'CGROUP_STORAGE' | 'PERCPU_CGROUP_STORAGE',
  options: LegacyStorageOptions<K, V>,
  wrap: (core: MapCore) => M,
): MapSpec<M> {
  return tableSpec(name, type, { ...options, maxEntries: 0 }, wrap, {
    build: buildWith((code) => {
      if (code === 'EINVAL') return 'the key must be cgroupStorageKey or, from Linux 5.9 on, u64'
      return code === 'E2BIG' ? 'the value is larger than a page' : undefined
    }),
  })
}

/**
 * Values of cgroups and the programs attached to them (BPF_MAP_TYPE_CGROUP_STORAGE, Linux 4.19; deprecated by the kernel
 * in favour of CGRP_STORAGE, which is `CgroupStorage`).
 */
export class LegacyCgroupStorage<K, V> extends LegacyStorage<K, V> {
  declare protected readonly family: 'LegacyCgroupStorage'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: LegacyStorageOptions<K, V>): MapSpec<LegacyCgroupStorage<K, V>> {
    return LegacyCgroupStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: LegacyStorageOptions<K, V>): LegacyCgroupStorage<K, V> {
    return LegacyCgroupStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: LegacyStorageOpen<K, V>): LegacyCgroupStorage<K, V> {
    return LegacyCgroupStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: LegacyStorageOpen<K, V>): LegacyCgroupStorage<K, V> {
    return LegacyCgroupStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: LegacyStorageOpen<K, V>): LegacyCgroupStorage<K, V> {
    return LegacyCgroupStorage.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: LegacyStorageOptions<K, V>): MapSpec<LegacyCgroupStorage<K, V>> {
    checkOptions('LegacyCgroupStorage', options)
    const wrap = (core: MapCore) => new LegacyCgroupStorage<K, V>(core, options)
    return legacySpec('LegacyCgroupStorage', 'CGROUP_STORAGE', options, wrap)
  }
}

/** The same with a value for each possible CPU (BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, Linux 4.20; deprecated). */
export class LegacyPerCpuCgroupStorage<K, V> extends LegacyStorage<K, V[]> {
  declare protected readonly family: 'LegacyPerCpuCgroupStorage'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: LegacyStorageOptions<K, V>): MapSpec<LegacyPerCpuCgroupStorage<K, V>> {
    return LegacyPerCpuCgroupStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: LegacyStorageOptions<K, V>): LegacyPerCpuCgroupStorage<K, V> {
    return LegacyPerCpuCgroupStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: LegacyStorageOpen<K, V>): LegacyPerCpuCgroupStorage<K, V> {
    return LegacyPerCpuCgroupStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: LegacyStorageOpen<K, V>): LegacyPerCpuCgroupStorage<K, V> {
    return LegacyPerCpuCgroupStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: LegacyStorageOpen<K, V>): LegacyPerCpuCgroupStorage<K, V> {
    return LegacyPerCpuCgroupStorage.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: LegacyStorageOptions<K, V>): MapSpec<LegacyPerCpuCgroupStorage<K, V>> {
    checkOptions('LegacyPerCpuCgroupStorage', options)
    const wrap = (core: MapCore) =>
      new LegacyPerCpuCgroupStorage<K, V>(core, { key: options.key, value: perCpuCodec(options.value) })
    return legacySpec('LegacyPerCpuCgroupStorage', 'PERCPU_CGROUP_STORAGE', options, wrap)
  }
}
