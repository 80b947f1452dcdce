/**
 * union bpf_attr for the commands that load and run programs, load BTF, and create tokens. The conventions are
 * explained in attr.ts.
 */
import { LE, opt32, opt64, optName, optS32, type Perhaps, put64 } from './attr-common'

/** "anonymous struct used by BPF_PROG_LOAD command" */
export type ProgLoadAttr = {
  /** enum bpf_prog_type */
  prog_type: number
  /** number of 8-byte instructions */
  insn_cnt: number
  /** address of the instructions */
  insns: number
  /** address of a NUL-terminated license */
  license: number
  /** BPF_LOG_LEVEL1 and others */
  log_level?: number | undefined
  /** bytes at log_buf */
  log_size?: number | undefined
  /** address to write the verifier's log to */
  log_buf?: number | undefined
  /** not used since Linux 5.0 */
  kern_version?: number | undefined
  /** BPF_F_SLEEPABLE and others */
  prog_flags?: number | undefined
  /** at most 15 characters of [A-Za-z0-9_.] */
  prog_name?: string | undefined
  /** netdev to prepare for */
  prog_ifindex?: number | undefined
  /** enum bpf_attach_type */
  expected_attach_type?: number | undefined
  prog_btf_fd?: number | undefined
  /** bytes of one bpf_func_info */
  func_info_rec_size?: number | undefined
  /** address of the bpf_func_info records */
  func_info?: number | undefined
  func_info_cnt?: number | undefined
  /** bytes of one bpf_line_info */
  line_info_rec_size?: number | undefined
  /** address of the bpf_line_info records */
  line_info?: number | undefined
  line_info_cnt?: number | undefined
  /** BTF id of the kernel function, type or tracepoint to attach to */
  attach_btf_id?: number | undefined
  /** number of bpf_core_relo. Linux 5.17 */
  core_relo_cnt?: number | undefined
  /** address of an array of fds, which BPF_PSEUDO_MAP_IDX and kfunc calls index. Linux 5.14 */
  fd_array?: number | undefined
  /** address of the bpf_core_relo records. Linux 5.17 */
  core_relos?: number | undefined
  /** bytes of one bpf_core_relo. Linux 5.17 */
  core_relo_rec_size?: number | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.9 */
  prog_token_fd?: number | undefined
  /** number of fds at fd_array, all of which are then bound to the program. Linux 6.14 */
  fd_array_cnt?: number | undefined
  /** address of the program's signature. Linux 6.18 */
  signature?: number | undefined
  /** bytes at signature. Linux 6.18 */
  signature_size?: number | undefined
  /** the keyring to check the signature with. Linux 6.18 */
  keyring_id?: number | undefined
} & Perhaps<
  /** fd of the program to attach to (EXT, and TRACING of a program), or ... */
  'attach_prog_fd',
  /** ... of the module BTF that has attach_btf_id; 0 is vmlinux */
  'attach_btf_obj_fd'
>

export function packProgLoad(attr: DataView, f: ProgLoadAttr): number {
  attr.setUint32(0, f.prog_type, LE)
  attr.setUint32(4, f.insn_cnt, LE)
  put64(attr, 8, f.insns)
  put64(attr, 16, f.license)
  attr.setUint32(24, f.log_level ?? 0, LE)
  attr.setUint32(28, f.log_size ?? 0, LE)
  put64(attr, 32, f.log_buf ?? 0)
  attr.setUint32(40, f.kern_version ?? 0, LE)
  attr.setUint32(44, f.prog_flags ?? 0, LE)
  optName(attr, 64, 48, f.prog_name)
  attr.setUint32(64, f.prog_ifindex ?? 0, LE)
  attr.setUint32(68, f.expected_attach_type ?? 0, LE)
  attr.setUint32(72, f.prog_btf_fd ?? 0, LE)
  attr.setUint32(76, f.func_info_rec_size ?? 0, LE)
  put64(attr, 80, f.func_info ?? 0)
  attr.setUint32(88, f.func_info_cnt ?? 0, LE)
  attr.setUint32(92, f.line_info_rec_size ?? 0, LE)
  put64(attr, 96, f.line_info ?? 0)
  attr.setUint32(104, f.line_info_cnt ?? 0, LE)
  attr.setUint32(108, f.attach_btf_id ?? 0, LE)
  attr.setUint32(112, f.attach_prog_fd ?? f.attach_btf_obj_fd ?? 0, LE)
  attr.setUint32(116, f.core_relo_cnt ?? 0, LE)
  put64(attr, 120, f.fd_array ?? 0)
  put64(attr, 128, f.core_relos ?? 0)
  attr.setUint32(136, f.core_relo_rec_size ?? 0, LE)
  // log_true_size, at 140, is written back only to those who sent it (kernel/bpf/log.c, bpf_vlog_finalize and its
  // callers).
  let size = 144
  size = optS32(attr, size, 144, f.prog_token_fd)
  size = opt32(attr, size, 148, f.fd_array_cnt)
  size = opt64(attr, size, 152, f.signature)
  size = opt32(attr, size, 160, f.signature_size)
  return optS32(attr, size, 164, f.keyring_id)
}

