/**
 * union bpf_attr for the commands on maps. The conventions are explained in attr.ts.
 */
import { LE, opt32, opt64, optName, optS32, put64 } from './attr-common'

/** "anonymous struct used by BPF_MAP_CREATE command" */
export interface MapCreateAttr {
  /** enum bpf_map_type */
  map_type: number
  /** size of key in bytes */
  key_size: number
  /** size of value in bytes */
  value_size: number
  /** max number of entries in a map */
  max_entries: number
  /** BPF_F_NO_PREALLOC and others */
  map_flags?: number | undefined
  /** fd of the template of an ARRAY_OF_MAPS or HASH_OF_MAPS */
  inner_map_fd?: number | undefined
  /** effective only with BPF_F_NUMA_NODE */
  numa_node?: number | undefined
  /** at most 15 characters of [A-Za-z0-9_.] */
  map_name?: string | undefined
  /** netdev to create on */
  map_ifindex?: number | undefined
  btf_fd?: number | undefined
  btf_key_type_id?: number | undefined
  btf_value_type_id?: number | undefined
  /** BTF id of a kernel struct that is the map's value (STRUCT_OPS) */
  btf_vmlinux_value_type_id?: number | undefined
  /** BLOOM_FILTER: number of hash functions, in the low 4 bits; ARENA: address to map it at. Linux 5.16 */
  map_extra?: number | bigint | undefined
  /** fd of the module BTF of btf_vmlinux_value_type_id, with BPF_F_VTYPE_BTF_OBJ_FD. Linux 6.9 */
  value_type_btf_obj_fd?: number | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.9 */
  map_token_fd?: number | undefined
  /** address of the SHA-256 of the one program that may use the map. Linux 6.18 */
  excl_prog_hash?: number | undefined
  /** bytes at excl_prog_hash. Linux 6.18 */
  excl_prog_hash_size?: number | undefined
}

export function packMapCreate(attr: DataView, f: MapCreateAttr): number {
  attr.setUint32(0, f.map_type, LE)
  attr.setUint32(4, f.key_size, LE)
  attr.setUint32(8, f.value_size, LE)
  attr.setUint32(12, f.max_entries, LE)
  let size = 16
  size = opt32(attr, size, 16, f.map_flags)
  size = opt32(attr, size, 20, f.inner_map_fd)
  size = opt32(attr, size, 24, f.numa_node)
  size = optName(attr, size, 28, f.map_name)
  size = opt32(attr, size, 44, f.map_ifindex)
  size = opt32(attr, size, 48, f.btf_fd)
  size = opt32(attr, size, 52, f.btf_key_type_id)
  size = opt32(attr, size, 56, f.btf_value_type_id)
  size = opt32(attr, size, 60, f.btf_vmlinux_value_type_id)
  size = opt64(attr, size, 64, f.map_extra)
  size = optS32(attr, size, 72, f.value_type_btf_obj_fd)
  size = optS32(attr, size, 76, f.map_token_fd)
  size = opt64(attr, size, 80, f.excl_prog_hash)
  return opt32(attr, size, 88, f.excl_prog_hash_size)
}

/*
 * "anonymous struct used by BPF_MAP_*_ELEM and BPF_MAP_FREEZE commands":
 *    0  u32 map_fd     (4 bytes of padding)
 *    8  u64 key        address
 *   16  u64 value, or next_key: address
 *   24  u64 flags
 */

/** BPF_MAP_LOOKUP_ELEM and BPF_MAP_LOOKUP_AND_DELETE_ELEM: the kernel writes to `value`. */
export interface MapLookupElemAttr {
  map_fd: number
  /** address of the key; 0 for a queue or a stack */
  key: number
  /** address to write the value to; for a per-CPU map, of a value for each possible CPU */
  value: number
  /** BPF_F_LOCK */
  flags?: number | bigint | undefined
}

/** BPF_MAP_UPDATE_ELEM: the kernel reads from `value`. */
export interface MapUpdateElemAttr {
  map_fd: number
  /** address of the key; 0 for a queue, a stack or a bloom filter */
  key: number
  /** address of the value; of a map of maps, of the inner map's fd */
  value: number
  /** BPF_ANY, BPF_NOEXIST or BPF_EXIST; BPF_F_LOCK */
  flags?: number | bigint | undefined
}

export interface MapDeleteElemAttr {
  map_fd: number
  /** address of the key */
  key: number
}

