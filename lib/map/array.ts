import { u32 } from '../codec'
import { ArrayTable } from './array-table'
import type { MapSpec } from './spec'
import { type AnySize, type ArrayCodec, type ArrayOptions, checkOptions, indexedSpec, withFlag } from './table-options'

/** What an ARRAY is made of. */
export interface ArrayMapOptions<V> extends ArrayOptions<V> {
  /**
   * As the inner map of an outer map: let the lengths of the inner maps differ (BPF_F_INNER_MAP, Linux 5.10).
   * The template and every inner map need it.
   */
  readonly dynamicSize?: boolean
}

/** Array whose elements all exist from the start, as zeros (BPF_MAP_TYPE_ARRAY, Linux 3.19). */
export class ArrayMap<V> extends ArrayTable<V> {
  declare protected readonly family: 'ArrayMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: ArrayMapOptions<V>): MapSpec<ArrayMap<V>> {
    return ArrayMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: ArrayMapOptions<V>): ArrayMap<V> {
    return ArrayMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: ArrayCodec<V>): ArrayMap<V> {
    return ArrayMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: ArrayCodec<V>): ArrayMap<V> {
    return ArrayMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: ArrayCodec<V>): ArrayMap<V> {
    return ArrayMap.#any(options).fromFd(fd)
  }

  /**
   * Where an element is in memory: put into code (`r1 = ${globals.at(0)} ll`), it gives a program the address without a
   * lookup. The kernel has addresses of arrays of one element alone, so the index is 0. Linux 5.2. Errors: RangeError.
   */
  at(index: number): { readonly map: ArrayMap<V>; readonly offset: number } {
    // array_map_direct_value_addr of kernel/bpf/arraymap.c
    if (this.maxEntries !== 1) {
      const { shape } = this.spec.family
      const way = `one element may hold them all, value: array(${shape}, ${this.maxEntries}); else bpf_map_lookup_elem`
      throw new RangeError(
        `the kernel gives addresses in arrays of one element, and this one has ${this.maxEntries}: ${way}`,
      )
    }
    if (index !== 0) throw new RangeError(`${String(index)} is past the end: the array has one element, 0`)
    return { map: this, offset: 0 }
  }

  static #any<V>(options: AnySize<ArrayMapOptions<V>>): MapSpec<ArrayMap<V>> {
    checkOptions('ArrayMap', options)
    const flagged = options.dynamicSize === true ? withFlag(options, 'INNER_MAP') : options
    return indexedSpec(
      'ArrayMap',
      'ARRAY',
      flagged,
      (core) => new ArrayMap<V>(core, { key: u32, value: options.value }),
    )
  }
}
