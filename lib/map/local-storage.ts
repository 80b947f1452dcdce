import { mapCreate } from '../../syscalls/bpf'
import { btfLoad } from '../../syscalls/bpf-btf'
import type { Subject } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { MINIMAL_KEY_ID, MINIMAL_VALUE_ID, minimalBtf } from '../btf/minimal'
import type { Codec } from '../codec'
import type { HasFd } from '../handle/fd-of'
import { fdKey } from './fd-codecs'
import { type Fillable, fill } from './fillable'
import { type Codecs, type GetOptions, getFlags, KeyedMap, type SetOptions, setFlags } from './keyed-map'
import {
  type CreateOptions,
  createFields,
  type MapAttributes,
  type MapCore,
  type MapSpec,
  type OpenOptions,
} from './spec'
import { checkOptions, tableSpec, withFlag } from './table-options'

/** What a local storage map is made of. It has no size of its own: each owner has one value, or none. */
export interface StorageOptions<V> extends CreateOptions {
  readonly value: Codec<V>
}

/** What it takes to open one that exists. */
export interface StorageCodec<V> extends OpenOptions {
  readonly value: Codec<V>
}

/**
 * Values that live in the objects they belong to and go with them. User space names an owner by an fd of it; owners
 * cannot be listed.
 */
abstract class LocalStorage<V> extends KeyedMap<HasFd, V> implements Fillable<readonly [HasFd, V]> {
  /** The owner's value, or undefined where it has none. Errors: EBADF, ENOTSOCK (the fd is of another kind). */
  get(owner: HasFd, options?: GetOptions): V | undefined {
    return this.lookup(owner, options === undefined ? 0 : getFlags(options))
  }

  /** Whether the owner has a value. */
  has(owner: HasFd): boolean {
    return this.exists(owner)
  }

  /** Gives the owner a value. Errors: EBADF, EEXIST and ENOENT (`only`), ENOMEM. */
  set(owner: HasFd, value: V, options?: SetOptions): this {
    this.store(owner, value, options === undefined ? 0 : setFlags(options))
    return this
  }

  /** Takes the owner's value away: whether it had one. */
  delete(owner: HasFd): boolean {
    return this.remove(owner)
  }

  [fill](entries: Iterable<readonly [HasFd, V]>): void {
    this.storeMany(entries, 0)
  }

  /** What the fd of an owner is, for messages: 'a socket'. */
  protected abstract readonly owner: string

  protected override hint(command: string, code: string): string | undefined {
    if (/EBADF|ENOTSOCK/.test(code)) return `the key must be the fd of ${this.owner}`
    if (code === 'ENOENT') return "the owner has no value, and only: 'replace' was asked for, or the owner is gone"
    if (code === 'ENOTSUPP') return 'the owners of local storage cannot be listed'
    return super.hint(command, code)
  }
}

/** Storage maps are not made without BTF that tells key and value: unless the caller brings some, a minimal one is. */
function buildStorage(attributes: MapAttributes, subject: Subject): number {
  const told: Subject = {
    description: subject.description,
    hint(_command, code) {
      if (code === 'E2BIG') return 'the value is larger than local storage may be (some 64 KiB)'
      return code === 'EINVAL' ? 'the BTF given does not fit' : undefined
    },
  }
  const fields = createFields(attributes)
  if (attributes.btf !== undefined) return mapCreate(fields, told)
  const btf = btfLoad({ btf: minimalBtf(attributes.valueSize) }, subject)
  try {
    const ids = { btf_key_type_id: MINIMAL_KEY_ID, btf_value_type_id: MINIMAL_VALUE_ID }
    return mapCreate({ ...fields, btf_fd: btf, ...ids }, told)
  } finally {
    // The map keeps what it needs of it.
    closeFd(btf)
  }
}

function storageSpec<M extends LocalStorage<V>, V>(
  name: 'SkStorage' | 'InodeStorage' | 'TaskStorage' | 'CgroupStorage',
  type: 'SK_STORAGE' | 'INODE_STORAGE' | 'TASK_STORAGE' | 'CGRP_STORAGE',
  options: StorageOptions<V>,
  key: Codec<HasFd>,
  make: (core: MapCore, codecs: Codecs<HasFd, V>) => M,
): MapSpec<M> {
  const whole = { ...withFlag(options, 'NO_PREALLOC'), key, maxEntries: 0 }
  return tableSpec(name, type, whole, (core) => make(core, whole), { build: buildStorage })
}

