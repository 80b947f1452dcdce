import { packProgTestRun, readTestCtxSizeOut, readTestDataSizeOut, readTestDuration, readTestRetval } from './attr'
import { type Bytes, optionalBytes } from './buffer'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd } from './fd'
import { BPF_PROG_TEST_RUN } from './uapi'

/** What BPF_PROG_TEST_RUN takes; sizes are those of the buffers. */
export interface ProgTestRunFields {
  prog_fd: number
  /** the packet */
  data_in?: Bytes | undefined
  /** the packet after the run is written here */
  data_out?: Bytes | undefined
  /** The context. A SYSCALL program's is written back in place. */
  ctx_in?: Bytes | undefined
  /** the context after the run is written here */
  ctx_out?: Bytes | undefined
  repeat?: number | undefined
  /** BPF_F_TEST_RUN_ON_CPU and others */
  flags?: number | undefined
  /** with BPF_F_TEST_RUN_ON_CPU */
  cpu?: number | undefined
  /** with BPF_F_TEST_XDP_LIVE_FRAMES. Linux 5.18 */
  batch_size?: number | undefined
}

export interface ProgTestRunReply {
  /** What the program returned, in the last run. */
  readonly retval: number
  /** Nanoseconds a run, on average. */
  readonly duration: number
  /** The size of the packet after the run, also where data_out was too small for it. */
  readonly dataSizeOut: number
  readonly ctxSizeOut: number
  /** Whether data_out or ctx_out was too small: the run took place (bpf_test_finish in net/bpf/test_run.c). */
  readonly truncated: boolean
}

/**
 * BPF_PROG_TEST_RUN, also called BPF_PROG_RUN. Errors: ENOTSUPP (not for this program type), EINVAL. A signal ends a
 * long run with EINTR, and it begins again.
 */
export function progTestRun(fields: ProgTestRunFields, subject?: Subject): ProgTestRunReply {
  checkFd(fields.prog_fd, 'prog_fd')
  const dataIn = optionalBytes(fields.data_in, 'data_in')
  const dataOut = optionalBytes(fields.data_out, 'data_out')
  const ctxIn = optionalBytes(fields.ctx_in, 'ctx_in')
  const ctxOut = optionalBytes(fields.ctx_out, 'ctx_out')
  const attr = {
    prog_fd: fields.prog_fd,
    data_in: dataIn.address,
    data_size_in: dataIn.length,
    data_out: dataOut.address,
    data_size_out: dataOut.length,
    ctx_in: ctxIn.address,
    ctx_size_in: ctxIn.length,
    ctx_out: ctxOut.address,
    ctx_size_out: ctxOut.length,
    repeat: fields.repeat,
    flags: fields.flags,
    cpu: fields.cpu,
    batch_size: fields.batch_size,
  }
  const options = { subject, keep: fields, mayFail: ['ENOSPC'] }
  const { result, attr: reply } = call(BPF_PROG_TEST_RUN, packProgTestRun, attr, options)
  return {
    retval: readTestRetval(reply),
    duration: readTestDuration(reply),
    dataSizeOut: readTestDataSizeOut(reply),
    ctxSizeOut: readTestCtxSizeOut(reply),
    truncated: result < 0,
  }
}
