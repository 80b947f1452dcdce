import { type BtfGetFdByIdAttr, packBtfGetFdById, packBtfGetNextId, readNextId } from './attr-obj'
import { type BtfLoadAttr, packBtfLoad, readBtfLogTrueSize } from './attr-prog'
import { objectInfo } from './bpf'
import { addressOfBytes, type Bytes, optionalBytes } from './buffer'
import { call } from './call'
import { type Subject, throwKernelError } from './errno'
import { checkFds, settleFd } from './fd'
import { BTF_INFO_SIZE, type BtfInfo, packBtfInfo, readBtfInfo } from './info-map'
import { BPF_BTF_GET_FD_BY_ID, BPF_BTF_GET_NEXT_ID, BPF_BTF_LOAD } from './uapi-cmd'
import { BPF_F_TOKEN_FD } from './uapi-map'

/** Typed calls of bpf(2) on BTF objects. All throw KernelError. Memory is given as buffers, never as addresses. */

/** What BPF_BTF_LOAD takes, under the kernel's names; lengths are those of the buffers. */
export interface BtfLoadFields {
  btf: Bytes
  btf_log_level?: number | undefined
  /** The log is written here, with a NUL at its end. */
  btf_log_buf?: Bytes | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.9 */
  btf_flags?: number | undefined
  btf_token_fd?: number | undefined
}

/** What BPF_BTF_LOAD came to. */
export interface BtfLoadReply {
  /** The BTF object, owned by the caller; -1 if there is none. */
  readonly fd: number
  /** The positive errno, 0 for none. */
  readonly errno: number
  /** How long a btf_log_buf the whole log needs, with its NUL. Linux 6.4; 0 before, and where none was asked for. */
  readonly logTrueSize: number
}

/** BPF_BTF_LOAD whose refusal is an answer: for who reads the log, and asks again with more room for it. */
export function tryBtfLoad(fields: BtfLoadFields): BtfLoadReply {
  checkFds({ btf_token_fd: fields.btf_token_fd })
  const log = optionalBytes(fields.btf_log_buf, 'btf_log_buf')
  const attr: BtfLoadAttr = {
    btf: addressOfBytes(fields.btf, 'btf'),
    btf_size: fields.btf.byteLength,
    btf_log_level: fields.btf_log_level,
    btf_log_buf: log.address,
    btf_log_size: log.length,
    btf_flags: fields.btf_flags,
    btf_token_fd: fields.btf_token_fd,
  }
  const { result, attr: reply } = call(BPF_BTF_LOAD, packBtfLoad, attr, { keep: fields, mayFail: 'any' })
  const logTrueSize = readBtfLogTrueSize(reply)
  if (result < 0) return { fd: -1, errno: -result, logTrueSize }
  return { fd: settleFd(result), errno: 0, logTrueSize }
}

/** BPF_BTF_LOAD. The caller owns the fd. Errors: EINVAL, EPERM, E2BIG, ENOSPC (btf_log_buf). */
export function btfLoad(fields: BtfLoadFields, subject?: Subject): number {
  const { fd, errno } = tryBtfLoad(fields)
  if (errno !== 0) throwKernelError(errno, { command: 'BPF_BTF_LOAD', subject })
  return fd
}

/** BPF_BTF_GET_NEXT_ID: the id after `id` (0 to begin), or undefined at the end. Needs CAP_SYS_ADMIN. */
export function btfNextId(id: number): number | undefined {
  const options = { mayFail: ['ENOENT'] }
  const { result, attr } = call(BPF_BTF_GET_NEXT_ID, packBtfGetNextId, { start_id: id }, options)
  return result < 0 ? undefined : readNextId(attr)
}

/** BPF_BTF_GET_FD_BY_ID. Needs CAP_SYS_ADMIN, or a token (Linux 6.16). The caller owns the fd. Errors: ENOENT, EPERM. */
export function btfOpenById(id: number, tokenFd?: number, subject?: Subject): number {
  return settleFd(call(BPF_BTF_GET_FD_BY_ID, packBtfGetFdById, byId(id, tokenFd), { subject }).result)
}

/** The same for an id that may be gone by now: then undefined. */
export function btfTryOpenById(id: number, tokenFd?: number, subject?: Subject): number | undefined {
  const options = { subject, mayFail: ['ENOENT'] }
  const { result } = call(BPF_BTF_GET_FD_BY_ID, packBtfGetFdById, byId(id, tokenFd), options)
  return result < 0 ? undefined : settleFd(result)
}

function byId(id: number, tokenFd: number | undefined): BtfGetFdByIdAttr {
  if (tokenFd === undefined) return { btf_id: id }
  checkFds({ tokenFd })
  return { btf_id: id, open_flags: BPF_F_TOKEN_FD, fd_by_id_token_fd: tokenFd }
}

/** BPF_OBJ_GET_INFO_BY_FD of a BTF object; its bytes and its name are written to what there is room in. */
export function btfInfo(
  fd: number,
  buffers: { btf?: Bytes | undefined; name?: Bytes | undefined } = {},
  subject?: Subject,
): BtfInfo {
  const btf = optionalBytes(buffers.btf, 'btf')
  const name = optionalBytes(buffers.name, 'name')
  const pack = (info: DataView) =>
    packBtfInfo(info, { btf: btf.address, btf_size: btf.length, name: name.address, name_len: name.length })
  const { view, length } = objectInfo(fd, BTF_INFO_SIZE, subject, { kind: 'btf', pack, keep: buffers })
  return readBtfInfo(view, length)
}
