import { linkTypeName } from '../../syscalls/uapi'
import { ATTACH_TYPES, type AttachTypeName, PROGRAM_TYPES, type ProgramTypeName } from '../../syscalls/uapi-names'

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

/** What attach types and program types are called, or their number where they are younger than this library. */
export type AttachTypeLabel = AttachTypeName | `type ${number}`
export type ProgramTypeLabel = ProgramTypeName | `type ${number}`

/** 'tcx_ingress' for BPF_TCX_INGRESS. */
export function attachTypeLabel(type: number): AttachTypeLabel {
  attachLabels ??= reversed(ATTACH_TYPES)
  return attachLabels.get(type) ?? `type ${type}`
}

/** 'sched_cls' for BPF_PROG_TYPE_SCHED_CLS. */
export function programTypeLabel(type: number): ProgramTypeLabel {
  programLabels ??= reversed(PROGRAM_TYPES)
  return programLabels.get(type) ?? `type ${type}`
}

let attachLabels: ReadonlyMap<number, AttachTypeName> | undefined
let programLabels: ReadonlyMap<number, ProgramTypeName> | undefined

function reversed<Name extends string>(numbers: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries<number>(numbers).map(([name, number]) => [number, name as Name]))
}
