import { mapCreate } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'
import { pageSize } from '../cpu/page-size'
import { checkU32 } from './attributes'
import { BpfMap } from './bpf-map'
import { type CreateOptions, createFields, type MapAttributes, type MapSpec, type OpenOptions } from './spec'
import { checkOptions, plainSpec, sizedBy } from './table-options'

/** What a ring buffer is made of. */
export interface RingOptions extends CreateOptions {
  /** Bytes: a power of two, and at least a page. */
  readonly size: number
}

type AnyRing = CreateOptions & OpenOptions & { readonly size?: number; readonly maxEntries?: number }

const NONE = { keySize: 0, valueSize: 0 }

/** Refuses a size that the kernel answers with a bare EINVAL (ringbuf_map_alloc). */
function checkRingSize(size: number): void {
  checkU32('size', size, 1)
  const page = pageSize()
  if (size >= page && (size & (size - 1)) === 0) return
  const below = 2 ** Math.floor(Math.log2(size))
  const near = below * 2 > 0xffffffff ? `${below}` : `${Math.max(below, page)} or ${Math.max(below * 2, page)}`
  throw new RangeError(
    `${size} bytes cannot be the size of a ring buffer: powers of two from ${page} (a page) on can, such as ${size < page ? page : near}`,
  )
}

/** BPF_MAP_CREATE, once the size is certain to do: `create({ maxEntries })` may have replaced it. */
function buildRing(attributes: MapAttributes, subject: Subject): number {
  checkRingSize(attributes.maxEntries ?? 0)
  return mapCreate(createFields(attributes), subject)
}

const RING = { build: buildRing, size: { option: 'size', of: 'bytes' } } as const

function ringParts(options: AnyRing) {
  if (options?.size !== undefined) checkRingSize(options.size)
  return options?.size === undefined ? options : sizedBy(options, 'size', options.size)
}

/**
 * A ring buffer that programs write to and user space reads, shared by all CPUs (BPF_MAP_TYPE_RINGBUF, Linux 5.8). This
 * is the map; what it carries is read by mapping it into memory.
 */
export class RingBuf extends BpfMap {
  declare protected readonly family: 'RingBuf'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: RingOptions): MapSpec<RingBuf> {
    return RingBuf.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, ENOMEM; RangeError for a size that cannot be. */
  static create(options: RingOptions): RingBuf {
    return RingBuf.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): RingBuf {
    return RingBuf.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): RingBuf {
    return RingBuf.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): RingBuf {
    return RingBuf.#any(options).fromFd(fd)
  }

  static #any(options: AnyRing): MapSpec<RingBuf> {
    checkOptions('RingBuf', options)
    return plainSpec('RingBuf', 'RINGBUF', ringParts(options), NONE, (core) => new RingBuf(core), RING)
  }

  /** Bytes that it holds. */
  get size(): number {
    return this.maxEntries
  }
}

/** A ring buffer that user space writes to and programs read (BPF_MAP_TYPE_USER_RINGBUF, Linux 6.1). */
export class UserRingBuf extends BpfMap {
  declare protected readonly family: 'UserRingBuf'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: RingOptions): MapSpec<UserRingBuf> {
    return UserRingBuf.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, ENOMEM; UnsupportedError; RangeError for a size that cannot be. */
  static create(options: RingOptions): UserRingBuf {
    return UserRingBuf.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): UserRingBuf {
    return UserRingBuf.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): UserRingBuf {
    return UserRingBuf.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): UserRingBuf {
    return UserRingBuf.#any(options).fromFd(fd)
  }

  static #any(options: AnyRing): MapSpec<UserRingBuf> {
    checkOptions('UserRingBuf', options)
    return plainSpec('UserRingBuf', 'USER_RINGBUF', ringParts(options), NONE, (core) => new UserRingBuf(core), RING)
  }

  /** Bytes that it holds. */
  get size(): number {
    return this.maxEntries
  }
}
