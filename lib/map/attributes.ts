import * as uapi from '../../syscalls/uapi-map'
import { nearest } from '../text/nearest'
import { withoutPrefix } from '../text/without-prefix'

/** The kernel's map types under their own names, without the prefix BPF_MAP_TYPE_. */
export const MAP_TYPES = {
  HASH: uapi.BPF_MAP_TYPE_HASH,
  ARRAY: uapi.BPF_MAP_TYPE_ARRAY,
  PROG_ARRAY: uapi.BPF_MAP_TYPE_PROG_ARRAY,
  PERF_EVENT_ARRAY: uapi.BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  PERCPU_HASH: uapi.BPF_MAP_TYPE_PERCPU_HASH,
  PERCPU_ARRAY: uapi.BPF_MAP_TYPE_PERCPU_ARRAY,
  STACK_TRACE: uapi.BPF_MAP_TYPE_STACK_TRACE,
  CGROUP_ARRAY: uapi.BPF_MAP_TYPE_CGROUP_ARRAY,
  LRU_HASH: uapi.BPF_MAP_TYPE_LRU_HASH,
  LRU_PERCPU_HASH: uapi.BPF_MAP_TYPE_LRU_PERCPU_HASH,
  LPM_TRIE: uapi.BPF_MAP_TYPE_LPM_TRIE,
  ARRAY_OF_MAPS: uapi.BPF_MAP_TYPE_ARRAY_OF_MAPS,
  HASH_OF_MAPS: uapi.BPF_MAP_TYPE_HASH_OF_MAPS,
  DEVMAP: uapi.BPF_MAP_TYPE_DEVMAP,
  SOCKMAP: uapi.BPF_MAP_TYPE_SOCKMAP,
  CPUMAP: uapi.BPF_MAP_TYPE_CPUMAP,
  XSKMAP: uapi.BPF_MAP_TYPE_XSKMAP,
  SOCKHASH: uapi.BPF_MAP_TYPE_SOCKHASH,
  CGROUP_STORAGE: uapi.BPF_MAP_TYPE_CGROUP_STORAGE,
  REUSEPORT_SOCKARRAY: uapi.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
  PERCPU_CGROUP_STORAGE: uapi.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  QUEUE: uapi.BPF_MAP_TYPE_QUEUE,
  STACK: uapi.BPF_MAP_TYPE_STACK,
  SK_STORAGE: uapi.BPF_MAP_TYPE_SK_STORAGE,
  DEVMAP_HASH: uapi.BPF_MAP_TYPE_DEVMAP_HASH,
  STRUCT_OPS: uapi.BPF_MAP_TYPE_STRUCT_OPS,
  RINGBUF: uapi.BPF_MAP_TYPE_RINGBUF,
  INODE_STORAGE: uapi.BPF_MAP_TYPE_INODE_STORAGE,
  TASK_STORAGE: uapi.BPF_MAP_TYPE_TASK_STORAGE,
  BLOOM_FILTER: uapi.BPF_MAP_TYPE_BLOOM_FILTER,
  USER_RINGBUF: uapi.BPF_MAP_TYPE_USER_RINGBUF,
  CGRP_STORAGE: uapi.BPF_MAP_TYPE_CGRP_STORAGE,
  ARENA: uapi.BPF_MAP_TYPE_ARENA,
} as const

export type MapType = keyof typeof MAP_TYPES

const TYPE_NAMES = new Map<number, MapType>(
  Object.entries(MAP_TYPES).map(([name, number]) => [number, name as MapType]),
)

/** 'HASH' for 1; `type 34` for one that this library does not know. */
export function mapTypeLabel(type: number): MapType | `type ${number}` {
  return TYPE_NAMES.get(type) ?? `type ${type}`
}

