/**
 * union bpf_attr for attaching without a link, and for asking what is attached. The conventions are explained in
 * attr.ts.
 */
import { type Either, LE, opt32, opt64, type Perhaps, put64 } from './attr-common'

/** What an attachment is to: the fd of a cgroup, map or network namespace, or the index of a network device. */
type Target = Either<'target_fd', 'target_ifindex'>

/** "anonymous struct used by BPF_PROG_ATTACH/DETACH commands" */
export type ProgAttachAttr = Target & {
  /** the program */
  attach_bpf_fd: number
  /** enum bpf_attach_type */
  attach_type: number
  /** BPF_F_ALLOW_MULTI and others */
  attach_flags?: number | undefined
  /** the program to replace, with BPF_F_REPLACE */
  replace_bpf_fd?: number | undefined
  /** what BPF_PROG_QUERY said; EBUSY if the list has changed since. Linux 6.6 */
  expected_revision?: number | bigint | undefined
} & Perhaps<'relative_fd', 'relative_id'>

export function packProgAttach(attr: DataView, f: ProgAttachAttr): number {
  attr.setUint32(0, f.target_fd ?? f.target_ifindex, LE)
  attr.setUint32(4, f.attach_bpf_fd, LE)
  attr.setUint32(8, f.attach_type, LE)
  let size = 12
  size = opt32(attr, size, 12, f.attach_flags)
  size = opt32(attr, size, 16, f.replace_bpf_fd)
  size = opt32(attr, size, 20, f.relative_fd ?? f.relative_id)
  return opt64(attr, size, 24, f.expected_revision)
}

/** The same struct, for BPF_PROG_DETACH; replace_bpf_fd has no meaning there. */
export type ProgDetachAttr = Target & {
  /** the program; 0 for the only one, where the attach type has only one */
  attach_bpf_fd?: number | undefined
  /** enum bpf_attach_type */
  attach_type: number
  /** BPF_F_BEFORE and others */
  attach_flags?: number | undefined
  /** Linux 6.6 */
  expected_revision?: number | bigint | undefined
} & Perhaps<'relative_fd', 'relative_id'>

export function packProgDetach(attr: DataView, f: ProgDetachAttr): number {
  attr.setUint32(0, f.target_fd ?? f.target_ifindex, LE)
  attr.setUint32(4, f.attach_bpf_fd ?? 0, LE)
  attr.setUint32(8, f.attach_type, LE)
  let size = 12
  size = opt32(attr, size, 12, f.attach_flags)
  size = opt32(attr, size, 20, f.relative_fd ?? f.relative_id)
  return opt64(attr, size, 24, f.expected_revision)
}

/** "anonymous struct used by BPF_PROG_QUERY command": attr.query */
export type ProgQueryAttr = Target & {
  /** enum bpf_attach_type */
  attach_type: number
  /** BPF_F_QUERY_EFFECTIVE */
  query_flags?: number | undefined
  /** address of an array of u32 to write program ids to */
  prog_ids?: number | undefined
  /** address of an array of u32; not with BPF_F_QUERY_EFFECTIVE. Linux 6.1 */
  prog_attach_flags?: number | undefined
  /** address of an array of u32. Linux 6.6 */
  link_ids?: number | undefined
  /** address of an array of u32. Linux 6.6 */
  link_attach_flags?: number | undefined
} & Perhaps<
    /** in: how many the arrays have room for; out: how many there are, with ENOSPC if that is more */
    'prog_cnt',
    /** the same by its newer name */
    'count'
  >

export function packProgQuery(attr: DataView, f: ProgQueryAttr): number {
  attr.setUint32(0, f.target_fd ?? f.target_ifindex, LE)
  attr.setUint32(4, f.attach_type, LE)
  attr.setUint32(8, f.query_flags ?? 0, LE)
  // attach_flags, at 12, is written back
  put64(attr, 16, f.prog_ids ?? 0)
  attr.setUint32(24, f.prog_cnt ?? f.count ?? 0, LE)
  put64(attr, 32, f.prog_attach_flags ?? 0)
  put64(attr, 40, f.link_ids ?? 0)
  put64(attr, 48, f.link_attach_flags ?? 0)
  // revision, at 56, is written back; for a cgroup only to those who sent it (kernel/bpf/cgroup.c, __cgroup_bpf_query).
  return 64
}

/** query.attach_flags, which the kernel writes back: of the target itself. */
export function readQueryAttachFlags(attr: DataView): number {
  return attr.getUint32(12, LE)
}

/**
 * query.count, which the kernel writes back: how many programs there are, also where the arrays have room for fewer.
 */
export function readQueryCount(attr: DataView): number {
  return attr.getUint32(24, LE)
}

/** query.revision, which the kernel writes back: the expected_revision of a later change. Linux 6.6; 0 before. */
export function readQueryRevision(attr: DataView): bigint {
  return attr.getBigUint64(56, LE)
}

/** "anonymous struct used by BPF_RAW_TRACEPOINT_OPEN command": attr.raw_tracepoint */
export interface RawTracepointOpenAttr {
  /** address of a NUL-terminated name; 0 where the program's attach_btf_id says it */
  name: number
  prog_fd: number
  /** Linux 6.10 */
  cookie?: number | bigint | undefined
}

export function packRawTracepointOpen(attr: DataView, f: RawTracepointOpenAttr): number {
  put64(attr, 0, f.name)
  attr.setUint32(8, f.prog_fd, LE)
  return opt64(attr, 12, 16, f.cookie)
}

/** attr.task_fd_query: which program is behind a perf event or raw tracepoint that a process holds */
export interface TaskFdQueryAttr {
  pid: number
  /** the fd's number in that process */
  fd: number
  /** none so far */
  flags?: number | undefined
  /** in: bytes at buf; out: the length of the name, without its NUL */
  buf_len: number
  /** address to write the tracepoint, symbol or file name to */
  buf: number
}

export function packTaskFdQuery(attr: DataView, f: TaskFdQueryAttr): number {
  attr.setUint32(0, f.pid, LE)
  attr.setUint32(4, f.fd, LE)
  attr.setUint32(8, f.flags ?? 0, LE)
  attr.setUint32(12, f.buf_len, LE)
  put64(attr, 16, f.buf)
  return 48 // with the fields that are written back
}

/** What the kernel writes back to attr.task_fd_query. */
export interface TaskFdQueryResult {
  /** the length of the name, without its NUL, also where buf was too small for it */
  buf_len: number
  prog_id: number
  /** BPF_FD_TYPE_TRACEPOINT ... */
  fd_type: number
  probe_offset: bigint
  probe_addr: bigint
}

export function readTaskFdQuery(attr: DataView): TaskFdQueryResult {
  return {
    buf_len: attr.getUint32(12, LE),
    prog_id: attr.getUint32(24, LE),
    fd_type: attr.getUint32(28, LE),
    probe_offset: attr.getBigUint64(32, LE),
    probe_addr: attr.getBigUint64(40, LE),
  }
}
