import { checkU32 } from './attributes'
import { BpfMap } from './bpf-map'
import { buildWith } from './build'
import type { CreateOptions, MapSpec, OpenOptions } from './spec'
import { plainSpec, withFlag } from './table-options'

/** What an arena is made of. */
export interface ArenaOptions extends CreateOptions {
  /** How many pages it may grow to, up to 4 GiB in all. */
  readonly pages: number
}

type AnyArena = CreateOptions & OpenOptions & { readonly pages?: number }

/**
 * Memory that a program and user space share, at the same addresses where `mapExtra` says them (BPF_MAP_TYPE_ARENA,
 * Linux 6.9). The kernel insists on MMAPABLE, which is therefore set.
 */
export class Arena extends BpfMap {
  declare protected readonly family: 'Arena'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec(options: ArenaOptions): MapSpec<Arena> {
    return Arena.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG (4 GiB), EINVAL (mapExtra is no page's address), ENOMEM; UnsupportedError. */
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
    if (options?.pages !== undefined) checkU32('pages', options.pages, 1)
    const sized = options?.pages === undefined ? options : { ...options, maxEntries: options.pages }
    const none = { keySize: 0, valueSize: 0 }
    return plainSpec('Arena', 'ARENA', withFlag(sized, 'MMAPABLE'), none, (core) => new Arena(core), {
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
}