/** The flags of BPF_MAP_CREATE under the kernel's names, without the prefix BPF_F_. */
export const MAP_FLAGS = {
  NO_PREALLOC: uapi.BPF_F_NO_PREALLOC,
  NO_COMMON_LRU: uapi.BPF_F_NO_COMMON_LRU,
  NUMA_NODE: uapi.BPF_F_NUMA_NODE,
  RDONLY: uapi.BPF_F_RDONLY,
  WRONLY: uapi.BPF_F_WRONLY,
  STACK_BUILD_ID: uapi.BPF_F_STACK_BUILD_ID,
  ZERO_SEED: uapi.BPF_F_ZERO_SEED,
  RDONLY_PROG: uapi.BPF_F_RDONLY_PROG,
  WRONLY_PROG: uapi.BPF_F_WRONLY_PROG,
  CLONE: uapi.BPF_F_CLONE,
  MMAPABLE: uapi.BPF_F_MMAPABLE,
  PRESERVE_ELEMS: uapi.BPF_F_PRESERVE_ELEMS,
  INNER_MAP: uapi.BPF_F_INNER_MAP,
  LINK: uapi.BPF_F_LINK,
  VTYPE_BTF_OBJ_FD: uapi.BPF_F_VTYPE_BTF_OBJ_FD,
  TOKEN_FD: uapi.BPF_F_TOKEN_FD,
  SEGV_ON_FAULT: uapi.BPF_F_SEGV_ON_FAULT,
  NO_USER_CONV: uapi.BPF_F_NO_USER_CONV,
  RB_OVERWRITE: uapi.BPF_F_RB_OVERWRITE,
} as const

export type MapFlag = keyof typeof MAP_FLAGS

/** Flags of the handle, not of the map: the kernel forgets them in map_flags (bpf_map_flags_retain_permanent). */
const HANDLE_FLAGS = uapi.BPF_F_RDONLY | uapi.BPF_F_WRONLY

/** What the map itself keeps of its creation flags. */
export function permanentFlags(flags: number): number {
  return flags & ~HANDLE_FLAGS
}

/** The bits of flags given by name. */
export function flagBits(flags: readonly MapFlag[] = []): number {
  if (!Array.isArray(flags)) throw new TypeError("flags are given as a list of names: ['NO_PREALLOC']")
  let bits = 0
  for (const flag of flags) {
    const bit: number | undefined = MAP_FLAGS[flag as MapFlag]
    if (bit === undefined) {
      const known = Object.keys(MAP_FLAGS)
      const near = nearest(String(flag), known)
      const did = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`
      throw new RangeError(`no map flag is called ${String(flag)}: ${withoutPrefix(flag, known) ?? did}`)
    }
    bits |= bit
  }
  return bits
}

/** The names of flag bits; a bit without a name is given as a number. */
export function flagNames(bits: number): (MapFlag | number)[] {
  if (bits === 0) return []
  const names: (MapFlag | number)[] = []
  let rest = bits
  for (const [name, bit] of Object.entries(MAP_FLAGS)) {
    if ((rest & bit) === 0) continue
    names.push(name as MapFlag)
    rest &= ~bit
  }
  if (rest !== 0) names.push(rest >>> 0)
  return names
}

/** BPF_OBJ_NAME_LEN is 16, with the terminating NUL. */
const NAME = /^[A-Za-z0-9_.]{0,15}$/

/** Refuses what the kernel answers with a bare EINVAL (bpf_obj_name_cpy). */
export function checkName(name: string): void {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, not ${typeof name}`)
  if (!NAME.test(name)) {
    throw new RangeError(`${JSON.stringify(name)} cannot be a map's name: up to 15 of A-Z a-z 0-9 _ . can`)
  }
}

/** Refuses a u32 attribute that would be wrapped in silence further down. */
export function checkU32(what: string, value: number, least = 0): void {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number, not ${typeof value}`)
  if (!Number.isInteger(value) || value < least || value > 0xffffffff) {
    throw new RangeError(`${value} cannot be ${what}: integers from ${least} to 4294967295 can`)
  }
}

/** A u64 attribute as a bigint; refuses what a DataView would wrap in silence. */
export function checkU64(what: string, value: number | bigint): bigint {
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw new TypeError(`${what} must be a number or a bigint, not ${typeof value}`)
  }
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} cannot be ${what}: integers can, above 2^53 as bigints`)
  }
  if (value < 0 || value > 0xffffffffffffffffn) {
    throw new RangeError(`${value} cannot be ${what}: integers from 0 to 2^64 - 1 can`)
  }
  return BigInt(value)
}
