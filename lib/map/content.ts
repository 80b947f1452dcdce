import { tryBtfLoad } from '../../syscalls/bpf-btf'
import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { type MapContent, type MapTypes, mapTypes } from '../btf/build/of-map'
import type { Codec } from '../codec'
import { questions } from '../features/lazy'
import { Handle } from '../handle/handle'
import type { MapType } from './attributes'
import type { MapBtf } from './spec'

/**
 * The maps that are made with BTF of their codecs, so that `bpftool map dump` shows fields by name: those whose keys and
 * values are what programs and their users put there. The kernel refuses BTF of maps without keys and of maps of maps
 * (map_check_btf in kernel/bpf/syscall.c), and for fds in maps there is nothing to tell.
 */
const KEYS: Readonly<Partial<Record<MapType, 'index' | 'fd' | 'codec' | 'prefix'>>> = {
  HASH: 'codec',
  LRU_HASH: 'codec',
  PERCPU_HASH: 'codec',
  LRU_PERCPU_HASH: 'codec',
  LPM_TRIE: 'prefix',
  ARRAY: 'index',
  PERCPU_ARRAY: 'index',
  SK_STORAGE: 'fd',
  INODE_STORAGE: 'fd',
  TASK_STORAGE: 'fd',
  CGRP_STORAGE: 'fd',
}

/** What BTF of such a map tells; undefined where there is to be none. */
export function contentOf(
  type: MapType,
  key: Codec<unknown> | undefined,
  value: Codec<unknown>,
): MapContent | undefined {
  const kind = KEYS[type]
  if (kind === undefined) return undefined
  if (kind === 'index' || kind === 'fd') return { key: kind, value }
  return key === undefined ? undefined : { key, value, prefixed: kind === 'prefix' }
}

/**
 * Makes a map with BTF of its content, if that can be had: it is there for people to read, and no map fails for want of
 * it. Without CAP_BPF there is none (BPF_BTF_LOAD: EPERM). Where a map with it is refused, it is made without, and what is
 * then wrong is told.
 */
export function makeDescribed(
  content: MapContent,
  shared: SharedTypes | undefined,
  make: (btf?: MapBtf) => number,
): number {
  const kept = shared?.btf
  return (kept === undefined ? makeOnce(content, make) : tryMake(kept, make)) ?? make()
}

/** The same with BTF that is loaded for this map alone; the map keeps what it needs of it. */
function makeOnce(content: MapContent, make: (btf: MapBtf) => number): number | undefined {
  const types = typesOf(content)
  const fd = load(types)
  if (fd === undefined) return undefined
  try {
    return tryMake({ fd, keyTypeId: types.keyTypeId, valueTypeId: types.valueTypeId }, make)
  } finally {
    closeFd(fd)
  }
}

/** undefined where the refusal may be about BTF. */
function tryMake({ fd, keyTypeId, valueTypeId }: MapBtf, make: (btf: MapBtf) => number): number | undefined {
  try {
    return make({ fd, keyTypeId, valueTypeId })
  } catch (error) {
    if (error instanceof KernelError && BTF_REFUSALS.has(error.code)) return undefined
    throw error
  }
}

/** What map_check_btf and the types' own checks answer, and what is for want of the fd that the BTF has. */
const BTF_REFUSALS: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUPP', 'EMFILE', 'ENFILE'])

function typesOf(content: MapContent): MapTypes {
  return mapTypes(content, () => {
    const { ask, btfQuestion } = questions()
    return ask(btfQuestion('enum64')).has === true
  })
}

/** The fd, or undefined where this process or this kernel takes no BTF. */
function load({ bytes }: MapTypes): number | undefined {
  const { fd, errno } = tryBtfLoad({ btf: bytes })
  return errno === 0 ? fd : undefined
}

/**
 * The BTF of many maps that are alike, loaded at once and kept until `close()`: an outer map makes thousands of inner maps,
 * and to load it each time costs as much as the map. Not with the first of them, as then a write would leave an fd open.
 */
export class SharedTypes {
  readonly #types: MapTypes
  readonly #handle: Handle | undefined

  constructor(content: MapContent, what: string) {
    this.#types = typesOf(content)
    const fd = load(this.#types)
    this.#handle = fd === undefined ? undefined : new Handle(fd, what)
  }

  /** undefined where there is none to be had, and after `close()`. */
  get btf(): MapBtf | undefined {
    if (this.#handle === undefined || this.#handle.closed) return undefined
    const { keyTypeId, valueTypeId } = this.#types
    return { fd: this.#handle.fd, keyTypeId, valueTypeId }
  }

  close(): void {
    this.#handle?.close()
  }
}
