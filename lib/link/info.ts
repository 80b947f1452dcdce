import { linkInfo as askLinkInfo, type LinkInfoBuffers } from '../../syscalls'
import { textOf } from '../../syscalls/buffer'
import type { Subject } from '../../syscalls/errno'
import type { LinkInfo as KernelLinkInfo } from '../../syscalls/info-link'
import * as uapi from '../../syscalls/uapi-link'
import { type AttachTypeLabel, attachTypeLabel, linkTypeLabel } from './names'

/** What all links tell. */
export interface CommonLinkInfo {
  readonly id: number
  /** 0 for a link of struct_ops, which has a map. */
  readonly programId: number
}

/** Of a device, by its number: 0 once the link is detached or the device is gone. */
interface OnDevice {
  readonly ifindex: number
}

export type PerfEventKind = 'uprobe' | 'uretprobe' | 'kprobe' | 'kretprobe' | 'tracepoint' | 'event'

/** What the kernel tells of a link, by its type. Undefined is what an older kernel does not tell. */
export type LinkInfo = CommonLinkInfo &
  (
    | { readonly type: 'raw_tracepoint'; readonly name: string; readonly cookie: bigint | undefined }
    | {
        readonly type: 'tracing'
        readonly attachType: AttachTypeLabel | 'freplace'
        /** Of the program whose function is replaced, else of the BTF. Linux 5.15; 0 before. */
        readonly targetObjectId: number
        readonly targetBtfId: number
        readonly cookie: bigint | undefined
      }
    | { readonly type: 'cgroup'; readonly cgroupId: bigint; readonly attachType: AttachTypeLabel }
    | {
        readonly type: 'iter'
        /** 'task', 'bpf_map_elem' ... */
        readonly target: string
        readonly mapId: number | undefined
        readonly cgroupId: bigint | undefined
        readonly threadId: number | undefined
        readonly processId: number | undefined
      }
    | {
        readonly type: 'netns'
        /** Inode of the network namespace; 0 once it is gone, or the link is detached. */
        readonly namespaceInode: number
        readonly attachType: AttachTypeLabel
      }
    | ({ readonly type: 'xdp' } & OnDevice)
    | ({ readonly type: 'tcx' | 'netkit'; readonly attachType: AttachTypeLabel } & OnDevice)
    | {
        readonly type: 'perf_event'
        /** Linux 6.6; undefined before. */
        readonly kind: PerfEventKind | undefined
        /** The file, the kernel's function or the tracepoint. */
        readonly name: string | undefined
        readonly offset: number | undefined
        readonly cookie: bigint | undefined
        /** Of an event: perf_event_attr.type and .config. */
        readonly eventType: number | undefined
        readonly config: bigint | undefined
      }
    | {
        readonly type: 'kprobe_multi'
        /** How many functions. Linux 6.6; 0 before. */
        readonly count: number
        readonly atReturn: boolean
        readonly missed: bigint | undefined
      }
    | {
        readonly type: 'uprobe_multi'
        readonly path: string
        readonly offsets: readonly bigint[]
        readonly atReturn: boolean
        /** The one process that is traced; 0 for all. */
        readonly processId: number | undefined
      }
    | { readonly type: 'struct_ops'; readonly mapId: number }
    | {
        readonly type: 'netfilter'
        readonly family: 'ipv4' | 'ipv6' | number
        /** NF_INET_LOCAL_IN ... by number. */
        readonly hook: number
        readonly priority: number
        readonly defrag: boolean
      }
    | { readonly type: 'sockmap'; readonly mapId: number; readonly attachType: AttachTypeLabel }
    | { readonly type: 'tracing_multi'; readonly attachType: AttachTypeLabel; readonly count: number }
    | { readonly type: `type ${number}` }
  )

/** Bytes for a name: those of functions, tracepoints and iterators end long before, and paths with PATH_MAX. */
const NAME_BYTES = 256
const PATH_BYTES = 4096

/** BPF_OBJ_GET_INFO_BY_FD of a link, in words. Errors: none of its own. */
export function readLink(fd: number, subject: Subject): LinkInfo {
  const info = askLinkInfo(fd, undefined, subject)
  const common = { id: info.id, programId: info.prog_id }
  return { ...common, ...decode(info, fd, subject) } as LinkInfo
}

/** The same question again, with room for a name. */
function nameOf(fd: number, subject: Subject, bytes: number, request: (name: ArrayBuffer) => LinkInfoBuffers): string {
  const name = new ArrayBuffer(bytes)
  askLinkInfo(fd, request(name), subject)
  return textOf(name)
}

type OfType = LinkInfo extends infer One ? (One extends LinkInfo ? Omit<One, keyof CommonLinkInfo> : never) : never

