/**
 * union bpf_attr for links: BPF_LINK_CREATE and what follows it. The conventions are explained in attr.ts.
 */
import { type Either, LE, opt32, opt64, optS32, type Perhaps, put64 } from './attr-common'

/**
 * Where a tcx, netkit or cgroup link stands among others: before or after `relative_fd` or `relative_id`
 * (BPF_F_BEFORE, BPF_F_AFTER).
 */
type Relative = Perhaps<'relative_fd', 'relative_id'> & {
  /** what BPF_PROG_QUERY said; EBUSY if the list has changed since; 0 for any */
  expected_revision?: number | bigint | undefined
}

/**
 * The union in attr.link_create, of which one member counts. `member` is its name in bpf.h, but for 'target_btf_id'
 * and 'iter', which have none there: a bare u32, and an anonymous struct.
 */
export type LinkCreateUnion =
  | {
      member: 'target_btf_id'
      target_btf_id: number
    }
  | {
      /** BPF_TRACE_ITER */
      member: 'iter'
      /** address of a union bpf_iter_link_info */
      iter_info: number
      /** bytes at iter_info */
      iter_info_len: number
    }
  | {
      /** BPF_PERF_EVENT: a perf_event_open(2) fd is the target. Linux 5.15 */
      member: 'perf_event'
      bpf_cookie: number | bigint
    }
  | {
      /** BPF_TRACE_KPROBE_MULTI, BPF_TRACE_KPROBE_SESSION. Linux 5.18 */
      member: 'kprobe_multi'
      /** BPF_F_KPROBE_MULTI_RETURN */
      flags?: number | undefined
      cnt: number
      /** address of an array of addresses of NUL-terminated names, or 0 */
      syms?: number | undefined
      /** address of an array of kernel addresses, or 0 */
      addrs?: number | undefined
      /** address of an array of u64, or 0 */
      cookies?: number | undefined
    }
  | {
      /** BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN, BPF_LSM_MAC, BPF_TRACE_RAW_TP. Linux 5.19 */
      member: 'tracing'
      /** overlaid with the bare target_btf_id */
      target_btf_id?: number | undefined
      cookie?: number | bigint | undefined
    }
  | {
      /** BPF_NETFILTER. Linux 6.4 */
      member: 'netfilter'
      /** NFPROTO_IPV4 or NFPROTO_IPV6 */
      pf: number
      /** NF_INET_PRE_ROUTING ... */
      hooknum: number
      priority: number
      /** BPF_F_NETFILTER_IP_DEFRAG */
      flags?: number | undefined
    }
  /** BPF_TCX_INGRESS, BPF_TCX_EGRESS. Linux 6.6 */
  | ({ member: 'tcx' } & Relative)
  | {
      /** BPF_TRACE_UPROBE_MULTI, BPF_TRACE_UPROBE_SESSION. Linux 6.6 */
      member: 'uprobe_multi'
      /** address of a NUL-terminated path */
      path: number
      /** address of an array of u64: offsets in the file */
      offsets: number
      /** address of an array of u64, or 0 */
      ref_ctr_offsets?: number | undefined
      /** address of an array of u64, or 0 */
      cookies?: number | undefined
      cnt: number
      /** BPF_F_UPROBE_MULTI_RETURN */
      flags?: number | undefined
      /** the one process to probe; 0 for all */
      pid?: number | undefined
      /** what `path` starts from, with BPF_F_UPROBE_MULTI_PATH_FD. After Linux 6.18 */
      path_fd?: number | undefined
    }
  /** BPF_NETKIT_PRIMARY, BPF_NETKIT_PEER. Linux 6.7 */
  | ({ member: 'netkit' } & Relative)
  /** BPF_CGROUP_*. Linux 6.17 */
  | ({ member: 'cgroup' } & Relative)
  | {
      /** BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI, BPF_TRACE_FSESSION_MULTI. After Linux 6.18 */
      member: 'tracing_multi'
      /** address of an array of u32: BTF ids */
      ids: number
      /** address of an array of u64, or 0 */
      cookies?: number | undefined
      cnt: number
    }

/** "struct used by BPF_LINK_CREATE command": attr.link_create */
export type LinkCreateAttr = Either<
  /** the program to attach, or ... */
  'prog_fd',
  /** ... the STRUCT_OPS map */
  'map_fd'
