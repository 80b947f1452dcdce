/** struct bpf_link_info. The conventions are explained in info.ts. */
import { LE } from './attr-common'
import { address, optAddress, optU32, optU64, requireLength, u32, u64 } from './info-common'
import * as t from './uapi-link'

/** sizeof(struct bpf_link_info) of Linux 6.18. */
export const LINK_INFO_SIZE = 64
const LINK_INFO_MIN = 32 // Linux 5.10

/*
 * The members of the union, each for the link type in its name. Addresses are those that the caller gave (see
 * LinkInfoRequest). Some fields within the first 32 bytes are younger than Linux 5.10, and read 0 there.
 */

export interface RawTracepointLinkInfo {
  tp_name: number
  /** in: bytes at tp_name; out: the length of the name, with its NUL */
  tp_name_len: number
  cookie: bigint | undefined
}

export interface TracingLinkInfo {
  attach_type: number
  /** id of the program that an EXT replaces a function of, of the BTF otherwise. Linux 5.15 */
  target_obj_id: number
  target_btf_id: number
  cookie: bigint | undefined
}

export interface CgroupLinkInfo {
  cgroup_id: bigint
  attach_type: number
}

/** Which of map, cgroup and task is real, target_name tells ('bpf_map_elem', 'cgroup', 'task', ...). */
export interface IterLinkInfo {
  target_name: number
  /** in: bytes at target_name; out: the length of the name, with its NUL */
  target_name_len: number
  map: { map_id: number }
  cgroup: { cgroup_id: bigint | undefined; order: number | undefined }
  task: { tid: number | undefined; pid: number | undefined }
}

export interface NetnsLinkInfo {
  netns_ino: number
  attach_type: number
}

export interface XdpLinkInfo {
  /** 0 once the device is gone, or the link was detached */
  ifindex: number
}

export interface StructOpsLinkInfo {
  map_id: number
}

export interface NetfilterLinkInfo {
  pf: number
  hooknum: number
  priority: number
  flags: number
}

export interface KprobeMultiLinkInfo {
  addrs: number
  /** in: room at addrs and cookies; out: number of functions */
  count: number
  flags: number
  missed: bigint | undefined
  cookies: number | undefined
}

export interface UprobeMultiLinkInfo {
  path: number
  offsets: number
  ref_ctr_offsets: number | undefined
  cookies: number | undefined
  /** in: bytes at path; out: the length of the path, with its NUL */
  path_size: number | undefined
  /** in: room at the arrays; out: number of probes */
  count: number | undefined
  flags: number | undefined
  pid: number | undefined
}

/** `type` says which of the others is real, by enum bpf_perf_event_type. */
export interface PerfEventLinkInfo {
  type: number
  /** BPF_PERF_EVENT_UPROBE, BPF_PERF_EVENT_URETPROBE */
  uprobe?: {
    file_name: number
    name_len: number | undefined
    offset: number | undefined
    cookie: bigint | undefined
    ref_ctr_offset: bigint | undefined
  }
  /** BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE */
  kprobe?: {
    func_name: number
    name_len: number | undefined
    offset: number | undefined
    addr: bigint | undefined
    missed: bigint | undefined
    cookie: bigint | undefined
  }
  /** BPF_PERF_EVENT_TRACEPOINT */
  tracepoint?: { tp_name: number; name_len: number | undefined; cookie: bigint | undefined }
  /** BPF_PERF_EVENT_EVENT */
  event?: { config: bigint; type: number | undefined; cookie: bigint | undefined }
}

/** Of tcx and netkit links. */
export interface NetdevLinkInfo {
  ifindex: number
  attach_type: number
}

export interface SockmapLinkInfo {
  map_id: number
  attach_type: number
}

/** After Linux 6.18 */
export interface TracingMultiLinkInfo {
  attach_type: number
  /** in: room at the arrays; out: number of targets */
  count: number
  btf_obj_id: number
  ids: number | undefined
  addrs: number | undefined
  cookies: number | undefined
}

/** struct bpf_link_info: of the members after prog_id, the one of the link's type is there. */
export interface LinkInfo {
  /** enum bpf_link_type */
  type: number
  id: number
  /** 0 for a STRUCT_OPS link, which has a map */
  prog_id: number
  raw_tracepoint?: RawTracepointLinkInfo
  tracing?: TracingLinkInfo
  cgroup?: CgroupLinkInfo
  iter?: IterLinkInfo
  netns?: NetnsLinkInfo
  xdp?: XdpLinkInfo
  struct_ops?: StructOpsLinkInfo
  netfilter?: NetfilterLinkInfo
  kprobe_multi?: KprobeMultiLinkInfo
  uprobe_multi?: UprobeMultiLinkInfo
  perf_event?: PerfEventLinkInfo
  tcx?: NetdevLinkInfo
  netkit?: NetdevLinkInfo
  sockmap?: SockmapLinkInfo
  tracing_multi?: TracingMultiLinkInfo
}

export function readLinkInfo(view: DataView, length: number): LinkInfo {
  requireLength('bpf_link_info', view, length, LINK_INFO_MIN)
  const type = u32(view, 0)
  return { type, id: u32(view, 4), prog_id: u32(view, 8), ...readUnion(view, length, type) }
}

