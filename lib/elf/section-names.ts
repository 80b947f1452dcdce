import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import type { ProgramFlag } from '../program'

/**
 * What the name of a section says of the programs in it: the convention of libbpf 1.x (section_defs in its libbpf.c;
 * Documentation/bpf/libbpf/program_types.rst), and what loaders before it took.
 */
export interface SectionMeaning {
  readonly type: ProgramTypeName
  readonly expectedAttachType?: AttachTypeName
  readonly flags: readonly ProgramFlag[]
  /** What of the name has the meaning: 'tracepoint' of 'tracepoint/raw_syscalls/sys_enter'. */
  readonly kind: string
  /** What follows: 'raw_syscalls/sys_enter'; undefined for nothing. */
  readonly target?: string
}

type Row = readonly [type: ProgramTypeName, attach?: AttachTypeName | undefined, flags?: readonly ProgramFlag[]]

const SLEEPABLE: readonly ProgramFlag[] = ['SLEEPABLE']
const FRAGS: readonly ProgramFlag[] = ['XDP_HAS_FRAGS']

/** Names that are whole, or have their target behind a slash. */
const KINDS: Readonly<Record<string, Row>> = {
  socket: ['socket_filter'],
  sk_reuseport: ['sk_reuseport', 'sk_reuseport_select'],
  'sk_reuseport/migrate': ['sk_reuseport', 'sk_reuseport_select_or_migrate'],
  kprobe: ['kprobe'],
  kretprobe: ['kprobe'],
  ksyscall: ['kprobe'],
  kretsyscall: ['kprobe'],
  uprobe: ['kprobe'],
  uretprobe: ['kprobe'],
  'uprobe.s': ['kprobe', undefined, SLEEPABLE],
  'uretprobe.s': ['kprobe', undefined, SLEEPABLE],
  'kprobe.multi': ['kprobe', 'trace_kprobe_multi'],
  'kretprobe.multi': ['kprobe', 'trace_kprobe_multi'],
  'kprobe.session': ['kprobe', 'trace_kprobe_session'],
  'uprobe.multi': ['kprobe', 'trace_uprobe_multi'],
  'uretprobe.multi': ['kprobe', 'trace_uprobe_multi'],
  'uprobe.session': ['kprobe', 'trace_uprobe_session'],
  'uprobe.multi.s': ['kprobe', 'trace_uprobe_multi', SLEEPABLE],
  'uretprobe.multi.s': ['kprobe', 'trace_uprobe_multi', SLEEPABLE],
  'uprobe.session.s': ['kprobe', 'trace_uprobe_session', SLEEPABLE],
  usdt: ['kprobe'],
  'usdt.s': ['kprobe', undefined, SLEEPABLE],
  tc: ['sched_cls'],
  classifier: ['sched_cls'],
  action: ['sched_act'],
  'tc/ingress': ['sched_cls', 'tcx_ingress'],
  'tc/egress': ['sched_cls', 'tcx_egress'],
  'tcx/ingress': ['sched_cls', 'tcx_ingress'],
  'tcx/egress': ['sched_cls', 'tcx_egress'],
  'netkit/primary': ['sched_cls', 'netkit_primary'],
  'netkit/peer': ['sched_cls', 'netkit_peer'],
  tracepoint: ['tracepoint'],
  tp: ['tracepoint'],
  raw_tracepoint: ['raw_tracepoint'],
  raw_tp: ['raw_tracepoint'],
  'raw_tracepoint.w': ['raw_tracepoint_writable'],
  'raw_tp.w': ['raw_tracepoint_writable'],
  tp_btf: ['tracing', 'trace_raw_tp'],
  fentry: ['tracing', 'trace_fentry'],
  'fentry.s': ['tracing', 'trace_fentry', SLEEPABLE],
  fexit: ['tracing', 'trace_fexit'],
  'fexit.s': ['tracing', 'trace_fexit', SLEEPABLE],
  fmod_ret: ['tracing', 'modify_return'],
  'fmod_ret.s': ['tracing', 'modify_return', SLEEPABLE],
  freplace: ['ext'],
  lsm: ['lsm', 'lsm_mac'],
  'lsm.s': ['lsm', 'lsm_mac', SLEEPABLE],
  lsm_cgroup: ['lsm', 'lsm_cgroup'],
  iter: ['tracing', 'trace_iter'],
  'iter.s': ['tracing', 'trace_iter', SLEEPABLE],
  syscall: ['syscall', undefined, SLEEPABLE],
  xdp: ['xdp', 'xdp'],
  'xdp.frags': ['xdp', 'xdp', FRAGS],
  'xdp/devmap': ['xdp', 'xdp_devmap'],
  'xdp.frags/devmap': ['xdp', 'xdp_devmap', FRAGS],
  'xdp/cpumap': ['xdp', 'xdp_cpumap'],
  'xdp.frags/cpumap': ['xdp', 'xdp_cpumap', FRAGS],
  // libbpf before 1.0
  xdp_devmap: ['xdp', 'xdp_devmap'],
  xdp_cpumap: ['xdp', 'xdp_cpumap'],
  perf_event: ['perf_event'],
  lwt_in: ['lwt_in'],
  lwt_out: ['lwt_out'],
  lwt_xmit: ['lwt_xmit'],
  lwt_seg6local: ['lwt_seg6local'],
  sockops: ['sock_ops', 'cgroup_sock_ops'],
  sk_skb: ['sk_skb'],
  'sk_skb/stream_parser': ['sk_skb', 'sk_skb_stream_parser'],
  'sk_skb/stream_verdict': ['sk_skb', 'sk_skb_stream_verdict'],
  'sk_skb/verdict': ['sk_skb', 'sk_skb_verdict'],
  sk_msg: ['sk_msg', 'sk_msg_verdict'],
  lirc_mode2: ['lirc_mode2', 'lirc_mode2'],
  flow_dissector: ['flow_dissector', 'flow_dissector'],
  sk_lookup: ['sk_lookup', 'sk_lookup'],
  netfilter: ['netfilter', 'netfilter'],
  struct_ops: ['struct_ops'],
  'struct_ops.s': ['struct_ops', undefined, SLEEPABLE],
  'cgroup_skb/ingress': ['cgroup_skb', 'cgroup_inet_ingress'],
  'cgroup_skb/egress': ['cgroup_skb', 'cgroup_inet_egress'],
  'cgroup/skb': ['cgroup_skb'],
  'cgroup/dev': ['cgroup_device', 'cgroup_device'],
  'cgroup/sysctl': ['cgroup_sysctl', 'cgroup_sysctl'],
  'cgroup/getsockopt': ['cgroup_sockopt', 'cgroup_getsockopt'],
  'cgroup/setsockopt': ['cgroup_sockopt', 'cgroup_setsockopt'],
  'cgroup/sock': ['cgroup_sock', 'cgroup_inet_sock_create'],
  'cgroup/sock_create': ['cgroup_sock', 'cgroup_inet_sock_create'],
  'cgroup/sock_release': ['cgroup_sock', 'cgroup_inet_sock_release'],
  'cgroup/post_bind4': ['cgroup_sock', 'cgroup_inet4_post_bind'],
  'cgroup/post_bind6': ['cgroup_sock', 'cgroup_inet6_post_bind'],
  ...addresses('bind', 'inet4_bind', 'inet6_bind'),
  ...addresses('connect', 'inet4_connect', 'inet6_connect', 'unix_connect'),
  ...addresses('sendmsg', 'udp4_sendmsg', 'udp6_sendmsg', 'unix_sendmsg'),
  ...addresses('recvmsg', 'udp4_recvmsg', 'udp6_recvmsg', 'unix_recvmsg'),
  ...addresses('getpeername', 'inet4_getpeername', 'inet6_getpeername', 'unix_getpeername'),
  ...addresses('getsockname', 'inet4_getsockname', 'inet6_getsockname', 'unix_getsockname'),
}

