/** struct bpf_map_info, bpf_btf_info and bpf_token_info. The conventions are explained in info.ts. */
import { opt32, opt64 } from './attr-common'
import { address, name16, optAddress, optU32, optU64, requireLength, u32, u64 } from './info-common'

/** sizeof(struct bpf_map_info) of Linux 6.18. */
export const MAP_INFO_SIZE = 104
const MAP_INFO_MIN = 80 // Linux 5.10

/** struct bpf_map_info */
export interface MapInfo {
  type: number
  id: number
  key_size: number
  value_size: number
  max_entries: number
  map_flags: number
  name: string
  ifindex: number
  btf_vmlinux_value_type_id: number
  netns_dev: bigint
  netns_ino: bigint
  btf_id: number
  btf_key_type_id: number
  btf_value_type_id: number
  /** BTF object of btf_vmlinux_value_type_id. Linux 6.9; the bytes were padding before, and read 0. */
  btf_vmlinux_id: number
  /** Linux 5.16 */
  map_extra: bigint | undefined
  /** address that the caller gave for the map's hash. Linux 6.18 */
  hash: number | undefined
  /** Linux 6.18 */
  hash_size: number | undefined
}

export function readMapInfo(view: DataView, length: number): MapInfo {
  requireLength('bpf_map_info', view, length, MAP_INFO_MIN)
  return {
    type: u32(view, 0),
    id: u32(view, 4),
    key_size: u32(view, 8),
    value_size: u32(view, 12),
    max_entries: u32(view, 16),
    map_flags: u32(view, 20),
    name: name16(view, 24),
    ifindex: u32(view, 40),
    btf_vmlinux_value_type_id: u32(view, 44),
    netns_dev: u64(view, 48),
    netns_ino: u64(view, 56),
    btf_id: u32(view, 64),
    btf_key_type_id: u32(view, 68),
    btf_value_type_id: u32(view, 72),
    btf_vmlinux_id: u32(view, 76),
    map_extra: optU64(view, length, 80),
    hash: optAddress(view, length, 88),
    hash_size: optU32(view, length, 96),
  }
}

/** What a caller may put into a struct bpf_map_info beforehand. */
export interface MapInfoRequest {
  /** address to write the map's SHA-256 to. Linux 6.18 */
  hash?: number | undefined
  /** bytes at hash: 32 */
  hash_size?: number | undefined
}

/** Writes the request into a zeroed info; the result is the least info_len to ask for. */
export function packMapInfo(view: DataView, f: MapInfoRequest): number {
  const size = opt64(view, MAP_INFO_MIN, 88, f.hash)
  return opt32(view, size, 96, f.hash_size)
}

/** sizeof(struct bpf_btf_info). */
export const BTF_INFO_SIZE = 32
const BTF_INFO_MIN = 16 // Linux 5.10

/** struct bpf_btf_info */
export interface BtfInfo {
  /** address that the caller gave for the BTF's bytes */
  btf: number
  /** in: bytes at `btf`; out: the size of the whole BTF */
  btf_size: number
  id: number
  /** address that the caller gave for the name. Linux 5.11 */
  name: number | undefined
  /** in: bytes at `name`; out: the length of the name, without its NUL. Linux 5.11 */
  name_len: number | undefined
  /** 1 for vmlinux and modules. Linux 5.11 */
  kernel_btf: number | undefined
}

export function readBtfInfo(view: DataView, length: number): BtfInfo {
  requireLength('bpf_btf_info', view, length, BTF_INFO_MIN)
  return {
    btf: address(view, 0),
    btf_size: u32(view, 8),
    id: u32(view, 12),
    name: optAddress(view, length, 16),
    name_len: optU32(view, length, 24),
    kernel_btf: optU32(view, length, 28),
  }
}

/** What a caller may put into a struct bpf_btf_info beforehand. */
export interface BtfInfoRequest {
  /** address to write the BTF to */
  btf?: number | undefined
  /** bytes at `btf` */
  btf_size?: number | undefined
  /** address to write the name to. Linux 5.11 */
  name?: number | undefined
  /** bytes at `name`. Linux 5.11 */
  name_len?: number | undefined
}

/** Writes the request into a zeroed info; the result is the least info_len to ask for. */
export function packBtfInfo(view: DataView, f: BtfInfoRequest): number {
  let size = BTF_INFO_MIN
  size = Math.max(size, opt64(view, size, 0, f.btf))
  size = Math.max(size, opt32(view, size, 8, f.btf_size))
  size = opt64(view, size, 16, f.name)
  return opt32(view, size, 24, f.name_len)
}

/** sizeof(struct bpf_token_info). */
export const TOKEN_INFO_SIZE = 32

/** struct bpf_token_info. Linux 6.17 */
export interface TokenInfo {
  /** bit n: command n is delegated */
  allowed_cmds: bigint
  /** bit n: map type n */
  allowed_maps: bigint
  /** bit n: program type n */
  allowed_progs: bigint
  /** bit n: attach type n */
  allowed_attachs: bigint
}

export function readTokenInfo(view: DataView, length: number): TokenInfo {
  requireLength('bpf_token_info', view, length, TOKEN_INFO_SIZE)
  return {
    allowed_cmds: u64(view, 0),
    allowed_maps: u64(view, 8),
    allowed_progs: u64(view, 16),
    allowed_attachs: u64(view, 24),
  }
}
