import {
  type LinkUpdateAttr,
  packIterCreate,
  packLinkCreate,
  packLinkDetach,
  packLinkGetFdById,
  packLinkGetNextId,
  packLinkUpdate,
  packRawTracepointOpen,
  packTaskFdQuery,
  readNextId,
  readTaskFdQuery,
} from './attr'
import { objectInfo } from './bpf'
import { addressOfBytes, cstring, textOf } from './buffer'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd, checkFds, settleFd } from './fd'
import { LINK_INFO_SIZE, type LinkInfo, packLinkInfo, readLinkInfo } from './info'
import { type LinkInfoBuffers, prepareLinkInfo } from './link-info-buffers'
import { type LinkCreateTarget, prepareLinkTarget } from './link-target'
import {
  BPF_ITER_CREATE,
  BPF_LINK_CREATE,
  BPF_LINK_DETACH,
  BPF_LINK_GET_FD_BY_ID,
  BPF_LINK_GET_NEXT_ID,
  BPF_LINK_UPDATE,
  BPF_RAW_TRACEPOINT_OPEN,
  BPF_TASK_FD_QUERY,
} from './uapi'

/** Typed calls of bpf(2) on links. All throw KernelError. Memory is given as buffers, never as addresses. */

/** What BPF_LINK_CREATE takes: a program, or the STRUCT_OPS map, where to, and what belongs to that kind of target. */
export type LinkCreateFields = ({ prog_fd: number } | { map_fd: number }) & {
  /** the cgroup, network namespace, perf event, map or program to attach to */
  target_fd?: number | undefined
  /** in place of target_fd: the network device */
  target_ifindex?: number | undefined
  /** enum bpf_attach_type */
  attach_type: number
  /** BPF_F_BEFORE and others; for BPF_XDP, XDP_FLAGS_SKB_MODE and others */
  flags?: number | undefined
  union?: LinkCreateTarget | undefined
}

/** BPF_LINK_CREATE: attached as long as the link, whose fd the caller owns, is held or pinned. Linux 5.7. */
export function linkCreate(fields: LinkCreateFields, subject?: Subject): number {
  const { target_fd, target_ifindex, attach_type, flags } = fields
  const source = 'prog_fd' in fields ? { prog_fd: fields.prog_fd } : { map_fd: fields.map_fd }
  checkFds({ ...source, target_fd })
  if (target_fd !== undefined && target_ifindex !== undefined) {
    throw new TypeError('target_fd and target_ifindex share one place in the attr: only one can be given')
  }
  const { union, keep } = prepareLinkTarget(fields.union)
  const target = target_fd === undefined ? { target_ifindex } : { target_fd }
  const attr = { ...source, ...target, attach_type, flags, union }
  return settleFd(call(BPF_LINK_CREATE, packLinkCreate, attr, { subject, keep }).result)
}

/**
 * BPF_LINK_UPDATE: another program, with no moment in between. Errors: EINVAL and EOPNOTSUPP (not for this kind of
 * link), EPERM (old_prog_fd is not its program), ENOLINK (it is detached).
 */
export function linkUpdate(fields: LinkUpdateAttr, subject?: Subject): void {
  const { link_fd, new_prog_fd, new_map_fd, old_prog_fd, old_map_fd } = fields
  checkFd(link_fd, 'link_fd')
  checkFds(new_map_fd === undefined ? { new_prog_fd, old_prog_fd } : { new_map_fd, old_map_fd })
  call(BPF_LINK_UPDATE, packLinkUpdate, fields, { subject })
}

/** BPF_LINK_DETACH: the link stays, and does nothing. Linux 5.9. Errors: EOPNOTSUPP (not for this kind of link). */
export function linkDetach(fd: number, subject?: Subject): void {
  checkFd(fd)
  call(BPF_LINK_DETACH, packLinkDetach, { link_fd: fd }, { subject })
}

/** BPF_LINK_GET_NEXT_ID: the id after `id` (0 to begin), or undefined at the end. Needs CAP_SYS_ADMIN. */
export function linkNextId(id: number): number | undefined {
  const options = { mayFail: ['ENOENT'] }
  const { result, attr } = call(BPF_LINK_GET_NEXT_ID, packLinkGetNextId, { start_id: id }, options)
  return result < 0 ? undefined : readNextId(attr)
}

