import {
  type ProgLoadAttr,
  packEnableStats,
  packProgAssocStructOps,
  packProgBindMap,
  packProgGetFdById,
  packProgGetNextId,
  packProgLoad,
  packProgStreamReadByFd,
  readLogTrueSize,
  readNextId,
} from './attr'
import { objectInfo } from './bpf'
import { addressOfBytes, type Bytes, checkObjectName, countOf, cstring, optionalBytes } from './buffer'
import { call, callAsync, type Reply } from './call'
import { errnoName, type Subject, throwKernelError } from './errno'
import { checkFd, checkFds, settleFd } from './fd'
import { programHint } from './hints'
import { PROG_INFO_SIZE, type ProgInfo, packProgInfo, readProgInfo } from './info'
import * as uapi from './uapi'

/** Typed calls of bpf(2) on programs. All throw KernelError. Memory is given as buffers, never as addresses. */

/** What BPF_PROG_LOAD takes, under the kernel's names; counts and lengths are those of the buffers. */
export interface ProgLoadFields {
  /** enum bpf_prog_type */
  prog_type: number
  /** The instructions, 8 bytes each. */
  insns: Bytes
  license: string
  /** BPF_LOG_LEVEL1 and others; with a log_buf, or else for the size alone */
  log_level?: number | undefined
  /** The verifier's log is written here, with a NUL at its end. */
  log_buf?: Bytes | undefined
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
  /** bpf_func_info records of func_info_rec_size bytes */
  func_info?: Bytes | undefined
  func_info_rec_size?: number | undefined
  /** bpf_line_info records of line_info_rec_size bytes */
  line_info?: Bytes | undefined
  line_info_rec_size?: number | undefined
  /** BTF id of the kernel function, type or tracepoint to attach to */
  attach_btf_id?: number | undefined
  /** the program to attach to (EXT, and TRACING of a program) */
  attach_prog_fd?: number | undefined
  /** in place of attach_prog_fd: the module BTF that has attach_btf_id */
  attach_btf_obj_fd?: number | undefined
  /** fds that BPF_PSEUDO_MAP_IDX and kfunc calls index. Linux 5.14 */
  fd_array?: Int32Array | undefined
  /** how many at its start are to be bound to the program. Linux 6.14 */
  fd_array_cnt?: number | undefined
  /** bpf_core_relo records of core_relo_rec_size bytes. Linux 5.17 */
  core_relos?: Bytes | undefined
  core_relo_rec_size?: number | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.9 */
  prog_token_fd?: number | undefined
  /** Linux 6.18 */
  signature?: Bytes | undefined
  /** the keyring to check the signature with. Linux 6.18 */
  keyring_id?: number | undefined
}

/** What BPF_PROG_LOAD came to. */
export interface ProgLoadReply {
  /** The program, owned by the caller; -1 if there is none. */
  readonly fd: number
  /** The positive errno, 0 for none: EACCES of the verifier, ENOSPC of a log that did not fit, EPERM, EINVAL, E2BIG. */
  readonly errno: number
  /** How long a log_buf the whole log needs, with its NUL. Linux 6.4; 0 before, and where no log was asked for. */
  readonly logTrueSize: number
}

const INSN_BYTES = 8

/** BPF_PROG_LOAD whose refusal is an answer: for who reads the log, and asks again with more room for it. */
export function tryProgLoad(fields: ProgLoadFields): ProgLoadReply {
  const { attr, keep } = prepared(fields)
  // Nothing throws here: what the kernel has written of the log is worth more than an error without it.
  return loadReply(call(uapi.BPF_PROG_LOAD, packProgLoad, attr, { keep, mayFail: 'any' }))
}

/** The same on the thread pool: the verifier may take seconds. The buffers must stay as they are until then. */
export async function tryProgLoadAsync(fields: ProgLoadFields): Promise<ProgLoadReply> {
  const { attr, keep } = prepared(fields)
  return loadReply(await callAsync(uapi.BPF_PROG_LOAD, packProgLoad, attr, { keep, mayFail: 'any' }))
}

function loadReply({ result, attr }: Reply): ProgLoadReply {
  const logTrueSize = readLogTrueSize(attr)
  if (result < 0) return { fd: -1, errno: -result, logTrueSize }
  return { fd: settleFd(result), errno: 0, logTrueSize }
}

/** BPF_PROG_LOAD. The caller owns the fd. Errors: EACCES (verifier), EINVAL, EPERM, E2BIG, ENOSPC (log_buf). */
export function progLoad(fields: ProgLoadFields, subject?: Subject): number {
  const { fd, errno } = tryProgLoad(fields)
  if (errno === 0) return fd
  const hint = errnoName(errno) === 'EPERM' ? programHint(fields.prog_type) : undefined
  throwKernelError(errno, { command: 'BPF_PROG_LOAD', subject, hint })
}