/** The union begins at 16: it has u64s, so the 4 bytes after prog_id are padding. */
function readUnion(v: DataView, length: number, type: number): Partial<LinkInfo> {
  switch (type) {
    case t.BPF_LINK_TYPE_RAW_TRACEPOINT:
      return { raw_tracepoint: { tp_name: address(v, 16), tp_name_len: u32(v, 24), cookie: optU64(v, length, 32) } }
    case t.BPF_LINK_TYPE_TRACING:
      return {
        tracing: {
          attach_type: u32(v, 16),
          target_obj_id: u32(v, 20),
          target_btf_id: u32(v, 24),
          cookie: optU64(v, length, 32),
        },
      }
    case t.BPF_LINK_TYPE_CGROUP:
      return { cgroup: { cgroup_id: u64(v, 16), attach_type: u32(v, 24) } }
    case t.BPF_LINK_TYPE_ITER:
      return {
        iter: {
          target_name: address(v, 16),
          target_name_len: u32(v, 24),
          map: { map_id: u32(v, 28) },
          cgroup: { cgroup_id: optU64(v, length, 32), order: optU32(v, length, 40) },
          task: { tid: optU32(v, length, 32), pid: optU32(v, length, 36) },
        },
      }
    case t.BPF_LINK_TYPE_NETNS:
      return { netns: { netns_ino: u32(v, 16), attach_type: u32(v, 20) } }
    case t.BPF_LINK_TYPE_XDP:
      return { xdp: { ifindex: u32(v, 16) } }
    case t.BPF_LINK_TYPE_PERF_EVENT:
      return { perf_event: readPerfEvent(v, length) }
    case t.BPF_LINK_TYPE_KPROBE_MULTI:
      return {
        kprobe_multi: {
          addrs: address(v, 16),
          count: u32(v, 24),
          flags: u32(v, 28),
          missed: optU64(v, length, 32),
          cookies: optAddress(v, length, 40),
        },
      }
    case t.BPF_LINK_TYPE_STRUCT_OPS:
      return { struct_ops: { map_id: u32(v, 16) } }
    case t.BPF_LINK_TYPE_NETFILTER:
      return {
        netfilter: { pf: u32(v, 16), hooknum: u32(v, 20), priority: v.getInt32(24, LE), flags: u32(v, 28) },
      }
    case t.BPF_LINK_TYPE_TCX:
      return { tcx: { ifindex: u32(v, 16), attach_type: u32(v, 20) } }
    case t.BPF_LINK_TYPE_UPROBE_MULTI:
      return {
        uprobe_multi: {
          path: address(v, 16),
          offsets: address(v, 24),
          ref_ctr_offsets: optAddress(v, length, 32),
          cookies: optAddress(v, length, 40),
          path_size: optU32(v, length, 48),
          count: optU32(v, length, 52),
          flags: optU32(v, length, 56),
          pid: optU32(v, length, 60),
        },
      }
    case t.BPF_LINK_TYPE_NETKIT:
      return { netkit: { ifindex: u32(v, 16), attach_type: u32(v, 20) } }
    case t.BPF_LINK_TYPE_SOCKMAP:
      return { sockmap: { map_id: u32(v, 16), attach_type: u32(v, 20) } }
    case t.BPF_LINK_TYPE_TRACING_MULTI:
      return {
        tracing_multi: {
          attach_type: u32(v, 16),
          count: u32(v, 20),
          btf_obj_id: u32(v, 24),
          ids: optAddress(v, length, 32),
          addrs: optAddress(v, length, 40),
          cookies: optAddress(v, length, 48),
        },
      }
    default:
      return {} // a link type younger than this file
  }
}

function readPerfEvent(v: DataView, length: number): PerfEventLinkInfo {
  const type = u32(v, 16)
  switch (type) {
    case t.BPF_PERF_EVENT_UPROBE:
    case t.BPF_PERF_EVENT_URETPROBE:
      return {
        type,
        uprobe: {
          file_name: address(v, 24),
          name_len: optU32(v, length, 32),
          offset: optU32(v, length, 36),
          cookie: optU64(v, length, 40),
          ref_ctr_offset: optU64(v, length, 48),
        },
      }
    case t.BPF_PERF_EVENT_KPROBE:
    case t.BPF_PERF_EVENT_KRETPROBE:
      return {
        type,
        kprobe: {
          func_name: address(v, 24),
          name_len: optU32(v, length, 32),
          offset: optU32(v, length, 36),
          addr: optU64(v, length, 40),
          missed: optU64(v, length, 48),
          cookie: optU64(v, length, 56),
        },
      }
    case t.BPF_PERF_EVENT_TRACEPOINT:
      return {
        type,
        tracepoint: {
          tp_name: address(v, 24),
          name_len: optU32(v, length, 32),
          cookie: optU64(v, length, 40),
        },
      }
    case t.BPF_PERF_EVENT_EVENT:
      return { type, event: { config: u64(v, 24), type: optU32(v, length, 32), cookie: optU64(v, length, 40) } }
    default:
      return { type }
  }
}
