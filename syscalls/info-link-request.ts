/** What a caller may put into a struct bpf_link_info before asking: room for names and arrays. */
import { opt32, opt64 } from './attr-common'

/**
 * One member of the union in struct bpf_link_info, by its name. It must be that of the link's type: ask once without
 * a request for the type, then again with room for what that type has.
 */
export type LinkInfoRequest =
  | { member: 'raw_tracepoint'; tp_name: number; tp_name_len: number }
  | { member: 'iter'; target_name: number; target_name_len: number }
  | {
      member: 'kprobe_multi'
      /** address of `count` u64s */
      addrs?: number | undefined
      count: number
      /** address of `count` u64s. Linux 6.9 */
      cookies?: number | undefined
    }
  | {
      member: 'uprobe_multi'
      path?: number | undefined
      path_size?: number | undefined
      /** address of `count` u64s, as the two others */
      offsets?: number | undefined
      ref_ctr_offsets?: number | undefined
      cookies?: number | undefined
      count?: number | undefined
    }
  | {
      member: 'perf_event'
      /** file_name, func_name or tp_name, which are at one place */
      name: number
      name_len: number
    }
  | {
      member: 'tracing_multi'
      count: number
      /** address of `count` u32s */
      ids?: number | undefined
      /** address of `count` u64s */
      addrs?: number | undefined
      /** address of `count` u64s */
      cookies?: number | undefined
    }

/** Writes the request into a zeroed info; the result is the least info_len to ask for. */
export function packLinkInfo(view: DataView, f: LinkInfoRequest): number {
  let size = 32 // sizeof(struct bpf_link_info) of Linux 5.10
  switch (f.member) {
    case 'raw_tracepoint':
      opt64(view, 0, 16, f.tp_name)
      opt32(view, 0, 24, f.tp_name_len)
      return size
    case 'iter':
      opt64(view, 0, 16, f.target_name)
      opt32(view, 0, 24, f.target_name_len)
      return size
    case 'kprobe_multi':
      opt64(view, 0, 16, f.addrs)
      opt32(view, 0, 24, f.count)
      return opt64(view, size, 40, f.cookies)
    case 'uprobe_multi':
      opt64(view, 0, 16, f.path)
      opt64(view, 0, 24, f.offsets)
      size = opt64(view, size, 32, f.ref_ctr_offsets)
      size = opt64(view, size, 40, f.cookies)
      size = opt32(view, size, 48, f.path_size)
      return opt32(view, size, 52, f.count)
    case 'perf_event':
      opt64(view, 0, 24, f.name)
      return opt32(view, size, 32, f.name_len)
    case 'tracing_multi':
      opt32(view, 0, 20, f.count)
      size = opt64(view, size, 32, f.ids)
      size = opt64(view, size, 40, f.addrs)
      return opt64(view, size, 48, f.cookies)
  }
}
