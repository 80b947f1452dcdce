import { KernelError } from '../../syscalls/errno'
import { mapFile, mapFileAt, PROT_READ, PROT_WRITE, type Region } from '../../syscalls/memory'
import { BPF_F_SEGV_ON_FAULT } from '../../syscalls/uapi-map'
import type { Codec } from '../codec'
import { checkCodec } from '../codec/make'
import { pageSize } from '../cpu/page-size'
import { checkU32, checkU64 } from './attributes'
import { BpfMap } from './bpf-map'
import { buildWith } from './build'
import type { CreateOptions, MapSpec, OpenOptions } from './spec'
import { checkOptions, plainSpec, sizedBy, withFlag } from './table-options'

/** What an arena is made of. */
export interface ArenaOptions extends CreateOptions {
  /** How many pages it may grow to, up to 4 GiB in all. */
  readonly pages: number
}

type AnyArena = CreateOptions & OpenOptions & { readonly pages?: number; readonly maxEntries?: number }

/**
 * Memory that programs and user space share (BPF_MAP_TYPE_ARENA, Linux 6.9): up to 4 GiB, whose pages are there once a
 * program has allocated them or user space has touched them. A pointer that a program stores there is the address that
 * the memory has in user space: `mapExtra`, or where it was first mapped. The kernel insists on MMAPABLE, which is
 * therefore set.
 */
export class Arena extends BpfMap {
  declare protected readonly family: 'Arena'
  #region: Region | undefined

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: ArenaOptions): MapSpec<Arena> {
    return Arena.#any(options)
  }

  /**
   * Makes a map; the caller owns it. Errors: EPERM, E2BIG (4 GiB), EINVAL (mapExtra is no page's address), ENOMEM;
   * UnsupportedError.
   */
  static create(options: ArenaOptions): Arena {
    return Arena.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): Arena {
    return Arena.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): Arena {
    return Arena.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): Arena {
    return Arena.#any(options).fromFd(fd)
  }

  static #any(options: AnyArena): MapSpec<Arena> {
    checkOptions('Arena', options)
    if (options?.pages !== undefined) checkU32('pages', options.pages, 1)
    const sized = options?.pages === undefined ? options : sizedBy(options, 'pages', options.pages)
    const none = { keySize: 0, valueSize: 0 }
    return plainSpec('Arena', 'ARENA', withFlag(sized, 'MMAPABLE'), none, (core) => new Arena(core), {
      size: { option: 'pages', of: 'pages' },
      build: buildWith((code) => {
        if (code === 'E2BIG') return 'an arena has at most 4 GiB'
        if (code !== 'EINVAL') return undefined
        return 'mapExtra must be the address of a page, pages at least 1'
      }),
    })
  }

  /** How many pages it may grow to. */
  get pages(): number {
    return this.maxEntries
  }

  /**
   * All of it, mapped when it is first asked for; it reads as zeros where nobody has written, and after `close()`.
   * Touching a page allocates it: where there is no memory for one, that is the end of the process (SIGSEGV).
   *
   * Errors: TypeError (the flag SEGV_ON_FAULT: a page that no program has allocated would be the end of the process);
   * EINVAL (another process has mapped it, at an address that is not told), EEXIST (something else is at `mapExtra`
   * here), EPERM, ENOMEM; ClosedError.
   */
  get memory(): ArrayBuffer {
    if ((this.attributes.flags & BPF_F_SEGV_ON_FAULT) !== 0) {
      throw new TypeError(
        `${this.description} has SEGV_ON_FAULT: reading a page that is not there would end the process`,
      )
    }
    return this.#mapped().buffer
  }

  /**
   * Where it is in user space, in this process and in the pointers that programs store: maps it. Errors: as of
   * `memory`.
   */
  get address(): bigint {
    return BigInt(this.#mapped().address)
  }

  /**
   * Where in `memory` a pointer of a program's points to. The lower half does, as programs have it with NO_USER_CONV.
   * Throws RangeError for one that is elsewhere.
   */
  offsetOf(pointer: number | bigint): number {
    const its = checkU64('a pointer', pointer)
    const offset = its <= 0xffff_ffffn ? BigInt.asUintN(32, its - this.address) : its - this.address
    if (offset >= 0n && offset < BigInt(this.#bytes)) return Number(offset)
    const to = this.address + BigInt(this.#bytes)
    throw new RangeError(
      `0x${its.toString(16)} is not in ${this.description}: 0x${this.address.toString(16)} to 0x${to.toString(16)}`,
    )
  }

  /** What a pointer points to: `arena.read(app.globals.head.value, Node)`. Errors: RangeError; as of `memory`. */
  read<T>(pointer: number | bigint, codec: Codec<T>): T {
    return codec.read(new DataView(this.memory), this.#place(pointer, codec))
  }

  /** Writes there; programs may see it in part. Errors: RangeError, those of the codec; as of `memory`. */
  write<T>(pointer: number | bigint, codec: Codec<T>, value: T): void {
    const at = this.#place(pointer, codec)
    // Encoded elsewhere first: where that throws, nothing has been written.
    const encoded = new ArrayBuffer(codec.size)
    codec.write(new DataView(encoded), 0, value)
    new Uint8Array(this.memory, at, codec.size).set(new Uint8Array(encoded))
  }

  override close(): void {
    this.#region?.close()
    super.close()
  }

  get #bytes(): number {
    return this.pages * pageSize()
  }

  #place(pointer: number | bigint, codec: Codec<unknown>): number {
    checkCodec(codec)
    const at = this.offsetOf(pointer)
    if (at + codec.size <= this.#bytes) return at
    throw new RangeError(
      `${codec.name} has ${codec.size} bytes, and ${this.description} ends ${this.#bytes - at} bytes further`,
    )
  }

  #mapped(): Region {
    // Throws ClosedError, where memory that is no longer mapped would read as zeros.
    const { fd } = this
    if (this.#region !== undefined) return this.#region
    const { mapExtra } = this.attributes
    const protection = PROT_READ | PROT_WRITE
    try {
      this.#region =
        mapExtra === 0n
          ? mapFile(fd, this.#bytes, protection)
          : mapFileAt(fd, this.#bytes, protection, Number(mapExtra))
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      const { errno, syscall, command } = error
      throw new KernelError(-errno, {
        ...{ syscall, command },
        subject: { description: this.description, hint: (_command, code) => WHY_NOT_MAPPED[code] },
      })
    }
    return this.#region
  }
}

const WHY_NOT_MAPPED: Readonly<Record<string, string>> = {
  EINVAL:
    'it is mapped already, at an address that the kernel does not tell: one made with mapExtra has the same for all',
  EEXIST: 'something is at the address of mapExtra in this process: the same arena, by another handle, or another',
}
