import { ipv4, ipv6 } from '../codec'
import { buildWith } from './build'
import type { MapSpec } from './spec'
import { Table, TakingTable } from './table'
import { type AnySize, checkOptions, type TableCodecs, type TableOptions, tableSpec, withFlag } from './table-options'

/** Hash table (BPF_MAP_TYPE_HASH, Linux 3.19). */
export class HashMap<K, V> extends TakingTable<K, V> {
  declare protected readonly family: 'HashMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: TableOptions<K, V>): MapSpec<HashMap<K, V>> {
    return HashMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: TableOptions<K, V>): HashMap<K, V> {
    return HashMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: TableCodecs<K, V>): HashMap<K, V> {
    return HashMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: TableCodecs<K, V>): HashMap<K, V> {
    return HashMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: TableCodecs<K, V>): HashMap<K, V> {
    return HashMap.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: AnySize<TableOptions<K, V>>): MapSpec<HashMap<K, V>> {
    checkOptions('HashMap', options)
    return tableSpec('HashMap', 'HASH', options, (core) => new HashMap<K, V>(core, options))
  }
}

/** Hash table that makes room by dropping entries used least recently, some before it is full (BPF_MAP_TYPE_LRU_HASH, Linux 4.10). */
export class LruHashMap<K, V> extends TakingTable<K, V> {
  declare protected readonly family: 'LruHashMap'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: TableOptions<K, V>): MapSpec<LruHashMap<K, V>> {
    return LruHashMap.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: TableOptions<K, V>): LruHashMap<K, V> {
    return LruHashMap.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: TableCodecs<K, V>): LruHashMap<K, V> {
    return LruHashMap.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: TableCodecs<K, V>): LruHashMap<K, V> {
    return LruHashMap.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: TableCodecs<K, V>): LruHashMap<K, V> {
    return LruHashMap.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: AnySize<TableOptions<K, V>>): MapSpec<LruHashMap<K, V>> {
    checkOptions('LruHashMap', options)
    return tableSpec('LruHashMap', 'LRU_HASH', options, (core) => new LruHashMap<K, V>(core, options))
  }
}

/**
 * Longest-prefix match: `get` of an address gives the value of the most specific prefix that holds it; keys are `ipv4Prefix`,
 * `ipv6Prefix`, or any codec that begins with the prefix length as a u32 (BPF_MAP_TYPE_LPM_TRIE, Linux 4.11; listing
 * its keys 4.16). The kernel insists on NO_PREALLOC, which is therefore set. Iteration is from the most specific on.
 */
export class LpmTrie<K, V> extends Table<K, V> {
  declare protected readonly family: 'LpmTrie'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<K, V>(options: TableOptions<K, V>): MapSpec<LpmTrie<K, V>> {
    return LpmTrie.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<K, V>(options: TableOptions<K, V>): LpmTrie<K, V> {
    return LpmTrie.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<K, V>(id: number, options: TableCodecs<K, V>): LpmTrie<K, V> {
    return LpmTrie.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<K, V>(path: string, options: TableCodecs<K, V>): LpmTrie<K, V> {
    return LpmTrie.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<K, V>(fd: number, options: TableCodecs<K, V>): LpmTrie<K, V> {
    return LpmTrie.#any(options).fromFd(fd)
  }

  static #any<K, V>(options: AnySize<TableOptions<K, V>>): MapSpec<LpmTrie<K, V>> {
    checkOptions('LpmTrie', options)
    checkPrefix(options.key)
    return tableSpec(
      'LpmTrie',
      'LPM_TRIE',
      withFlag(options, 'NO_PREALLOC'),
      (core) => new LpmTrie<K, V>(core, options),
      // trie_alloc
      { build: buildWith((code) => (code === 'EINVAL' ? LPM_KEY : undefined)) },
    )
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'EINVAL' && /UPDATE|DELETE/.test(command)) return 'the prefix length is more than the bits of the key'
    return super.hint(command, code)
  }
}

/** An address for a prefix: the kernel would take its first four bytes for the length, or refuse it in a word. */
function checkPrefix(key: unknown): void {
  const name = key === ipv4 ? 'ipv4' : key === ipv6 ? 'ipv6' : undefined
  if (name !== undefined) throw new TypeError(`LpmTrie: its keys are prefixes, not addresses: use ${name}Prefix`)
}

const LPM_KEY = 'a key is a prefix length, a u32, and 1 to 256 bytes behind it; values have at least a byte'
