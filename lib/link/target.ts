import { interfaceLabel } from '../../syscalls/interface'
import { isHere } from './attached-here'
import type { LinkInfo } from './info'

/** What a link is attached to, in words: 'xdp on veth0', 'kprobe do_unlinkat', 'cgroup_inet_ingress of cgroup 1234'. */
export function targetOf(info: LinkInfo): string {
  switch (info.type) {
    case 'raw_tracepoint':
      return `raw_tracepoint ${info.name}`
    case 'tracing':
      return `${info.attachType} of BTF id ${info.targetBtfId}`
    case 'cgroup':
      return `${info.attachType} of cgroup ${info.cgroupId}`
    case 'iter':
      return `iter ${info.target}`
    case 'netns':
      return `${info.attachType} of network namespace ${info.namespaceInode}`
    case 'xdp':
      return info.ifindex === 0 ? 'xdp, detached' : `xdp on ${deviceOf(info)}`
    case 'tcx':
    case 'netkit':
      return info.ifindex === 0 ? `${info.attachType}, detached` : `${info.attachType} on ${deviceOf(info)}`
    case 'perf_event':
      return [info.kind ?? 'perf_event', info.name ?? ''].filter((word) => word !== '').join(' ')
    case 'kprobe_multi':
      return `kprobe_multi of ${info.count} functions`
    case 'uprobe_multi':
      return `uprobe_multi of ${info.path}`
    case 'struct_ops':
      return `struct_ops map#${info.mapId}`
    case 'netfilter':
      return `netfilter ${info.family} hook ${info.hook} priority ${info.priority}`
    case 'sockmap':
      return `${info.attachType} of map#${info.mapId}`
    case 'tracing_multi':
      return `${info.attachType} of ${info.count} functions`
    default:
      return info.type
  }
}

/** By its name where that is certain to be the device's. */
function deviceOf(info: Parameters<typeof isHere>[0]): string {
  const { ifindex } = info
  return isHere(info) ? interfaceLabel(ifindex) : `ifindex ${ifindex} (perhaps of another network namespace)`
}