function decode(info: KernelLinkInfo, fd: number, subject: Subject): OfType {
  if (info.raw_tracepoint !== undefined) {
    const name = nameOf(fd, subject, NAME_BYTES, (tp_name) => ({ member: 'raw_tracepoint', tp_name }))
    return { type: 'raw_tracepoint', name, cookie: info.raw_tracepoint.cookie }
  }
  if (info.tracing !== undefined) {
    const { attach_type, target_obj_id, target_btf_id, cookie } = info.tracing
    // A program of type EXT has none, so it reads 0: cgroup_inet_ingress.
    const attachType = attach_type === 0 ? 'freplace' : attachTypeLabel(attach_type)
    return { type: 'tracing', attachType, targetObjectId: target_obj_id, targetBtfId: target_btf_id, cookie }
  }
  if (info.cgroup !== undefined) {
    const { cgroup_id, attach_type } = info.cgroup
    return { type: 'cgroup', cgroupId: cgroup_id, attachType: attachTypeLabel(attach_type) }
  }
  if (info.iter !== undefined) return decodeIter(info.iter, fd, subject)
  if (info.netns !== undefined) {
    const { netns_ino, attach_type } = info.netns
    return { type: 'netns', namespaceInode: netns_ino, attachType: attachTypeLabel(attach_type) }
  }
  if (info.xdp !== undefined) return { type: 'xdp', ifindex: info.xdp.ifindex }
  if (info.tcx !== undefined || info.netkit !== undefined) {
    const { ifindex, attach_type } = info.tcx ?? info.netkit ?? { ifindex: 0, attach_type: 0 }
    return { type: info.tcx === undefined ? 'netkit' : 'tcx', ifindex, attachType: attachTypeLabel(attach_type) }
  }
  if (info.perf_event !== undefined) return decodePerfEvent(info.perf_event, fd, subject)
  if (info.kprobe_multi !== undefined) {
    const { count, flags, missed } = info.kprobe_multi
    return { type: 'kprobe_multi', count, atReturn: (flags & uapi.BPF_F_KPROBE_MULTI_RETURN) !== 0, missed }
  }
  if (info.uprobe_multi !== undefined) return decodeUprobes(info.uprobe_multi, fd, subject)
  if (info.struct_ops !== undefined) return { type: 'struct_ops', mapId: info.struct_ops.map_id }
  if (info.netfilter !== undefined) {
    const { pf, hooknum, priority, flags } = info.netfilter
    const family = pf === NFPROTO_IPV4 ? 'ipv4' : pf === NFPROTO_IPV6 ? 'ipv6' : pf
    return {
      type: 'netfilter',
      family,
      hook: hooknum,
      priority,
      defrag: (flags & uapi.BPF_F_NETFILTER_IP_DEFRAG) !== 0,
    }
  }
  if (info.sockmap !== undefined) {
    const { map_id, attach_type } = info.sockmap
    return { type: 'sockmap', mapId: map_id, attachType: attachTypeLabel(attach_type) }
  }
  if (info.tracing_multi !== undefined) {
    const { attach_type, count } = info.tracing_multi
    return { type: 'tracing_multi', attachType: attachTypeLabel(attach_type), count }
  }
  return { type: linkTypeLabel(info.type) as `type ${number}` }
}

// include/uapi/linux/netfilter.h
const NFPROTO_IPV4 = 2
const NFPROTO_IPV6 = 10

function decodeIter(iter: NonNullable<KernelLinkInfo['iter']>, fd: number, subject: Subject): OfType {
  const target = nameOf(fd, subject, NAME_BYTES, (target_name) => ({ member: 'iter', target_name }))
  // What of the union is real depends on the target (bpf_iter_link_fill_link_info in kernel/bpf/bpf_iter.c and others).
  const of = (name: string) => target.startsWith(name)
  return {
    type: 'iter',
    target,
    // It has a place of its own, which reads 0 where there is no map.
    mapId: iter.map.map_id === 0 ? undefined : iter.map.map_id,
    cgroupId: target === 'cgroup' ? iter.cgroup.cgroup_id : undefined,
    threadId: of('task') ? iter.task.tid : undefined,
    processId: of('task') ? iter.task.pid : undefined,
  }
}

const PERF_KINDS: Readonly<Record<number, PerfEventKind>> = {
  [uapi.BPF_PERF_EVENT_UPROBE]: 'uprobe',
  [uapi.BPF_PERF_EVENT_URETPROBE]: 'uretprobe',
  [uapi.BPF_PERF_EVENT_KPROBE]: 'kprobe',
  [uapi.BPF_PERF_EVENT_KRETPROBE]: 'kretprobe',
  [uapi.BPF_PERF_EVENT_TRACEPOINT]: 'tracepoint',
  [uapi.BPF_PERF_EVENT_EVENT]: 'event',
}

function decodePerfEvent(
  { type, uprobe, kprobe, tracepoint, event }: NonNullable<KernelLinkInfo['perf_event']>,
  fd: number,
  subject: Subject,
): OfType {
  const kind = PERF_KINDS[type]
  const named = uprobe ?? kprobe ?? tracepoint
  const name =
    named === undefined ? undefined : nameOf(fd, subject, PATH_BYTES, (name) => ({ member: 'perf_event', name }))
  return {
    type: 'perf_event',
    kind,
    name,
    offset: (uprobe ?? kprobe)?.offset,
    cookie: (named ?? event)?.cookie,
    eventType: event?.type,
    config: event?.config,
  }
}

function decodeUprobes(uprobes: NonNullable<KernelLinkInfo['uprobe_multi']>, fd: number, subject: Subject): OfType {
  const path = new ArrayBuffer(PATH_BYTES)
  // All of them at once: with room for fewer the answer is ENOSPC.
  const offsets = new BigUint64Array(uprobes.count ?? 0)
  const room = offsets.length === 0 ? { path } : { path, offsets }
  askLinkInfo(fd, { member: 'uprobe_multi', ...room }, subject)
  return {
    type: 'uprobe_multi',
    path: textOf(path),
    offsets: [...offsets],
    atReturn: ((uprobes.flags ?? 0) & uapi.BPF_F_UPROBE_MULTI_RETURN) !== 0,
    processId: uprobes.pid,
  }
}