/**
 * log_true_size, which the kernel writes back: how long a buffer the whole log needs, with its NUL. Linux 6.4; 0
 * before.
 */
export function readLogTrueSize(attr: DataView): number {
  return attr.getUint32(140, LE)
}

/** "anonymous struct used by BPF_PROG_TEST_RUN command": attr.test */
export interface ProgTestRunAttr {
  prog_fd: number
  /** bytes at data_in */
  data_size_in?: number | undefined
  /** in: bytes at data_out; out: how many there are, with ENOSPC if that is more */
  data_size_out?: number | undefined
  /** address of the packet */
  data_in?: number | undefined
  /** address to write the packet to */
  data_out?: number | undefined
  repeat?: number | undefined
  /** bytes at ctx_in */
  ctx_size_in?: number | undefined
  /** in: bytes at ctx_out; out: how many there are, with ENOSPC if that is more */
  ctx_size_out?: number | undefined
  /** address of the context */
  ctx_in?: number | undefined
  /** address to write the context to */
  ctx_out?: number | undefined
  /** BPF_F_TEST_RUN_ON_CPU and others */
  flags?: number | undefined
  /** with BPF_F_TEST_RUN_ON_CPU. Linux 5.10 */
  cpu?: number | undefined
  /** with BPF_F_TEST_XDP_LIVE_FRAMES. Linux 5.18 */
  batch_size?: number | undefined
}

export function packProgTestRun(attr: DataView, f: ProgTestRunAttr): number {
  attr.setUint32(0, f.prog_fd, LE)
  // retval, at 4, is written back
  attr.setUint32(8, f.data_size_in ?? 0, LE)
  attr.setUint32(12, f.data_size_out ?? 0, LE)
  put64(attr, 16, f.data_in ?? 0)
  put64(attr, 24, f.data_out ?? 0)
  attr.setUint32(32, f.repeat ?? 0, LE)
  // duration, at 36, is written back
  attr.setUint32(40, f.ctx_size_in ?? 0, LE)
  attr.setUint32(44, f.ctx_size_out ?? 0, LE)
  let size = 48
  size = opt64(attr, size, 48, f.ctx_in)
  size = opt64(attr, size, 56, f.ctx_out)
  size = opt32(attr, size, 64, f.flags)
  size = opt32(attr, size, 68, f.cpu)
  return opt32(attr, size, 72, f.batch_size)
}

/** test.retval, which the kernel writes back: what the program returned, in the last run. */
export function readTestRetval(attr: DataView): number {
  return attr.getUint32(4, LE)
}

/**
 * test.data_size_out, which the kernel writes back: the size of the packet, also where data_out was too small for it.
 */
export function readTestDataSizeOut(attr: DataView): number {
  return attr.getUint32(12, LE)
}

/** test.duration, which the kernel writes back: nanoseconds a run, on average. */
export function readTestDuration(attr: DataView): number {
  return attr.getUint32(36, LE)
}

/**
 * test.ctx_size_out, which the kernel writes back: the size of the context, also where ctx_out was too small for it.
 */
export function readTestCtxSizeOut(attr: DataView): number {
  return attr.getUint32(44, LE)
}

