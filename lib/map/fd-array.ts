import { u32 } from '../codec'
import type { HasFd } from '../handle/fd-of'
import { fdToId } from './fd-codecs'
import { ReadableRefTable, RefTable, slotHint } from './ref-table'
import type { CreateOptions, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, indexedSpec } from './table-options'

/** What an array of fds is made of. */
export interface FdArrayOptions extends CreateOptions {
  /** How many slots it has; all are empty at the start. */
  readonly maxEntries: number
}

const program = fdToId('program')
const perfEvent = fdToId('perf event')
const cgroup = fdToId('cgroup')

/**
 * Programs to tail-call into, by index (BPF_MAP_TYPE_PROG_ARRAY, Linux 4.2). The first program stored decides what kind all
 * others must be. The kernel empties it when its last handle and pin are gone, whatever programs still use it.
 */
export class ProgArray extends ReadableRefTable<number, HasFd, number> {
  declare protected readonly family: 'ProgArray'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: FdArrayOptions): MapSpec<ProgArray> {
    return ProgArray.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: FdArrayOptions): ProgArray {
    return ProgArray.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): ProgArray {
    return ProgArray.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): ProgArray {
    return ProgArray.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): ProgArray {
    return ProgArray.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<FdArrayOptions>): MapSpec<ProgArray> {
    checkOptions('ProgArray', options)
    return indexedSpec(
      'ProgArray',
      'PROG_ARRAY',
      { ...options, value: program },
      (core) => new ProgArray(core, { key: u32, value: program }),
    )
  }

  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  /** Stores a program, given by its fd or by an object that has one. Errors: EBADF, EINVAL (another kind of program), E2BIG. */
  override set(index: number, program: HasFd): this {
    this.store(index, program, 0)
    return this
  }

  override setMany(entries: Iterable<readonly [number, HasFd]>): number {
    return this.storeMany(entries, 0)
  }

  /** The id of the program in a slot; undefined where it is empty. */
  idOf(index: number): number | undefined {
    return this.read(index)
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'EINVAL' && /UPDATE/.test(command)) {
      return 'the fd is no program, or a program of another kind than the array was first used with'
    }
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}

/** An array of fds that only programs read. */
abstract class UnreadableArray extends RefTable<number, HasFd> {
  /** How many slots there are. */
  get length(): number {
    return this.maxEntries
  }

  /** Stores what the fd stands for; the fd itself may then be closed. Errors: EBADF, EINVAL (another kind of fd), E2BIG. */
  override set(index: number, fd: HasFd): this {
    this.store(index, fd, 0)
    return this
  }

  override setMany(entries: Iterable<readonly [number, HasFd]>): number {
    return this.storeMany(entries, 0)
  }
}

/** cgroups to test a task or a packet against, by index (BPF_MAP_TYPE_CGROUP_ARRAY, Linux 4.8). The fd is that of an opened folder. */
export class CgroupArray extends UnreadableArray {
  declare protected readonly family: 'CgroupArray'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: FdArrayOptions): MapSpec<CgroupArray> {
    return CgroupArray.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: FdArrayOptions): CgroupArray {
    return CgroupArray.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): CgroupArray {
    return CgroupArray.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): CgroupArray {
    return CgroupArray.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): CgroupArray {
    return CgroupArray.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<FdArrayOptions>): MapSpec<CgroupArray> {
    checkOptions('CgroupArray', options)
    return indexedSpec(
      'CgroupArray',
      'CGROUP_ARRAY',
      { ...options, value: cgroup },
      (core) => new CgroupArray(core, { key: u32, value: cgroup }),
    )
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'EBADF' && /UPDATE/.test(command))
      return 'the fd must be that of an opened folder of a cgroup2 file system'
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}

/**
 * Perf events by index, as a rule one for each CPU: programs read counters from them, or write samples to their ring
 * buffers (BPF_MAP_TYPE_PERF_EVENT_ARRAY, Linux 4.3). A slot is emptied when the handle it was written by is closed,
 * unless the map has PRESERVE_ELEMS.
 */
export class PerfEventArray extends UnreadableArray {
  declare protected readonly family: 'PerfEventArray'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: FdArrayOptions): MapSpec<PerfEventArray> {
    return PerfEventArray.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create(options: FdArrayOptions): PerfEventArray {
    return PerfEventArray.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId(id: number, options: OpenOptions = {}): PerfEventArray {
    return PerfEventArray.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin(path: string, options: OpenOptions = {}): PerfEventArray {
    return PerfEventArray.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd(fd: number, options: OpenOptions = {}): PerfEventArray {
    return PerfEventArray.#any(options).fromFd(fd)
  }

  static #any(options: AnySize<FdArrayOptions>): MapSpec<PerfEventArray> {
    checkOptions('PerfEventArray', options)
    return indexedSpec(
      'PerfEventArray',
      'PERF_EVENT_ARRAY',
      { ...options, value: perfEvent },
      (core) => new PerfEventArray(core, { key: u32, value: perfEvent }),
    )
  }

  protected override hint(command: string, code: string): string | undefined {
    if (/EINVAL|EBADF/.test(code) && /UPDATE/.test(command)) return 'the fd must be one of perf_event_open(2)'
    return slotHint(this.length, command, code) ?? super.hint(command, code)
  }
}