/** The last license as the kernel reads it: that of the next program as a rule. It is only read. */
let lastLicense: { readonly text: string; readonly bytes: ArrayBuffer } | undefined

function licenseOf(text: string): ArrayBuffer {
  if (lastLicense?.text !== text) lastLicense = { text, bytes: cstring(text, 'license') }
  return lastLicense.bytes
}

/** The attr, and what has to live as long as the call. */
function prepared(fields: ProgLoadFields): { attr: ProgLoadAttr; keep: unknown } {
  checkObjectName(fields.prog_name, 'prog_name')
  const { prog_btf_fd, attach_prog_fd, attach_btf_obj_fd, prog_token_fd } = fields
  if (prog_btf_fd !== undefined) checkFd(prog_btf_fd, 'prog_btf_fd')
  if (attach_prog_fd !== undefined) checkFd(attach_prog_fd, 'attach_prog_fd')
  if (attach_btf_obj_fd !== undefined) checkFd(attach_btf_obj_fd, 'attach_btf_obj_fd')
  if (prog_token_fd !== undefined) checkFd(prog_token_fd, 'prog_token_fd')
  if (attach_prog_fd !== undefined && attach_btf_obj_fd !== undefined) {
    throw new TypeError('attach_prog_fd and attach_btf_obj_fd share one place in the attr: only one can be given')
  }
  const license = licenseOf(fields.license)
  const log = optionalBytes(fields.log_buf, 'log_buf')
  const signature = optionalBytes(fields.signature, 'signature')
  if ((fields.fd_array_cnt ?? 0) > (fields.fd_array?.length ?? 0)) {
    throw new RangeError(`fd_array_cnt is ${fields.fd_array_cnt}, and fd_array has ${fields.fd_array?.length ?? 0}`)
  }
  const attr: ProgLoadAttr = {
    prog_type: fields.prog_type,
    insns: addressOfBytes(fields.insns, 'insns'),
    insn_cnt: countOf(fields.insns, INSN_BYTES, 'insns') ?? 0,
    license: addressOfBytes(license, 'license'),
    log_level: fields.log_level,
    log_buf: log.address,
    log_size: log.length,
    kern_version: fields.kern_version,
    prog_flags: fields.prog_flags,
    prog_name: fields.prog_name,
    prog_ifindex: fields.prog_ifindex,
    expected_attach_type: fields.expected_attach_type,
    prog_btf_fd,
    func_info: optionalBytes(fields.func_info, 'func_info').address,
    func_info_rec_size: fields.func_info_rec_size,
    func_info_cnt: countOf(fields.func_info, fields.func_info_rec_size, 'func_info'),
    line_info: optionalBytes(fields.line_info, 'line_info').address,
    line_info_rec_size: fields.line_info_rec_size,
    line_info_cnt: countOf(fields.line_info, fields.line_info_rec_size, 'line_info'),
    attach_btf_id: fields.attach_btf_id,
    attach_prog_fd: attach_prog_fd ?? attach_btf_obj_fd,
    fd_array: optionalBytes(fields.fd_array, 'fd_array').address,
    fd_array_cnt: fields.fd_array_cnt,
    core_relos: optionalBytes(fields.core_relos, 'core_relos').address,
    core_relo_rec_size: fields.core_relo_rec_size,
    core_relo_cnt: countOf(fields.core_relos, fields.core_relo_rec_size, 'core_relos'),
    prog_token_fd,
    signature: signature.address,
    signature_size: signature.length,
    keyring_id: fields.keyring_id,
  }
  return { attr, keep: [fields, license] }
}

/** BPF_PROG_GET_NEXT_ID: the id after `id` (0 to begin), or undefined at the end. Needs CAP_SYS_ADMIN. */
export function progNextId(id: number): number | undefined {
  const options = { mayFail: ['ENOENT'] }
  const { result, attr } = call(uapi.BPF_PROG_GET_NEXT_ID, packProgGetNextId, { start_id: id }, options)
  return result < 0 ? undefined : readNextId(attr)
}

/** BPF_PROG_GET_FD_BY_ID. Needs CAP_SYS_ADMIN. The caller owns the fd. Errors: ENOENT, EPERM. */
export function progOpenById(id: number, subject?: Subject): number {
  return settleFd(call(uapi.BPF_PROG_GET_FD_BY_ID, packProgGetFdById, { prog_id: id }, { subject }).result)
}

/** The same for an id that may be gone by now: then undefined. */
export function progTryOpenById(id: number, subject?: Subject): number | undefined {
  const options = { subject, mayFail: ['ENOENT'] }
  const { result } = call(uapi.BPF_PROG_GET_FD_BY_ID, packProgGetFdById, { prog_id: id }, options)
  return result < 0 ? undefined : settleFd(result)
}

