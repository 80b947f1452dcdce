import { KernelError } from '../../syscalls/errno'
import { type Codec, u32 } from '../codec'
import type { HasFd } from '../handle/fd-of'
import { fdToId, socketValue } from './fd-codecs'
import { ReadableRefTable, RefTable, slotHint } from './ref-table'
import type { CreateOptions, MapCore, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, indexedSpec, tableSpec } from './table-options'

/** Sockets are written as fds of 4 or of 8 bytes; only with 8 can they be read back, as cookies (SO_COOKIE). */
export interface SocketValue {
  /** 8 where not given. The maps of compiled objects often have 4. */
  readonly valueSize?: 4 | 8
}

/** What an array of sockets is made of. */
export interface SocketArrayOptions extends CreateOptions, SocketValue {
  /** How many slots it has; all are empty at the start. */
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface SocketArrayOpen extends OpenOptions, SocketValue {}

/** What a hash of sockets is made of. */
export interface SockHashOptions<K> extends CreateOptions, SocketValue {
  readonly key: Codec<K>
  /** How many sockets it may hold. */
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface SockHashOpen<K> extends OpenOptions, SocketValue {
  readonly key: Codec<K>
}

/** What an XSKMAP is made of. */
export interface XskMapOptions extends CreateOptions {
  /** How many slots it has, as a rule one for each queue of the interface. */
  readonly maxEntries: number
}

/** Sockets as fds in, cookies out. A socket leaves by itself when it is closed. */
abstract class SocketTable<K> extends ReadableRefTable<K, HasFd, bigint> {
  constructor(core: MapCore, key: Codec<K>, value: Codec<HasFd | bigint>) {
    super(core, { key, value })
  }

  /** The cookie (SO_COOKIE) of a socket; undefined where there is none. Errors: ENOSPC where values have 4 bytes. Linux 5.7. */
  cookieOf(key: K): bigint | undefined {
    return this.read(key)
  }

  protected override inspectEntries(few: number) {
    // Sockets in values of 4 bytes cannot be read.
    return this.value.size === 8 ? super.inspectEntries(few) : undefined
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'ENOSPC') return 'sockets in values of 4 bytes cannot be read back: a cookie needs valueSize: 8'
    if (/UPDATE/.test(command)) return this.refusal(code) ?? super.hint(command, code)
    return super.hint(command, code)
  }

  /** Why a socket was not taken. */
  protected refusal(code: string): string | undefined {
    if (code === 'EBADF') return 'the fd is not open'
    if (code === 'ENOTSOCK') return 'the fd is no socket'
    if (code === 'EOPNOTSUPP') {
      return 'only TCP, UDP, unix and vsock sockets can be stored, TCP ones once they are connected or listen'
    }
    return undefined
  }
}

/** Sockets by index, to redirect between (BPF_MAP_TYPE_SOCKMAP, Linux 4.14). Needs CAP_NET_ADMIN. */
export class SockMap extends SocketTable<number> {
  declare protected readonly family: 'SockMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: SocketArrayOptions): MapSpec<SockMap> {
    return SockMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: SocketArrayOptions): SockMap {
    return SockMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: SocketArrayOpen = {}): SockMap {
    return SockMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: SocketArrayOpen = {}): SockMap {
    return SockMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: SocketArrayOpen = {}): SockMap {
    return SockMap.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<SocketArrayOptions>): MapSpec<SockMap> {
    checkOptions('SockMap', options)
    const value = socketValue(options?.valueSize)
    return indexedSpec('SockMap', 'SOCKMAP', { ...options, value }, (core) => new SockMap(core, u32, value))
  }

  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  override delete(index: number): boolean {
    try {
      return super.delete(index)
    } catch (error) {
      // The kernel's answer for an empty slot, and for one past the end (__sock_map_delete).
      if (error instanceof KernelError && error.code === 'EINVAL' && index < this.length) return false
      throw error
    }
  }

