/**
 * Program types and the flags of loading and running programs, from include/uapi/linux/bpf.h. Values up to Linux 7.3.
 */

// enum bpf_prog_type
export const BPF_PROG_TYPE_UNSPEC = 0
export const BPF_PROG_TYPE_SOCKET_FILTER = 1
export const BPF_PROG_TYPE_KPROBE = 2
export const BPF_PROG_TYPE_SCHED_CLS = 3
export const BPF_PROG_TYPE_SCHED_ACT = 4
export const BPF_PROG_TYPE_TRACEPOINT = 5
export const BPF_PROG_TYPE_XDP = 6
export const BPF_PROG_TYPE_PERF_EVENT = 7
export const BPF_PROG_TYPE_CGROUP_SKB = 8
export const BPF_PROG_TYPE_CGROUP_SOCK = 9
export const BPF_PROG_TYPE_LWT_IN = 10
export const BPF_PROG_TYPE_LWT_OUT = 11
export const BPF_PROG_TYPE_LWT_XMIT = 12
export const BPF_PROG_TYPE_SOCK_OPS = 13
export const BPF_PROG_TYPE_SK_SKB = 14
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15
export const BPF_PROG_TYPE_SK_MSG = 16
export const BPF_PROG_TYPE_RAW_TRACEPOINT = 17
export const BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18
export const BPF_PROG_TYPE_LWT_SEG6LOCAL = 19
export const BPF_PROG_TYPE_LIRC_MODE2 = 20
export const BPF_PROG_TYPE_SK_REUSEPORT = 21
export const BPF_PROG_TYPE_FLOW_DISSECTOR = 22
export const BPF_PROG_TYPE_CGROUP_SYSCTL = 23
export const BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE = 24
export const BPF_PROG_TYPE_CGROUP_SOCKOPT = 25
export const BPF_PROG_TYPE_TRACING = 26
export const BPF_PROG_TYPE_STRUCT_OPS = 27
export const BPF_PROG_TYPE_EXT = 28
export const BPF_PROG_TYPE_LSM = 29
export const BPF_PROG_TYPE_SK_LOOKUP = 30
export const BPF_PROG_TYPE_SYSCALL = 31
export const BPF_PROG_TYPE_NETFILTER = 32

// prog_flags of BPF_PROG_LOAD (with BPF_F_TOKEN_FD, in uapi-map.ts).
export const BPF_F_STRICT_ALIGNMENT = 1 << 0
export const BPF_F_ANY_ALIGNMENT = 1 << 1
export const BPF_F_TEST_RND_HI32 = 1 << 2
export const BPF_F_TEST_STATE_FREQ = 1 << 3
export const BPF_F_SLEEPABLE = 1 << 4
export const BPF_F_XDP_HAS_FRAGS = 1 << 5
export const BPF_F_XDP_DEV_BOUND_ONLY = 1 << 6
export const BPF_F_TEST_REG_INVARIANTS = 1 << 7

// log_level of BPF_PROG_LOAD, a bit set. Not in bpf.h: include/linux/bpf_verifier.h has them.
export const BPF_LOG_LEVEL1 = 1
export const BPF_LOG_LEVEL2 = 2
export const BPF_LOG_STATS = 4
export const BPF_LOG_FIXED = 8 // 6.4: keep the head of a log that is too long, not its tail

// src_reg of a 64-bit immediate load (BPF_LD | BPF_IMM | BPF_DW).
export const BPF_PSEUDO_MAP_FD = 1
export const BPF_PSEUDO_MAP_VALUE = 2
export const BPF_PSEUDO_BTF_ID = 3
export const BPF_PSEUDO_FUNC = 4
export const BPF_PSEUDO_MAP_IDX = 5
export const BPF_PSEUDO_MAP_IDX_VALUE = 6

// src_reg of a call.
export const BPF_PSEUDO_CALL = 1
export const BPF_PSEUDO_KFUNC_CALL = 2

// flags of BPF_PROG_TEST_RUN.
export const BPF_F_TEST_RUN_ON_CPU = 1 << 0
export const BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1
export const BPF_F_TEST_SKB_CHECKSUM_COMPLETE = 1 << 2

// enum bpf_stats_type, of BPF_ENABLE_STATS.
export const BPF_STATS_RUN_TIME = 0

// The streams of BPF_PROG_STREAM_READ_BY_FD. 6.18's enum bpf_stream_id called them BPF_STDOUT and BPF_STDERR.
export const BPF_STREAM_STDOUT = 1
export const BPF_STREAM_STDERR = 2
