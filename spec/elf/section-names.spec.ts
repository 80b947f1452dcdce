import { expect } from 'chai'
import { sectionMeaning } from '../../lib/elf/section-names'

/** By libbpf's section_defs and Documentation/bpf/libbpf/program_types.rst: name, type, attach type, flags, target. */
type Row = readonly [
  name: string,
  type: string,
  attach?: string | undefined,
  flag?: string | undefined,
  target?: string,
]
const KNOWN: readonly Row[] = [
  ['socket', 'socket_filter'],
  ['sk_reuseport/migrate', 'sk_reuseport', 'sk_reuseport_select_or_migrate'],
  ['sk_reuseport', 'sk_reuseport', 'sk_reuseport_select'],
  ['kprobe/do_unlinkat', 'kprobe', undefined, undefined, 'do_unlinkat'],
  ['kretprobe/do_unlinkat+4', 'kprobe', undefined, undefined, 'do_unlinkat+4'],
  ['ksyscall/unlinkat', 'kprobe', undefined, undefined, 'unlinkat'],
  ['kprobe.multi/tcp_*', 'kprobe', 'trace_kprobe_multi', undefined, 'tcp_*'],
  ['kprobe.session/tcp_*', 'kprobe', 'trace_kprobe_session', undefined, 'tcp_*'],
  ['uprobe//bin/sh:main', 'kprobe', undefined, undefined, '/bin/sh:main'],
  ['uprobe.s/libc.so.6:malloc', 'kprobe', undefined, 'SLEEPABLE', 'libc.so.6:malloc'],
  ['uprobe.multi.s/x:*', 'kprobe', 'trace_uprobe_multi', 'SLEEPABLE', 'x:*'],
  ['uretprobe.multi/x:*', 'kprobe', 'trace_uprobe_multi', undefined, 'x:*'],
  ['uprobe.session/x:*', 'kprobe', 'trace_uprobe_session', undefined, 'x:*'],
  ['usdt/x:provider:name', 'kprobe', undefined, undefined, 'x:provider:name'],
  ['tc', 'sched_cls'],
  ['tc/ingress', 'sched_cls', 'tcx_ingress'],
  ['tcx/egress', 'sched_cls', 'tcx_egress'],
  ['classifier/test_func', 'sched_cls', undefined, undefined, 'test_func'],
  ['action', 'sched_act'],
  ['netkit/peer', 'sched_cls', 'netkit_peer'],
  ['tp/sched/sched_switch', 'tracepoint', undefined, undefined, 'sched/sched_switch'],
  ['tracepoint/raw_syscalls/sys_enter', 'tracepoint', undefined, undefined, 'raw_syscalls/sys_enter'],
  ['raw_tp/sys_enter', 'raw_tracepoint', undefined, undefined, 'sys_enter'],
  ['raw_tracepoint.w/x', 'raw_tracepoint_writable', undefined, undefined, 'x'],
  ['tp_btf/sys_enter', 'tracing', 'trace_raw_tp', undefined, 'sys_enter'],
  ['fentry/f', 'tracing', 'trace_fentry', undefined, 'f'],
  ['fexit.s/f', 'tracing', 'trace_fexit', 'SLEEPABLE', 'f'],
  ['fmod_ret/f', 'tracing', 'modify_return', undefined, 'f'],
  ['freplace/f', 'ext', undefined, undefined, 'f'],
  ['lsm/file_open', 'lsm', 'lsm_mac', undefined, 'file_open'],
  ['lsm.s/bprm_committed_creds', 'lsm', 'lsm_mac', 'SLEEPABLE', 'bprm_committed_creds'],
  ['lsm_cgroup/socket_post_create', 'lsm', 'lsm_cgroup', undefined, 'socket_post_create'],
  ['iter/task', 'tracing', 'trace_iter', undefined, 'task'],
  ['iter.s/task', 'tracing', 'trace_iter', 'SLEEPABLE', 'task'],
  ['syscall', 'syscall', undefined, 'SLEEPABLE'],
  ['xdp', 'xdp', 'xdp'],
  ['xdp.frags', 'xdp', 'xdp', 'XDP_HAS_FRAGS'],
  ['xdp/devmap', 'xdp', 'xdp_devmap'],
  ['xdp.frags/cpumap', 'xdp', 'xdp_cpumap', 'XDP_HAS_FRAGS'],
  ['perf_event', 'perf_event'],
  ['lwt_seg6local', 'lwt_seg6local'],
  ['sockops', 'sock_ops', 'cgroup_sock_ops'],
  ['sk_skb/stream_parser', 'sk_skb', 'sk_skb_stream_parser'],
  ['sk_skb/verdict', 'sk_skb', 'sk_skb_verdict'],
  ['sk_skb', 'sk_skb'],
  ['sk_msg', 'sk_msg', 'sk_msg_verdict'],
  ['flow_dissector', 'flow_dissector', 'flow_dissector'],
  ['sk_lookup', 'sk_lookup', 'sk_lookup'],
  ['netfilter', 'netfilter', 'netfilter'],
  ['struct_ops.s/f', 'struct_ops', undefined, 'SLEEPABLE', 'f'],
  ['cgroup_skb/ingress', 'cgroup_skb', 'cgroup_inet_ingress'],
  ['cgroup/skb', 'cgroup_skb'],
  ['cgroup/dev', 'cgroup_device', 'cgroup_device'],
  ['cgroup/sysctl', 'cgroup_sysctl', 'cgroup_sysctl'],
  ['cgroup/sock_release', 'cgroup_sock', 'cgroup_inet_sock_release'],
  ['cgroup/post_bind6', 'cgroup_sock', 'cgroup_inet6_post_bind'],
  ['cgroup/bind4', 'cgroup_sock_addr', 'cgroup_inet4_bind'],
  ['cgroup/connect6', 'cgroup_sock_addr', 'cgroup_inet6_connect'],
  ['cgroup/connect_unix', 'cgroup_sock_addr', 'cgroup_unix_connect'],
  ['cgroup/sendmsg4', 'cgroup_sock_addr', 'cgroup_udp4_sendmsg'],
  ['cgroup/recvmsg_unix', 'cgroup_sock_addr', 'cgroup_unix_recvmsg'],
  ['cgroup/getsockname6', 'cgroup_sock_addr', 'cgroup_inet6_getsockname'],
  ['cgroup/setsockopt', 'cgroup_sockopt', 'cgroup_setsockopt'],
  // before libbpf 1.0
  ['xdp_prog', 'xdp', 'xdp'],
  ['xdp_devmap/one', 'xdp', 'xdp_devmap', undefined, 'one'],
  ['socket1', 'socket_filter'],
]

describe('names of sections', () => {
  for (const [name, type, attach, flag, target] of KNOWN) {
    it(`${name} is for ${type}`, () => {
      const meaning = sectionMeaning(name)
      expect(meaning?.type).to.equal(type)
      expect(meaning?.expectedAttachType).to.equal(attach)
      expect(meaning?.flags).to.deep.equal(flag === undefined ? [] : [flag])
      expect(meaning?.target).to.equal(target)
    })
  }

  for (const name of ['', 'foo', 'xdpx', 'kprobes/x', '.text', 'fentry.x/f', 'toString', 'maps']) {
    it(`'${name}' says nothing`, () => expect(sectionMeaning(name)).to.equal(undefined))
  }
})