> &
  Perhaps<
    /** the cgroup, network namespace, perf event, map or program to attach to, or ... */
    'target_fd',
    /** ... the network device. Neither: netfilter, kprobe_multi, uprobe_multi, struct_ops */
    'target_ifindex'
  > & {
    /** enum bpf_attach_type */
    attach_type: number
    /** BPF_F_BEFORE and others; for BPF_XDP, XDP_FLAGS_SKB_MODE and others */
    flags?: number | undefined
    union?: LinkCreateUnion | undefined
  }

export function packLinkCreate(attr: DataView, f: LinkCreateAttr): number {
  attr.setUint32(0, f.prog_fd ?? f.map_fd, LE)
  attr.setUint32(4, f.target_fd ?? f.target_ifindex ?? 0, LE)
  attr.setUint32(8, f.attach_type, LE)
  const size = opt32(attr, 12, 12, f.flags)
  return f.union === undefined ? size : packLinkCreateUnion(attr, f.union)
}

/** The members begin at 16 = offsetof(union bpf_attr, link_create.target_btf_id). */
function packLinkCreateUnion(attr: DataView, u: LinkCreateUnion): number {
  let size = 16
  switch (u.member) {
    case 'target_btf_id':
      return opt32(attr, size, 16, u.target_btf_id)
    case 'iter':
      put64(attr, 16, u.iter_info)
      attr.setUint32(24, u.iter_info_len, LE)
      return 28
    case 'perf_event':
      put64(attr, 16, u.bpf_cookie)
      return 24
    case 'kprobe_multi':
      attr.setUint32(16, u.flags ?? 0, LE)
      attr.setUint32(20, u.cnt, LE)
      size = opt64(attr, 24, 24, u.syms)
      size = opt64(attr, size, 32, u.addrs)
      return opt64(attr, size, 40, u.cookies)
    case 'tracing':
      size = opt32(attr, size, 16, u.target_btf_id)
      return opt64(attr, size, 24, u.cookie)
    case 'netfilter':
      attr.setUint32(16, u.pf, LE)
      attr.setUint32(20, u.hooknum, LE)
      attr.setInt32(24, u.priority, LE)
      return opt32(attr, 28, 28, u.flags)
    case 'tcx':
    case 'netkit':
    case 'cgroup':
      size = opt32(attr, size, 16, u.relative_fd ?? u.relative_id)
      return opt64(attr, size, 24, u.expected_revision)
    case 'uprobe_multi':
      put64(attr, 16, u.path)
      put64(attr, 24, u.offsets)
      put64(attr, 32, u.ref_ctr_offsets ?? 0)
      put64(attr, 40, u.cookies ?? 0)
      attr.setUint32(48, u.cnt, LE)
      size = opt32(attr, 52, 52, u.flags)
      size = opt32(attr, size, 56, u.pid)
      return optS32(attr, size, 60, u.path_fd)
    case 'tracing_multi':
      put64(attr, 16, u.ids)
      put64(attr, 24, u.cookies ?? 0)
      attr.setUint32(32, u.cnt, LE)
      return 36
  }
}

/** "struct used by BPF_LINK_UPDATE command": attr.link_update */
export type LinkUpdateAttr = {
  link_fd: number
  /** BPF_F_REPLACE: only if the link's program is old_prog_fd */
  flags?: number | undefined
} & Either<'new_prog_fd', 'new_map_fd'> &
  Perhaps<'old_prog_fd', 'old_map_fd'>

export function packLinkUpdate(attr: DataView, f: LinkUpdateAttr): number {
  attr.setUint32(0, f.link_fd, LE)
  attr.setUint32(4, f.new_prog_fd ?? f.new_map_fd, LE)
  const size = opt32(attr, 8, 8, f.flags)
  return opt32(attr, size, 12, f.old_prog_fd ?? f.old_map_fd)
}

/** attr.link_detach */
export interface LinkDetachAttr {
  link_fd: number
}

export function packLinkDetach(attr: DataView, f: LinkDetachAttr): number {
  attr.setUint32(0, f.link_fd, LE)
  return 4
}

/** "struct used by BPF_ITER_CREATE command": attr.iter_create */
export interface IterCreateAttr {
  link_fd: number
  /** none so far */
  flags?: number | undefined
}

export function packIterCreate(attr: DataView, f: IterCreateAttr): number {
  attr.setUint32(0, f.link_fd, LE)
  return opt32(attr, 4, 4, f.flags)
}