/** Values of sockets, by a socket's fd (BPF_MAP_TYPE_SK_STORAGE, Linux 5.2). */
export class SkStorage<V> extends LocalStorage<V> {
  declare protected readonly family: 'SkStorage'
  protected readonly owner = 'a socket'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: StorageOptions<V>): MapSpec<SkStorage<V>> {
    return SkStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: StorageOptions<V>): SkStorage<V> {
    return SkStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: StorageCodec<V>): SkStorage<V> {
    return SkStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: StorageCodec<V>): SkStorage<V> {
    return SkStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: StorageCodec<V>): SkStorage<V> {
    return SkStorage.#any(options).fromFd(fd)
  }

  static #any<V>(options: StorageOptions<V>): MapSpec<SkStorage<V>> {
    checkOptions('SkStorage', options)
    const make = (core: MapCore, codecs: Codecs<HasFd, V>) => new SkStorage<V>(core, codecs)
    return storageSpec('SkStorage', 'SK_STORAGE', options, fdKey('socket'), make)
  }
}

/** Values of inodes, by the fd of an opened file (BPF_MAP_TYPE_INODE_STORAGE, Linux 5.10). */
export class InodeStorage<V> extends LocalStorage<V> {
  declare protected readonly family: 'InodeStorage'
  protected readonly owner = 'an open file'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: StorageOptions<V>): MapSpec<InodeStorage<V>> {
    return InodeStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: StorageOptions<V>): InodeStorage<V> {
    return InodeStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: StorageCodec<V>): InodeStorage<V> {
    return InodeStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: StorageCodec<V>): InodeStorage<V> {
    return InodeStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: StorageCodec<V>): InodeStorage<V> {
    return InodeStorage.#any(options).fromFd(fd)
  }

  static #any<V>(options: StorageOptions<V>): MapSpec<InodeStorage<V>> {
    checkOptions('InodeStorage', options)
    const make = (core: MapCore, codecs: Codecs<HasFd, V>) => new InodeStorage<V>(core, codecs)
    return storageSpec('InodeStorage', 'INODE_STORAGE', options, fdKey('file'), make)
  }
}

/** Values of tasks, by a pidfd (BPF_MAP_TYPE_TASK_STORAGE, Linux 5.11). */
export class TaskStorage<V> extends LocalStorage<V> {
  declare protected readonly family: 'TaskStorage'
  protected readonly owner = 'a task (pidfd_open(2))'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: StorageOptions<V>): MapSpec<TaskStorage<V>> {
    return TaskStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: StorageOptions<V>): TaskStorage<V> {
    return TaskStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: StorageCodec<V>): TaskStorage<V> {
    return TaskStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: StorageCodec<V>): TaskStorage<V> {
    return TaskStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: StorageCodec<V>): TaskStorage<V> {
    return TaskStorage.#any(options).fromFd(fd)
  }

  static #any<V>(options: StorageOptions<V>): MapSpec<TaskStorage<V>> {
    checkOptions('TaskStorage', options)
    const make = (core: MapCore, codecs: Codecs<HasFd, V>) => new TaskStorage<V>(core, codecs)
    return storageSpec('TaskStorage', 'TASK_STORAGE', options, fdKey('pidfd', 'pidfd'), make)
  }
}

/** Values of cgroups, by the fd of an opened folder of cgroup2 (BPF_MAP_TYPE_CGRP_STORAGE, Linux 6.2). */
export class CgroupStorage<V> extends LocalStorage<V> {
  declare protected readonly family: 'CgroupStorage'
  protected readonly owner = 'an opened folder of a cgroup file system'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: StorageOptions<V>): MapSpec<CgroupStorage<V>> {
    return CgroupStorage.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: StorageOptions<V>): CgroupStorage<V> {
    return CgroupStorage.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: StorageCodec<V>): CgroupStorage<V> {
    return CgroupStorage.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: StorageCodec<V>): CgroupStorage<V> {
    return CgroupStorage.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: StorageCodec<V>): CgroupStorage<V> {
    return CgroupStorage.#any(options).fromFd(fd)
  }

  static #any<V>(options: StorageOptions<V>): MapSpec<CgroupStorage<V>> {
    checkOptions('CgroupStorage', options)
    const make = (core: MapCore, codecs: Codecs<HasFd, V>) => new CgroupStorage<V>(core, codecs)
    return storageSpec('CgroupStorage', 'CGRP_STORAGE', options, fdKey('cgroup'), make)
  }
}