/** Room for what the kernel can tell of a program beside its numbers. */
export interface ProgInfoBuffers {
  jited_prog_insns?: Bytes | undefined
  xlated_prog_insns?: Bytes | undefined
  map_ids?: Uint32Array | undefined
  jited_ksyms?: BigUint64Array | undefined
  jited_func_lens?: Uint32Array | undefined
  /** bpf_func_info records of func_info_rec_size bytes */
  func_info?: Bytes | undefined
  func_info_rec_size?: number | undefined
  /** bpf_line_info records of line_info_rec_size bytes */
  line_info?: Bytes | undefined
  line_info_rec_size?: number | undefined
  jited_line_info?: BigUint64Array | undefined
  /** 8 bytes each */
  prog_tags?: Bytes | undefined
}

/** BPF_OBJ_GET_INFO_BY_FD of a program; what there is room for is filled. */
export function progInfo(fd: number, buffers: ProgInfoBuffers = {}, subject?: Subject): ProgInfo {
  const jited = optionalBytes(buffers.jited_prog_insns, 'jited_prog_insns')
  const xlated = optionalBytes(buffers.xlated_prog_insns, 'xlated_prog_insns')
  const request = {
    jited_prog_insns: jited.address,
    jited_prog_len: jited.length,
    xlated_prog_insns: xlated.address,
    xlated_prog_len: xlated.length,
    map_ids: optionalBytes(buffers.map_ids, 'map_ids').address,
    nr_map_ids: buffers.map_ids?.length,
    jited_ksyms: optionalBytes(buffers.jited_ksyms, 'jited_ksyms').address,
    nr_jited_ksyms: buffers.jited_ksyms?.length,
    jited_func_lens: optionalBytes(buffers.jited_func_lens, 'jited_func_lens').address,
    nr_jited_func_lens: buffers.jited_func_lens?.length,
    func_info: optionalBytes(buffers.func_info, 'func_info').address,
    func_info_rec_size: buffers.func_info_rec_size,
    nr_func_info: countOf(buffers.func_info, buffers.func_info_rec_size, 'func_info'),
    line_info: optionalBytes(buffers.line_info, 'line_info').address,
    line_info_rec_size: buffers.line_info_rec_size,
    nr_line_info: countOf(buffers.line_info, buffers.line_info_rec_size, 'line_info'),
    jited_line_info: optionalBytes(buffers.jited_line_info, 'jited_line_info').address,
    nr_jited_line_info: buffers.jited_line_info?.length,
    jited_line_info_rec_size: buffers.jited_line_info && 8,
    prog_tags: optionalBytes(buffers.prog_tags, 'prog_tags').address,
    nr_prog_tags: countOf(buffers.prog_tags, uapi.BPF_TAG_SIZE, 'prog_tags'),
  }
  const pack = (info: DataView) => packProgInfo(info, request)
  const { view, length } = objectInfo(fd, PROG_INFO_SIZE, subject, { kind: 'bpf-prog', pack, keep: buffers })
  return readProgInfo(view, length)
}

/** BPF_ENABLE_STATS: programs count their runs as long as the fd, which the caller owns, is open. Linux 5.8. */
export function enableStats(type: number = uapi.BPF_STATS_RUN_TIME): number {
  return settleFd(call(uapi.BPF_ENABLE_STATS, packEnableStats, { type }).result)
}

/** BPF_PROG_BIND_MAP: the map lives as long as the program. Linux 5.10. */
export function progBindMap(prog_fd: number, map_fd: number, subject?: Subject): void {
  checkFds({ prog_fd, map_fd })
  call(uapi.BPF_PROG_BIND_MAP, packProgBindMap, { prog_fd, map_fd }, { subject })
}

/**
 * BPF_PROG_STREAM_READ_BY_FD: takes what a program has written to its stream, up to the buffer's length. The result is
 * how many bytes. `stream_id` is BPF_STREAM_STDOUT or BPF_STREAM_STDERR. Linux 6.17. Errors: ENOENT (no such stream).
 */
export function progStreamRead(prog_fd: number, stream_id: number, into: Bytes, subject?: Subject): number {
  checkFd(prog_fd, 'prog_fd')
  const fields = { prog_fd, stream_id, stream_buf: addressOfBytes(into, 'into'), stream_buf_len: into.byteLength }
  const options = { subject, keep: into }
  return call(uapi.BPF_PROG_STREAM_READ_BY_FD, packProgStreamReadByFd, fields, options).result
}

/** BPF_PROG_ASSOC_STRUCT_OPS: the STRUCT_OPS map that the program's kfuncs are to find. After Linux 6.18. */
export function progAssocStructOps(prog_fd: number, map_fd: number, subject?: Subject): void {
  checkFds({ prog_fd, map_fd })
  call(uapi.BPF_PROG_ASSOC_STRUCT_OPS, packProgAssocStructOps, { prog_fd, map_fd }, { subject })
}
