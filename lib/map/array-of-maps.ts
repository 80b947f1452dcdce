import { BPF_ANY } from '../../syscalls/uapi-map'
import { type Codec, u32 } from '../codec'
import { checkKnownOptions, optionNames } from '../text/known-options'
import type { BpfMap } from './bpf-map'
import type { ContentOf } from './fillable'
import { type InnerChanges, type InnerContent, OuterMap } from './outer'
import { type OuterOpenOptions, type OuterOptions, outerSpec, verifyInner } from './outer-options'
import type { MapCore, MapSpec } from './spec'

/** What an ARRAY_OF_MAPS is made of. */
export type ArrayOfMapsOptions<M extends BpfMap> = OuterOptions<M>

/** What it takes to open one that exists. */
export type ArrayOfMapsOpenOptions<M extends BpfMap> = OuterOpenOptions<M>

/** Array whose elements are maps, or empty (BPF_MAP_TYPE_ARRAY_OF_MAPS, Linux 4.12). */
export class ArrayOfMaps<M extends BpfMap> extends OuterMap<number, M> {
  declare protected readonly family: 'ArrayOfMaps'

  protected constructor(core: MapCore, options: ArrayOfMapsOpenOptions<M>) {
    super(core, { key: u32 }, options.inner, options.hold === true)
  }

  /** Describes an outer map without making it. */
  static spec<M extends BpfMap>(options: ArrayOfMapsOptions<M>): MapSpec<ArrayOfMaps<M>> {
    return ArrayOfMaps.#any(options)
  }

  /** Makes an outer map; the caller owns it. The template is made and closed within. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<M extends BpfMap>(options: ArrayOfMapsOptions<M>): ArrayOfMaps<M> {
    return ArrayOfMaps.#any(options).create()
  }

  /**
   * Opens one by id, and checks that its inner maps are like `inner` (an empty one cannot be checked).
   * Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError.
   */
  static fromId<M extends BpfMap>(id: number, options: ArrayOfMapsOpenOptions<M>): ArrayOfMaps<M> {
    return ArrayOfMaps.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path, and checks it as `fromId` does. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<M extends BpfMap>(path: string, options: ArrayOfMapsOpenOptions<M>): ArrayOfMaps<M> {
    return ArrayOfMaps.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process, and checks it as `fromId` does. Errors: EBADFD; MapMismatchError. */
  static fromFd<M extends BpfMap>(fd: number, options: ArrayOfMapsOpenOptions<M>): ArrayOfMaps<M> {
    return ArrayOfMaps.#any(options).fromFd(fd)
  }

  static #any<M extends BpfMap>(
    options: ArrayOfMapsOpenOptions<M> & { readonly maxEntries?: number },
  ): MapSpec<ArrayOfMaps<M>> {
    return outerSpec(
      'ArrayOfMaps',
      'ARRAY_OF_MAPS',
      u32 as Codec<unknown>,
      options,
      (core) => new ArrayOfMaps<M>(core, options),
      (map) => verifyInner(map.verifiable(), 4, false),
    )
  }

  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  /**
   * Installs an inner map: one that you hold (you still own your handle), or the entries of a new one, which is made,
   * filled, installed and closed in one step. Programs see the old content or the new, never a half.
   * Each call waits for an RCU grace period, 8 to 9 ms up to Linux 6.18: `setMany` waits once, `setAsync` off the event loop.
   * Errors: MapMismatchError; E2BIG (past the end), EPERM (frozen, read-only).
   */
  set(index: number, content: InnerContent<M>, options?: InnerChanges): this
  // Once more for the compiler: of two forms it explains the last, and entries are where slips happen.
  set(index: number, entries: ContentOf<M>, options?: InnerChanges): this
  set(index: number, content: InnerContent<M>, options: InnerChanges = {}): this {
    refuseCondition(options)
    this.install(index, content, BPF_ANY, options)
    return this
  }

  /** `set` off the event loop. What is asked for while one write waits goes out together in the next call. */
  setAsync(index: number, content: InnerContent<M>, options?: InnerChanges): Promise<void>
  // Once more for the compiler: of two forms it explains the last, and entries are where slips happen.
  setAsync(index: number, entries: ContentOf<M>, options?: InnerChanges): Promise<void>
  async setAsync(index: number, content: InnerContent<M>, options: InnerChanges = {}): Promise<void> {
    refuseCondition(options)
    await this.installAsync(index, content, BPF_ANY, options)
  }
}

// `only` is known, and refused with the reason.
const TO_SET = optionNames<InnerChanges & { readonly only: undefined }>({ name: true, maxEntries: true, only: true })

/** fd_array_map_update_elem takes BPF_ANY alone, whether the slot is empty or not. */
function refuseCondition(options: object): void {
  checkKnownOptions(options, TO_SET)
  if (!('only' in options) || options.only === undefined) return
  throw new TypeError(
    'an ARRAY_OF_MAPS takes no `only`: the kernel writes its slots unconditionally (EINVAL else); has(index) tells whether one is empty, and a HashOfMaps knows conditions',
  )
}
