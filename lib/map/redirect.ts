import { type Codec, u32 } from '../codec'
import { shown } from '../codec/error'
import { makeCodec } from '../codec/make'
import { fdOf, type HasFd } from '../handle/fd-of'
import { buildWith } from './build'
import { ReadableRefTable, slotHint } from './ref-table'
import type { CreateOptions, MapCore, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, indexedSpec } from './table-options'

/** With `programs: true` values have 8 bytes: each entry may run a program of its own on what is sent to it. */
export interface WithPrograms<P extends boolean> {
  /** Linux 5.8 (DEVMAP), 5.9 (CPUMAP). */
  readonly programs?: P
}

/** What a DEVMAP, DEVMAP_HASH or CPUMAP is made of. */
export interface RedirectOptions<P extends boolean> extends CreateOptions, WithPrograms<P> {
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface RedirectOpen<P extends boolean> extends OpenOptions, WithPrograms<P> {}

/** An interface to send to: its index, or with `programs: true` the index and a program of attach type xdp_devmap. */
export type Device<P extends boolean> = P extends true
  ? { readonly ifindex: number; readonly program?: HasFd | undefined }
  : number

/** The same as it is read back: a program is known by its id. */
export type DeviceEntry<P extends boolean> = P extends true
  ? { readonly ifindex: number; readonly programId: number | undefined }
  : number

/** A CPU's queue: how many packets it holds, with `programs: true` also a program of attach type xdp_cpumap. */
export type CpuQueue<P extends boolean> = P extends true
  ? { readonly queueSize: number; readonly program?: HasFd | undefined }
  : number

/** The same as it is read back. */
export type CpuQueueEntry<P extends boolean> = P extends true
  ? { readonly queueSize: number; readonly programId: number | undefined }
  : number

/** struct bpf_devmap_val and bpf_cpumap_val: a u32, and where it has 8 bytes a program, an fd in and an id out. */
function redirectCodec<In, Out>(
  field: 'ifindex' | 'queueSize',
  limit: number,
  instead: string,
  programs: boolean | undefined,
): Codec<In | Out> {
  const check = (value: unknown): number => {
    if (typeof value !== 'number') throw new TypeError(`${field} must be a number, not ${shown(value)}`)
    // The kernel takes 0 for a deletion.
    if (!Number.isInteger(value) || value < 1 || value > limit) {
      throw new RangeError(`${shown(value)} is no ${field} (1 to ${limit}${value === 0 ? `; ${instead}` : ''})`)
    }
    return value
  }
  if (programs !== true) {
    return makeCodec<unknown>({
      name: field,
      size: 4,
      align: 4,
      write: (view, offset, value) => u32.write(view, offset, check(value)),
      read: (view, offset) => u32.read(view, offset),
    }) as Codec<In | Out>
  }
  return makeCodec<unknown>({
    name: `${field} and program`,
    size: 8,
    align: 4,
    write(view, offset, value) {
      if (typeof value !== 'object' || value === null) {
        throw new TypeError(`with programs: true a value is { ${field}, program? }, not ${shown(value)}`)
      }
      const given = value as { readonly [field]?: unknown; readonly program?: HasFd; readonly programId?: unknown }
      if (given.programId !== undefined) throw new TypeError('a program is given by its fd: an id cannot be written')
      const number = check(given[field as keyof typeof given])
      // 0 stands for none: __dev_map_alloc_node and __cpu_map_entry_alloc look only at fds above it.
      const fd = given.program === undefined ? 0 : fdOf(given.program, 'program')
      u32.write(view, offset, number)
      u32.write(view, offset + 4, fd)
    },
    read(view, offset) {
      const id = u32.read(view, offset + 4)
      return { [field]: u32.read(view, offset), programId: id === 0 ? undefined : id }
    },
  }) as Codec<In | Out>
}

function deviceCodec<P extends boolean>(programs: P | undefined) {
  return redirectCodec<Device<P>, DeviceEntry<P>>('ifindex', 0x7fffffff, 'delete(key) empties an entry', programs)
}

/** CPUMAP refuses a longer queue with EOVERFLOW (cpu_map_update_elem). */
const MAX_QUEUE = 16384

function queueCodec<P extends boolean>(programs: P | undefined) {
  return redirectCodec<CpuQueue<P>, CpuQueueEntry<P>>('queueSize', MAX_QUEUE, 'delete(cpu) empties a slot', programs)
}

/** A table to redirect packets through. */
abstract class RedirectTable<In, Out> extends ReadableRefTable<number, In, Out> {
  constructor(core: MapCore, value: Codec<In | Out>) {
    super(core, { key: u32, value })
  }

  /** The entry; undefined where there is none. */
  get(key: number): Out | undefined {
    return this.read(key)
  }

  protected override hint(command: string, code: string): string | undefined {
    if (/UPDATE/.test(command)) {
      if (code === 'EINVAL') return this.refusal
      if (code === 'EBADF') return 'the fd is not open'
    }
    return super.hint(command, code)
  }

  protected abstract readonly refusal: string
}

/** Slots of which the kernel does not tell, when it empties one, whether it was empty before: so it is asked. */
abstract class RedirectArray<In, Out> extends RedirectTable<In, Out> {
  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  override set(index: number, value: In): this {
    this.store(index, value, 0)
    return this
  }

