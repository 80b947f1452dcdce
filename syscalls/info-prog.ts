/** struct bpf_prog_info. The conventions are explained in info.ts. */
import { LE, opt32, opt64 } from './attr-common'
import { address, name16, optU32, optU64, requireLength, u32, u64 } from './info-common'

/** sizeof(struct bpf_prog_info) of Linux 6.18. */
export const PROG_INFO_SIZE = 232
const PROG_INFO_MIN = 208 // Linux 5.10

/**
 * struct bpf_prog_info. The addresses are those that the caller gave (see ProgInfoRequest); the lengths and nr_...
 * say how much there is, which may be more than there was room for. What the caller may not see (bpf_capable() in
 * kernel/bpf/syscall.c) has length 0.
 */
export interface ProgInfo {
  type: number
  id: number
  /** the hash of the instructions, in hex */
  tag: string
  jited_prog_len: number
  xlated_prog_len: number
  jited_prog_insns: number
  xlated_prog_insns: number
  /** nanoseconds since boot */
  load_time: bigint
  created_by_uid: number
  nr_map_ids: number
  map_ids: number
  name: string
  ifindex: number
  gpl_compatible: boolean
  netns_dev: bigint
  netns_ino: bigint
  nr_jited_ksyms: number
  nr_jited_func_lens: number
  jited_ksyms: number
  jited_func_lens: number
  btf_id: number
  func_info_rec_size: number
  func_info: number
  nr_func_info: number
  nr_line_info: number
  line_info: number
  jited_line_info: number
  nr_jited_line_info: number
  line_info_rec_size: number
  jited_line_info_rec_size: number
  nr_prog_tags: number
  prog_tags: number
  /** counts only while somebody holds the fd of BPF_ENABLE_STATS */
  run_time_ns: bigint
  /** counts only while somebody holds the fd of BPF_ENABLE_STATS */
  run_cnt: bigint
  /** Linux 5.12 */
  recursion_misses: bigint | undefined
  /** Linux 5.16 */
  verified_insns: number | undefined
  /** Linux 6.0 */
  attach_btf_obj_id: number | undefined
  /** Linux 6.0 */
  attach_btf_id: number | undefined
}

export function readProgInfo(view: DataView, length: number): ProgInfo {
  requireLength('bpf_prog_info', view, length, PROG_INFO_MIN)
  return {
    type: u32(view, 0),
    id: u32(view, 4),
    tag: view.getBigUint64(8).toString(16).padStart(16, '0'), // bytes, so the same in both byte orders
    jited_prog_len: u32(view, 16),
    xlated_prog_len: u32(view, 20),
    jited_prog_insns: address(view, 24),
    xlated_prog_insns: address(view, 32),
    load_time: u64(view, 40),
    created_by_uid: u32(view, 48),
    nr_map_ids: u32(view, 52),
    map_ids: address(view, 56),
    name: name16(view, 64),
    ifindex: u32(view, 80),
    // __u32 gpl_compatible:1 is the lowest bit of the u32 where the byte order is little-endian, the highest where it
    // is big-endian.
    gpl_compatible: (view.getUint8(84) & (LE ? 0x01 : 0x80)) !== 0,
    netns_dev: u64(view, 88),
    netns_ino: u64(view, 96),
    nr_jited_ksyms: u32(view, 104),
    nr_jited_func_lens: u32(view, 108),
    jited_ksyms: address(view, 112),
    jited_func_lens: address(view, 120),
    btf_id: u32(view, 128),
    func_info_rec_size: u32(view, 132),
    func_info: address(view, 136),
    nr_func_info: u32(view, 144),
    nr_line_info: u32(view, 148),
    line_info: address(view, 152),
    jited_line_info: address(view, 160),
    nr_jited_line_info: u32(view, 168),
    line_info_rec_size: u32(view, 172),
    jited_line_info_rec_size: u32(view, 176),
    nr_prog_tags: u32(view, 180),
    prog_tags: address(view, 184),
    run_time_ns: u64(view, 192),
    run_cnt: u64(view, 200),
    recursion_misses: optU64(view, length, 208),
    verified_insns: optU32(view, length, 216),
    attach_btf_obj_id: optU32(view, length, 220),
    attach_btf_id: optU32(view, length, 224),
  }
}

/**
 * What a caller may put into a struct bpf_prog_info beforehand: room for what is to be written, each with its count
 * or length.
 */
export interface ProgInfoRequest {
  /** bytes */
  jited_prog_len?: number | undefined
  /** bytes */
  xlated_prog_len?: number | undefined
  /** address of jited_prog_len bytes */
  jited_prog_insns?: number | undefined
  /** address of xlated_prog_len bytes */
  xlated_prog_insns?: number | undefined
  nr_map_ids?: number | undefined
  /** address of u32s */
  map_ids?: number | undefined
  nr_jited_ksyms?: number | undefined
  nr_jited_func_lens?: number | undefined
  /** address of u64s */
  jited_ksyms?: number | undefined
  /** address of u32s */
  jited_func_lens?: number | undefined
  /** bytes of a record: 8; the kernel answers with what it has */
  func_info_rec_size?: number | undefined
  /** address of records */
  func_info?: number | undefined
  nr_func_info?: number | undefined
  nr_line_info?: number | undefined
  /** address of records */
  line_info?: number | undefined
  /** address of u64s */
  jited_line_info?: number | undefined
  nr_jited_line_info?: number | undefined
  /** bytes of a record: 16 */
  line_info_rec_size?: number | undefined
  /** bytes of a record: 8 */
  jited_line_info_rec_size?: number | undefined
  nr_prog_tags?: number | undefined
  /** address of 8-byte tags */
  prog_tags?: number | undefined
}

/** Writes the request into a zeroed info; the result is the least info_len to ask for. */
export function packProgInfo(view: DataView, f: ProgInfoRequest): number {
  opt32(view, 0, 16, f.jited_prog_len)
  opt32(view, 0, 20, f.xlated_prog_len)
  opt64(view, 0, 24, f.jited_prog_insns)
  opt64(view, 0, 32, f.xlated_prog_insns)
  opt32(view, 0, 52, f.nr_map_ids)
  opt64(view, 0, 56, f.map_ids)
  opt32(view, 0, 104, f.nr_jited_ksyms)
  opt32(view, 0, 108, f.nr_jited_func_lens)
  opt64(view, 0, 112, f.jited_ksyms)
  opt64(view, 0, 120, f.jited_func_lens)
  opt32(view, 0, 132, f.func_info_rec_size)
  opt64(view, 0, 136, f.func_info)
  opt32(view, 0, 144, f.nr_func_info)
  opt32(view, 0, 148, f.nr_line_info)
  opt64(view, 0, 152, f.line_info)
  opt64(view, 0, 160, f.jited_line_info)
  opt32(view, 0, 168, f.nr_jited_line_info)
  opt32(view, 0, 172, f.line_info_rec_size)
  opt32(view, 0, 176, f.jited_line_info_rec_size)
  opt32(view, 0, 180, f.nr_prog_tags)
  opt64(view, 0, 184, f.prog_tags)
  return PROG_INFO_MIN
}
