import type { ProgramTypeName } from '../../syscalls/uapi-names'
import { CGROUP_HOOKS } from './cgroup-hooks'
import type { LinkInfo } from './info'

/** Of hooks that have a type of their own. */
const TYPES: Readonly<Record<string, ProgramTypeName>> = {
  ...CGROUP_HOOKS,
  sk_lookup: 'sk_lookup',
  flow_dissector: 'flow_dissector',
  sk_msg_verdict: 'sk_msg',
  sk_skb_stream_parser: 'sk_skb',
  sk_skb_stream_verdict: 'sk_skb',
  sk_skb_verdict: 'sk_skb',
}

/** The types of programs that a link may get in place of its own; none where that is the kernel's to say. */
export function typesAt(info: LinkInfo): readonly ProgramTypeName[] {
  switch (info.type) {
    case 'xdp':
      return ['xdp']
    case 'tcx':
    case 'netkit':
      return ['sched_cls']
    case 'cgroup':
    case 'netns':
    case 'sockmap': {
      const type = TYPES[info.attachType]
      return type === undefined ? [] : [type]
    }
    default:
      return []
  }
}