  protected override hint(command: string, code: string): string | undefined {
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}

/** Sockets by key (BPF_MAP_TYPE_SOCKHASH, Linux 4.18). Needs CAP_NET_ADMIN. */
export class SockHash<K> extends SocketTable<K> {
  declare protected readonly family: 'SockHash'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K>(options: SockHashOptions<K>): MapSpec<SockHash<K>> {
    return SockHash.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K>(options: SockHashOptions<K>): SockHash<K> {
    return SockHash.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K>(id: number, options: SockHashOpen<K>): SockHash<K> {
    return SockHash.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K>(path: string, options: SockHashOpen<K>): SockHash<K> {
    return SockHash.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K>(fd: number, options: SockHashOpen<K>): SockHash<K> {
    return SockHash.#any(options).fromFd(fd)
  }

  static #any<K>(options: AnySize<SockHashOptions<K>>): MapSpec<SockHash<K>> {
    checkOptions('SockHash', options)
    const value = socketValue(options?.valueSize)
    const wrap = (core: MapCore) => new SockHash<K>(core, options.key, value)
    return tableSpec('SockHash', 'SOCKHASH', { ...options, value }, wrap)
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'E2BIG') return `the map is full: maxEntries is ${this.maxEntries}`
    return super.hint(command, code)
  }
}

/** Sockets of one SO_REUSEPORT group, for a program to choose among (BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, Linux 4.19). */
export class ReuseportSockArray extends SocketTable<number> {
  declare protected readonly family: 'ReuseportSockArray'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: SocketArrayOptions): MapSpec<ReuseportSockArray> {
    return ReuseportSockArray.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: SocketArrayOptions): ReuseportSockArray {
    return ReuseportSockArray.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: SocketArrayOpen = {}): ReuseportSockArray {
    return ReuseportSockArray.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: SocketArrayOpen = {}): ReuseportSockArray {
    return ReuseportSockArray.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: SocketArrayOpen = {}): ReuseportSockArray {
    return ReuseportSockArray.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<SocketArrayOptions>): MapSpec<ReuseportSockArray> {
    checkOptions('ReuseportSockArray', options)
    const value = socketValue(options?.valueSize)
    return indexedSpec(
      'ReuseportSockArray',
      'REUSEPORT_SOCKARRAY',
      { ...options, value },
      (core) => new ReuseportSockArray(core, u32, value),
    )
  }

  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  protected override refusal(code: string): string | undefined {
    // reuseport_array_update_check
    if (code === 'EINVAL') return 'the socket must be TCP and listening, or UDP and bound, with SO_REUSEPORT set before'
    if (code === 'ENOTSUPP') return 'only TCP and UDP sockets over IPv4 and IPv6 can be stored'
    if (code === 'EBUSY') return 'the socket is in a REUSEPORT_SOCKARRAY already'
    return super.refusal(code)
  }

  protected override hint(command: string, code: string): string | undefined {
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}

const xsk = fdToId('AF_XDP socket')

/** AF_XDP sockets, as a rule one for each queue of an interface (BPF_MAP_TYPE_XSKMAP, Linux 4.18). User space cannot read it. */
export class XskMap extends RefTable<number, HasFd> {
  declare protected readonly family: 'XskMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: XskMapOptions): MapSpec<XskMap> {
    return XskMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: XskMapOptions): XskMap {
    return XskMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): XskMap {
    return XskMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): XskMap {
    return XskMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): XskMap {
    return XskMap.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<XskMapOptions>): MapSpec<XskMap> {
    checkOptions('XskMap', options)
    const wrap = (core: MapCore) => new XskMap(core, { key: u32, value: xsk })
    return indexedSpec('XskMap', 'XSKMAP', { ...options, value: xsk }, wrap)
  }

  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  /** Empties a slot; true also where it was empty, which the kernel does not tell. */
  override delete(index: number): boolean {
    return super.delete(index)
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'EBADF' && /UPDATE/.test(command)) return 'the fd is not open'
    if (/ENOTSOCK|ENOPROTOOPT/.test(code)) return 'the fd is no AF_XDP socket'
    // EOPNOTSUPP up to Linux 7.2, ENOBUFS from 7.3 on.
    if (/EOPNOTSUPP|ENOBUFS/.test(code) && /UPDATE/.test(command))
      return 'the AF_XDP socket is not bound, or has no receive ring'
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}