/**
 * BPF_LINK_GET_FD_BY_ID. Needs CAP_SYS_ADMIN. The caller owns the fd. Errors: ENOENT, EPERM; EAGAIN (the link has its id,
 * and is not attached yet: bpf_link_by_id in kernel/bpf/syscall.c).
 */
export function linkOpenById(id: number, subject?: Subject): number {
  return settleFd(call(BPF_LINK_GET_FD_BY_ID, packLinkGetFdById, { link_id: id }, { subject }).result)
}

/** The same for an id that may be gone by now, or whose link is not there yet: then undefined. */
export function linkTryOpenById(id: number, subject?: Subject): number | undefined {
  const options = { subject, mayFail: ['ENOENT', 'EAGAIN'] }
  const { result } = call(BPF_LINK_GET_FD_BY_ID, packLinkGetFdById, { link_id: id }, options)
  return result < 0 ? undefined : settleFd(result)
}

/** BPF_OBJ_GET_INFO_BY_FD of a link; with `buffers` of the link's own type, names and arrays are written there. */
export function linkInfo(fd: number, buffers?: LinkInfoBuffers, subject?: Subject): LinkInfo {
  const request = buffers && prepareLinkInfo(buffers)
  const pack = (info: DataView) => request && packLinkInfo(info, request)
  const { view, length } = objectInfo(fd, LINK_INFO_SIZE, subject, request && { kind: 'bpf_link', pack, keep: buffers })
  return readLinkInfo(view, length)
}

/** BPF_ITER_CREATE: an fd, which the caller owns, whose read(2) runs the link's program. Linux 5.8. */
export function iterCreate(link_fd: number, subject?: Subject): number {
  checkFd(link_fd, 'link_fd')
  return settleFd(call(BPF_ITER_CREATE, packIterCreate, { link_fd }, { subject }).result)
}

/** What BPF_RAW_TRACEPOINT_OPEN takes; no name for a program whose attach_btf_id says where it belongs. */
export interface RawTracepointOpenFields {
  prog_fd: number
  /** 'sys_enter' */
  name?: string | undefined
  /** Linux 6.10 */
  cookie?: number | bigint | undefined
}

/** BPF_RAW_TRACEPOINT_OPEN: a link, whose fd the caller owns. Errors: ENOENT (no such tracepoint). */
export function rawTracepointOpen(fields: RawTracepointOpenFields, subject?: Subject): number {
  const { prog_fd, cookie } = fields
  checkFd(prog_fd, 'prog_fd')
  const name = fields.name === undefined ? undefined : cstring(fields.name, 'name')
  const attr = { prog_fd, cookie, name: name === undefined ? 0 : addressOfBytes(name, 'name') }
  return settleFd(call(BPF_RAW_TRACEPOINT_OPEN, packRawTracepointOpen, attr, { subject, keep: name }).result)
}

/** What is behind a perf event or a raw tracepoint that a process holds. */
export interface TaskFdReply {
  readonly progId: number
  /** BPF_FD_TYPE_TRACEPOINT ... */
  readonly fdType: number
  /** The tracepoint, the kernel's symbol or the file; '' where there is only an address. */
  readonly name: string
  readonly probeOffset: bigint
  readonly probeAddr: bigint
}

/** PATH_MAX: the longest of the names is the file of a uprobe. */
const LONGEST_NAME = 4096

/** BPF_TASK_FD_QUERY of the fd with this number in process `pid`. Needs CAP_SYS_ADMIN. Errors: ENOENT, EBADF, ENOTSUPP. */
export function taskFdQuery(pid: number, fd: number): TaskFdReply {
  const buf = new ArrayBuffer(LONGEST_NAME)
  const fields = { pid, fd, buf: addressOfBytes(buf, 'buf'), buf_len: buf.byteLength }
  const reply = readTaskFdQuery(call(BPF_TASK_FD_QUERY, packTaskFdQuery, fields, { keep: buf }).attr)
  return {
    progId: reply.prog_id,
    fdType: reply.fd_type,
    name: textOf(buf),
    probeOffset: reply.probe_offset,
    probeAddr: reply.probe_addr,
  }
}