  override setMany(entries: Iterable<readonly [number, In]>): number {
    return this.storeMany(entries, 0)
  }

  /** Empties a slot: whether it was taken, a moment before. */
  override delete(index: number): boolean {
    const there = this.exists(index)
    if (there || index >= this.length) this.remove(index)
    return there
  }

  protected override hint(command: string, code: string): string | undefined {
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}

const DEVICE_REFUSAL = 'no such interface in this network namespace, or the program is not of attach type xdp_devmap'

/** Interfaces to redirect to, by index (BPF_MAP_TYPE_DEVMAP, Linux 4.14). Needs CAP_NET_ADMIN. */
export class DevMap<P extends boolean = false> extends RedirectArray<Device<P>, DeviceEntry<P>> {
  declare protected readonly family: 'DevMap'
  protected readonly refusal = DEVICE_REFUSAL

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<P extends boolean = false>(options: RedirectOptions<P>): MapSpec<DevMap<P>> {
    return DevMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<P extends boolean = false>(options: RedirectOptions<P>): DevMap<P> {
    return DevMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<P extends boolean = false>(id: number, options: RedirectOpen<P> = {}): DevMap<P> {
    return DevMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<P extends boolean = false>(path: string, options: RedirectOpen<P> = {}): DevMap<P> {
    return DevMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<P extends boolean = false>(fd: number, options: RedirectOpen<P> = {}): DevMap<P> {
    return DevMap.#any(options).fromFd(fd)
  }

  static #any<P extends boolean>(options: AnySize<RedirectOptions<P>>): MapSpec<DevMap<P>> {
    checkOptions('DevMap', options)
    const value = deviceCodec(options?.programs)
    return indexedSpec('DevMap', 'DEVMAP', { ...options, value }, (core) => new DevMap<P>(core, value))
  }
}

/** Interfaces to redirect to, by any u32 key (BPF_MAP_TYPE_DEVMAP_HASH, Linux 5.4). Needs CAP_NET_ADMIN. */
export class DevMapHash<P extends boolean = false> extends RedirectTable<Device<P>, DeviceEntry<P>> {
  declare protected readonly family: 'DevMapHash'
  protected readonly refusal = DEVICE_REFUSAL

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<P extends boolean = false>(options: RedirectOptions<P>): MapSpec<DevMapHash<P>> {
    return DevMapHash.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<P extends boolean = false>(options: RedirectOptions<P>): DevMapHash<P> {
    return DevMapHash.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<P extends boolean = false>(id: number, options: RedirectOpen<P> = {}): DevMapHash<P> {
    return DevMapHash.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<P extends boolean = false>(path: string, options: RedirectOpen<P> = {}): DevMapHash<P> {
    return DevMapHash.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<P extends boolean = false>(fd: number, options: RedirectOpen<P> = {}): DevMapHash<P> {
    return DevMapHash.#any(options).fromFd(fd)
  }

  static #any<P extends boolean>(options: AnySize<RedirectOptions<P>>): MapSpec<DevMapHash<P>> {
    checkOptions('DevMapHash', options)
    const value = deviceCodec(options?.programs)
    return indexedSpec('DevMapHash', 'DEVMAP_HASH', { ...options, value }, (core) => new DevMapHash<P>(core, value))
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'E2BIG') return `the map is full: maxEntries is ${this.maxEntries}`
    return super.hint(command, code)
  }
}

/** Queues of other CPUs to redirect to, by CPU (BPF_MAP_TYPE_CPUMAP, Linux 4.15). Each entry is a kernel thread. */
export class CpuMap<P extends boolean = false> extends RedirectArray<CpuQueue<P>, CpuQueueEntry<P>> {
  declare protected readonly family: 'CpuMap'
  protected readonly refusal = 'the program is not of attach type xdp_cpumap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<P extends boolean = false>(options: RedirectOptions<P>): MapSpec<CpuMap<P>> {
    return CpuMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG (more slots than the kernel supports CPUs), ENOMEM. */
  static create<P extends boolean = false>(options: RedirectOptions<P>): CpuMap<P> {
    return CpuMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<P extends boolean = false>(id: number, options: RedirectOpen<P> = {}): CpuMap<P> {
    return CpuMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<P extends boolean = false>(path: string, options: RedirectOpen<P> = {}): CpuMap<P> {
    return CpuMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<P extends boolean = false>(fd: number, options: RedirectOpen<P> = {}): CpuMap<P> {
    return CpuMap.#any(options).fromFd(fd)
  }

  static #any<P extends boolean>(options: AnySize<RedirectOptions<P>>): MapSpec<CpuMap<P>> {
    checkOptions('CpuMap', options)
    const value = queueCodec(options?.programs)
    return indexedSpec('CpuMap', 'CPUMAP', { ...options, value }, (core) => new CpuMap<P>(core, value), {
      build: buildWith((code) =>
        code === 'E2BIG' ? 'maxEntries is more than the CPUs that the kernel supports (NR_CPUS)' : undefined,
      ),
    })
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'ENODEV') return 'there is no such CPU'
    // Whatever keeps an entry from being made ends so (cpu_map_update_elem).
    if (code === 'ENOMEM') return `${this.refusal}, or there is no memory for the entry`
    return super.hint(command, code)
  }
}