/** "struct used by BPF_PROG_BIND_MAP command": attr.prog_bind_map. Linux 5.10 */
export interface ProgBindMapAttr {
  prog_fd: number
  map_fd: number
  /** none so far */
  flags?: number | undefined
}

export function packProgBindMap(attr: DataView, f: ProgBindMapAttr): number {
  attr.setUint32(0, f.prog_fd, LE)
  attr.setUint32(4, f.map_fd, LE)
  return opt32(attr, 8, 8, f.flags)
}

/** attr.prog_stream_read of BPF_PROG_STREAM_READ_BY_FD. Linux 6.17 */
export interface ProgStreamReadAttr {
  /** address to write to */
  stream_buf: number
  /** bytes at stream_buf */
  stream_buf_len: number
  /** BPF_STREAM_STDOUT or BPF_STREAM_STDERR */
  stream_id: number
  prog_fd: number
}

export function packProgStreamReadByFd(attr: DataView, f: ProgStreamReadAttr): number {
  put64(attr, 0, f.stream_buf)
  attr.setUint32(8, f.stream_buf_len, LE)
  attr.setUint32(12, f.stream_id, LE)
  attr.setUint32(16, f.prog_fd, LE)
  return 20
}

/** attr.prog_assoc_struct_ops of BPF_PROG_ASSOC_STRUCT_OPS. After Linux 6.18 */
export interface ProgAssocStructOpsAttr {
  /** fd of a STRUCT_OPS map */
  map_fd: number
  /** fd of the program that its kfuncs are to find the map from */
  prog_fd: number
  /** none so far */
  flags?: number | undefined
}

export function packProgAssocStructOps(attr: DataView, f: ProgAssocStructOpsAttr): number {
  attr.setUint32(0, f.map_fd, LE)
  attr.setUint32(4, f.prog_fd, LE)
  return opt32(attr, 8, 8, f.flags)
}

/** "anonymous struct for BPF_BTF_LOAD" */
export interface BtfLoadAttr {
  /** address of the BTF */
  btf: number
  /** address to write the log to */
  btf_log_buf?: number | undefined
  /** bytes at btf */
  btf_size: number
  /** bytes at btf_log_buf */
  btf_log_size?: number | undefined
  btf_log_level?: number | undefined
  /** BPF_F_TOKEN_FD. Linux 6.9 */
  btf_flags?: number | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.9 */
  btf_token_fd?: number | undefined
}

export function packBtfLoad(attr: DataView, f: BtfLoadAttr): number {
  put64(attr, 0, f.btf)
  put64(attr, 8, f.btf_log_buf ?? 0)
  attr.setUint32(16, f.btf_size, LE)
  attr.setUint32(20, f.btf_log_size ?? 0, LE)
  attr.setUint32(24, f.btf_log_level ?? 0, LE)
  // btf_log_true_size, at 28, is written back only to those who sent it, as log_true_size is.
  const size = opt32(attr, 32, 32, f.btf_flags)
  return optS32(attr, size, 36, f.btf_token_fd)
}

/**
 * btf_log_true_size, which the kernel writes back: how long a buffer the whole log needs, with its NUL. Linux 6.4; 0
 * before.
 */
export function readBtfLogTrueSize(attr: DataView): number {
  return attr.getUint32(28, LE)
}

/** "struct used by BPF_TOKEN_CREATE command": attr.token_create. Linux 6.9 */
export interface TokenCreateAttr {
  /** none so far */
  flags?: number | undefined
  /** fd of the root of a bpffs that delegates */
  bpffs_fd: number
}

export function packTokenCreate(attr: DataView, f: TokenCreateAttr): number {
  attr.setUint32(0, f.flags ?? 0, LE)
  attr.setUint32(4, f.bpffs_fd, LE)
  return 8
}

/** "struct used by BPF_ENABLE_STATS command": attr.enable_stats */
export interface EnableStatsAttr {
  /** BPF_STATS_RUN_TIME */
  type: number
}

export function packEnableStats(attr: DataView, f: EnableStatsAttr): number {
  attr.setUint32(0, f.type, LE)
  return 4
}
