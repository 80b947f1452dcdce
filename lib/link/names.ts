import { linkTypeName } from '../../syscalls/uapi'
import { ATTACH_TYPES, type AttachTypeName } from '../../syscalls/uapi-names'

/** enum bpf_link_type, by the names that tools use. */
export type LinkType =
  | 'raw_tracepoint'
  | 'tracing'
  | 'cgroup'
  | 'iter'
  | 'netns'
  | 'xdp'
  | 'perf_event'
  | 'kprobe_multi'
  | 'struct_ops'
  | 'netfilter'
  | 'tcx'
  | 'uprobe_multi'
  | 'netkit'
  | 'sockmap'
  | 'tracing_multi'

/** 'xdp' for BPF_LINK_TYPE_XDP; 'type 99' for a link of a younger kernel. */
export function linkTypeLabel(type: number): LinkType | `type ${number}` {
  const name = linkTypeName(type)
  return name.endsWith('?') ? `type ${type}` : (name.slice('BPF_LINK_TYPE_'.length).toLowerCase() as LinkType)
}

/** What an attach type is called, or its number where it is younger than this library. */
export type AttachTypeLabel = AttachTypeName | `type ${number}`

/** 'tcx_ingress' for BPF_TCX_INGRESS. */
export function attachTypeLabel(type: number): AttachTypeLabel {
  attachLabels ??= reversed(ATTACH_TYPES)
  return attachLabels.get(type) ?? `type ${type}`
}

let attachLabels: ReadonlyMap<number, AttachTypeName> | undefined

function reversed<Name extends string>(numbers: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries<number>(numbers).map(([name, number]) => [number, name as Name]))
}
