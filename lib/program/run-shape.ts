import type { ProgramTypeName } from '../../syscalls/uapi-names'
import type { ProgramTypeLabel, RunFlag } from './names'

/** What BPF_PROG_TEST_RUN takes and gives for programs of a type (net/bpf/test_run.c, kernel/bpf/syscall.c). */
export interface RunShape {
  /** Bytes of the least packet; undefined where the type takes none. */
  readonly leastData: number | undefined
  /** What is written to data_out: the packet, something of a fixed size in bytes, or nothing. */
  readonly dataOut: 'packet' | number
  /** Bytes that there is room for in ctx_out, where a context was given; 'in place' where ctx_in is written back. */
  readonly ctxOut: number | 'in place'
  /** Bytes of the largest context. */
  readonly mostCtx: number
  /** Where less of a context is none: its struct, the bytes of that, and how many of them there must be. */
  readonly leastCtx?: { readonly struct: string; readonly size: number; readonly bytes: number }
  readonly repeat: boolean
  readonly cpu: boolean
  readonly flags: readonly RunFlag[]
}

/** ETH_HLEN: also where the program sees the packet from its IP header on. */
const ETHERNET_HEADER = 14
/** struct bpf_flow_keys. */
const FLOW_KEYS = 56
/** MAX_BPF_FUNC_ARGS registers. */
const MOST_ARGUMENTS = 12 * 8
const SYSCALL_CONTEXT = 65_535
/** Beyond what any kernel's struct has: a larger one need not be zero to its end. */
const MOST_CTX = 4096
/** The contexts of packets: more than Linux 7.3 has (192 bytes of __sk_buff). */
const CTX_OUT = 256

const PACKET: RunShape = {
  ...{ leastData: ETHERNET_HEADER, dataOut: 'packet', ctxOut: CTX_OUT },
  ...{ mostCtx: MOST_CTX, repeat: true, cpu: false, flags: [] },
}
const BUFFER: RunShape = { ...PACKET, flags: ['SKB_CHECKSUM_COMPLETE'] }
const BARE: RunShape = {
  ...{ leastData: undefined, dataOut: 0, ctxOut: 0 },
  ...{ mostCtx: MOST_CTX, repeat: false, cpu: false, flags: [] },
}

/** bpf_prog_test_run_xdp compares data_end, behind data, with the packet's length. */
const XDP_MD = { struct: 'struct xdp_md', size: 24, bytes: 8 }

const SHAPES: Readonly<Partial<Record<ProgramTypeName, RunShape>>> = {
  xdp: { ...PACKET, leastCtx: XDP_MD, flags: ['XDP_LIVE_FRAMES'] },
  sched_cls: BUFFER,
  sched_act: BUFFER,
  socket_filter: BUFFER,
  cgroup_skb: BUFFER,
  lwt_in: BUFFER,
  lwt_out: BUFFER,
  lwt_xmit: BUFFER,
  lwt_seg6local: BUFFER,
  netfilter: { ...PACKET, dataOut: 0, ctxOut: 0 },
  flow_dissector: { ...PACKET, dataOut: FLOW_KEYS },
  sk_lookup: { ...BARE, ctxOut: CTX_OUT, repeat: true },
  raw_tracepoint: { ...BARE, mostCtx: MOST_ARGUMENTS, cpu: true },
  raw_tracepoint_writable: { ...BARE, mostCtx: MOST_ARGUMENTS, cpu: true },
  syscall: { ...BARE, ctxOut: 'in place', mostCtx: SYSCALL_CONTEXT },
  tracing: BARE,
  struct_ops: BARE,
}

/** Of a type that no kernel runs so far: the newest may, and is asked. */
const ANY: RunShape = { ...BUFFER, leastData: 0, cpu: true, flags: ['XDP_LIVE_FRAMES', 'SKB_CHECKSUM_COMPLETE'] }

export function runShape(type: ProgramTypeLabel): RunShape {
  return SHAPES[type as ProgramTypeName] ?? ANY
}
