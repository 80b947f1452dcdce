import { u32 } from '../codec'
import { ArrayTable } from './array-table'
import { perCpuCodec, type Sum, sumValues } from './per-cpu'
import type { MapSpec } from './spec'
import { TakingTable } from './table'
import {
  type AnySize,
  type ArrayCodec,
  type ArrayOptions,
  checkOptions,
  indexedSpec,
  type TableCodecs,
  type TableOptions,
  tableSpec,
} from './table-options'

/** A hash whose every value is a list: one value for each possible CPU, in the order of their numbers. */
abstract class PerCpuTable<K, V> extends TakingTable<K, V[]> {
  /** The values of all CPUs added up: numbers and bigints, or the fields of structs; undefined where there is no such key. */
  sum(key: K): Sum<V> | undefined {
    const values = this.get(key)
    return values === undefined ? undefined : sumValues(values)
  }
}

/** Hash table with a value of its own for each possible CPU (BPF_MAP_TYPE_PERCPU_HASH, Linux 4.6). */
export class PerCpuHashMap<K, V> extends PerCpuTable<K, V> {
  declare protected readonly family: 'PerCpuHashMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: TableOptions<K, V>): MapSpec<PerCpuHashMap<K, V>> {
    return PerCpuHashMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: TableOptions<K, V>): PerCpuHashMap<K, V> {
    return PerCpuHashMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: TableCodecs<K, V>): PerCpuHashMap<K, V> {
    return PerCpuHashMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: TableCodecs<K, V>): PerCpuHashMap<K, V> {
    return PerCpuHashMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: TableCodecs<K, V>): PerCpuHashMap<K, V> {
    return PerCpuHashMap.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: AnySize<TableOptions<K, V>>): MapSpec<PerCpuHashMap<K, V>> {
    checkOptions('PerCpuHashMap', options)
    return tableSpec(
      'PerCpuHashMap',
      'PERCPU_HASH',
      options,
      (core) => new PerCpuHashMap<K, V>(core, perCpuCodecs(options)),
    )
  }
}

/** The same, dropping entries used least recently (BPF_MAP_TYPE_LRU_PERCPU_HASH, Linux 4.10). */
export class LruPerCpuHashMap<K, V> extends PerCpuTable<K, V> {
  declare protected readonly family: 'LruPerCpuHashMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: TableOptions<K, V>): MapSpec<LruPerCpuHashMap<K, V>> {
    return LruPerCpuHashMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: TableOptions<K, V>): LruPerCpuHashMap<K, V> {
    return LruPerCpuHashMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: TableCodecs<K, V>): LruPerCpuHashMap<K, V> {
    return LruPerCpuHashMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: TableCodecs<K, V>): LruPerCpuHashMap<K, V> {
    return LruPerCpuHashMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: TableCodecs<K, V>): LruPerCpuHashMap<K, V> {
    return LruPerCpuHashMap.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: AnySize<TableOptions<K, V>>): MapSpec<LruPerCpuHashMap<K, V>> {
    checkOptions('LruPerCpuHashMap', options)
    return tableSpec(
      'LruPerCpuHashMap',
      'LRU_PERCPU_HASH',
      options,
      (core) => new LruPerCpuHashMap<K, V>(core, perCpuCodecs(options)),
    )
  }
}

/**
 * Array with an element of its own for each possible CPU (BPF_MAP_TYPE_PERCPU_ARRAY, Linux 4.6). Its values are bytes: an fd
 * written to it is stored as a number. For an inner map on each CPU there is `perCpuMaps`.
 */
export class PerCpuArrayMap<V> extends ArrayTable<V[]> {
  declare protected readonly family: 'PerCpuArrayMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: ArrayOptions<V>): MapSpec<PerCpuArrayMap<V>> {
    return PerCpuArrayMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: ArrayOptions<V>): PerCpuArrayMap<V> {
    return PerCpuArrayMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: ArrayCodec<V>): PerCpuArrayMap<V> {
    return PerCpuArrayMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: ArrayCodec<V>): PerCpuArrayMap<V> {
    return PerCpuArrayMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: ArrayCodec<V>): PerCpuArrayMap<V> {
    return PerCpuArrayMap.#any(options).fromFd(fd)
  }

  static #any<V>(options: AnySize<ArrayOptions<V>>): MapSpec<PerCpuArrayMap<V>> {
    checkOptions('PerCpuArrayMap', options)
    return indexedSpec(
      'PerCpuArrayMap',
      'PERCPU_ARRAY',
      options,
      (core) => new PerCpuArrayMap<V>(core, { key: u32, value: perCpuCodec(options.value) }),
    )
  }

  /** The elements of all CPUs added up: numbers and bigints, or the fields of structs; undefined past the end. */
  sum(index: number): Sum<V> | undefined {
    const values = this.get(index)
    return values === undefined ? undefined : sumValues(values)
  }
}

function perCpuCodecs<K, V>({ key, value }: TableCodecs<K, V>) {
  return { key, value: perCpuCodec(value) }
}