export interface MapGetNextKeyAttr {
  map_fd: number
  /** address of a key; 0 to be given the first one */
  key: number
  /** address to write the next key to */
  next_key: number
}

export interface MapFreezeAttr {
  map_fd: number
}

function packElem(attr: DataView, f: MapLookupElemAttr): number {
  attr.setUint32(0, f.map_fd, LE)
  put64(attr, 8, f.key)
  put64(attr, 16, f.value)
  return opt64(attr, 24, 24, f.flags)
}

export function packMapLookupElem(attr: DataView, f: MapLookupElemAttr): number {
  return packElem(attr, f)
}

export function packMapUpdateElem(attr: DataView, f: MapUpdateElemAttr): number {
  return packElem(attr, f)
}

export function packMapLookupAndDeleteElem(attr: DataView, f: MapLookupElemAttr): number {
  return packElem(attr, f)
}

export function packMapDeleteElem(attr: DataView, f: MapDeleteElemAttr): number {
  attr.setUint32(0, f.map_fd, LE)
  put64(attr, 8, f.key)
  return 16
}

export function packMapGetNextKey(attr: DataView, f: MapGetNextKeyAttr): number {
  attr.setUint32(0, f.map_fd, LE)
  put64(attr, 8, f.key)
  put64(attr, 16, f.next_key)
  return 24
}

export function packMapFreeze(attr: DataView, f: MapFreezeAttr): number {
  attr.setUint32(0, f.map_fd, LE)
  return 4
}

/*
 * "struct used by BPF_MAP_*_BATCH commands": attr.batch. All of it is always sent, as all of it came with Linux 5.6:
 *    0  u64 in_batch    address of where to go on
 *    8  u64 out_batch   address to write to where to go on next
 *   16  u64 keys        address
 *   24  u64 values      address
 *   32  u32 count       in: how many entries there is room for, or there are; out: how many were done
 *   36  u32 map_fd
 *   40  u64 elem_flags
 *   48  u64 flags       none so far
 */

/** BPF_MAP_LOOKUP_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH: the kernel writes to out_batch, keys, values and count. */
export interface MapLookupBatchAttr {
  map_fd: number
  /** address of what the last call wrote to out_batch; 0 to start */
  in_batch: number
  /** address of a u32, or, for maps other than a hash, of a key: the larger of both is always enough */
  out_batch: number
  /** address of `count` keys */
  keys: number
  /** address of `count` values */
  values: number
  count: number
  /** BPF_F_LOCK */
  elem_flags?: number | bigint | undefined
  flags?: number | bigint | undefined
}

/** BPF_MAP_UPDATE_BATCH: the kernel reads keys and values, and writes count. */
export interface MapUpdateBatchAttr {
  map_fd: number
  keys: number
  values: number
  count: number
  /** BPF_F_LOCK; not BPF_NOEXIST or BPF_EXIST */
  elem_flags?: number | bigint | undefined
  flags?: number | bigint | undefined
}

/** BPF_MAP_DELETE_BATCH: the kernel reads keys, and writes count. */
export interface MapDeleteBatchAttr {
  map_fd: number
  keys: number
  count: number
  elem_flags?: number | bigint | undefined
  flags?: number | bigint | undefined
}

function packBatch(attr: DataView, f: MapDeleteBatchAttr): number {
  put64(attr, 16, f.keys)
  attr.setUint32(32, f.count, LE)
  attr.setUint32(36, f.map_fd, LE)
  put64(attr, 40, f.elem_flags ?? 0)
  put64(attr, 48, f.flags ?? 0)
  return 56
}

export function packMapLookupBatch(attr: DataView, f: MapLookupBatchAttr): number {
  put64(attr, 0, f.in_batch)
  put64(attr, 8, f.out_batch)
  put64(attr, 24, f.values)
  return packBatch(attr, f)
}

export function packMapLookupAndDeleteBatch(attr: DataView, f: MapLookupBatchAttr): number {
  return packMapLookupBatch(attr, f)
}

export function packMapUpdateBatch(attr: DataView, f: MapUpdateBatchAttr): number {
  put64(attr, 24, f.values)
  return packBatch(attr, f)
}

export function packMapDeleteBatch(attr: DataView, f: MapDeleteBatchAttr): number {
  return packBatch(attr, f)
}

/**
 * batch.count, which the kernel writes back: how many entries were done. On ENOTSUPP (524) it is left as it was sent.
 */
export function readBatchCount(attr: DataView): number {
  return attr.getUint32(32, LE)
}