/** The hooks of one operation on addresses: of IPv4, IPv6 and, where there is one, of Unix sockets. */
function addresses(name: string, ...hooks: readonly string[]): Record<string, Row> {
  const suffixes = ['4', '6', '_unix']
  return Object.fromEntries(
    hooks.map((hook, i): [string, Row] => [
      `cgroup/${name}${suffixes[i]}`,
      ['cgroup_sock_addr', `cgroup_${hook}` as AttachTypeName],
    ]),
  )
}

/** The longest that fits is the one that is meant. */
const LONGEST_FIRST = Object.keys(KINDS).sort((a, b) => b.length - a.length)

/**
 * What a section's name says; undefined where it says nothing. Behind a name there may be a slash and a target, or, as
 * loaders before libbpf 1.0 compared beginnings alone, a number or an underscore and anything: 'socket1', 'xdp_prog'.
 */
export function sectionMeaning(section: string): SectionMeaning | undefined {
  const kind =
    LONGEST_FIRST.find((name) => section === name || section.startsWith(`${name}/`)) ??
    LONGEST_FIRST.find((name) => section.startsWith(name) && /^[_0-9-]/.test(section.slice(name.length)))
  if (kind === undefined) return undefined
  const [type, expectedAttachType, flags = []] = KINDS[kind] as Row
  const rest = section.slice(kind.length)
  return {
    type,
    flags,
    kind,
    ...(expectedAttachType === undefined ? {} : { expectedAttachType }),
    ...(rest.startsWith('/') && rest.length > 1 ? { target: rest.slice(1) } : {}),
  }
}
