/**
 * union bpf_attr for the commands that any kind of object shares: pins, ids, info. The conventions are explained in
 * attr.ts.
 */
import { LE, opt32, optS32, put64 } from './attr-common'

/** "anonymous struct used by BPF_OBJ_* commands" */
export interface ObjPinAttr {
  /** address of a NUL-terminated path on a bpffs */
  pathname: number
  /** fd of a map, program or link */
  bpf_fd: number
  /** BPF_F_PATH_FD */
  file_flags?: number | undefined
  /** what a relative pathname starts from, with BPF_F_PATH_FD. Linux 6.5 */
  path_fd?: number | undefined
}

export interface ObjGetAttr {
  /** address of a NUL-terminated path on a bpffs */
  pathname: number
  /** BPF_F_RDONLY, BPF_F_WRONLY; BPF_F_PATH_FD */
  file_flags?: number | undefined
  /** what a relative pathname starts from, with BPF_F_PATH_FD. Linux 6.5 */
  path_fd?: number | undefined
}

export function packObjPin(attr: DataView, f: ObjPinAttr): number {
  put64(attr, 0, f.pathname)
  attr.setUint32(8, f.bpf_fd, LE)
  const size = opt32(attr, 12, 12, f.file_flags)
  return optS32(attr, size, 16, f.path_fd)
}

export function packObjGet(attr: DataView, f: ObjGetAttr): number {
  put64(attr, 0, f.pathname)
  // bpf_fd, at 8, must be 0.
  const size = opt32(attr, 12, 12, f.file_flags)
  return optS32(attr, size, 16, f.path_fd)
}

/*
 * "anonymous struct used by BPF_*_GET_*_ID":
 *    0  u32 start_id, or prog_id, map_id, btf_id, link_id
 *    4  u32 next_id             out
 *    8  u32 open_flags
 *   12  s32 fd_by_id_token_fd
 */

/** BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_BTF_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID: the kernel writes next_id. */
export interface GetNextIdAttr {
  /** the id to go on from; 0 to be given the first one */
  start_id: number
}

export interface ProgGetFdByIdAttr {
  prog_id: number
}

export interface MapGetFdByIdAttr {
  map_id: number
  /** BPF_F_RDONLY, BPF_F_WRONLY */
  open_flags?: number | undefined
}

export interface BtfGetFdByIdAttr {
  btf_id: number
  /** BPF_F_TOKEN_FD. Linux 6.16 */
  open_flags?: number | undefined
  /** with BPF_F_TOKEN_FD. Linux 6.16 */
  fd_by_id_token_fd?: number | undefined
}

export interface LinkGetFdByIdAttr {
  link_id: number
}

function packGetNextId(attr: DataView, f: GetNextIdAttr): number {
  attr.setUint32(0, f.start_id, LE)
  return 8 // next_id, at 4, is the command's last field
}

export function packProgGetNextId(attr: DataView, f: GetNextIdAttr): number {
  return packGetNextId(attr, f)
}

export function packMapGetNextId(attr: DataView, f: GetNextIdAttr): number {
  return packGetNextId(attr, f)
}

export function packBtfGetNextId(attr: DataView, f: GetNextIdAttr): number {
  return packGetNextId(attr, f)
}

export function packLinkGetNextId(attr: DataView, f: GetNextIdAttr): number {
  return packGetNextId(attr, f)
}

/** next_id, which the kernel writes back. */
export function readNextId(attr: DataView): number {
  return attr.getUint32(4, LE)
}

export function packProgGetFdById(attr: DataView, f: ProgGetFdByIdAttr): number {
  attr.setUint32(0, f.prog_id, LE)
  return 4
}

export function packMapGetFdById(attr: DataView, f: MapGetFdByIdAttr): number {
  attr.setUint32(0, f.map_id, LE)
  return opt32(attr, 4, 8, f.open_flags)
}

export function packBtfGetFdById(attr: DataView, f: BtfGetFdByIdAttr): number {
  attr.setUint32(0, f.btf_id, LE)
  const size = opt32(attr, 4, 8, f.open_flags)
  return optS32(attr, size, 12, f.fd_by_id_token_fd)
}

export function packLinkGetFdById(attr: DataView, f: LinkGetFdByIdAttr): number {
  attr.setUint32(0, f.link_id, LE)
  return 4
}

/** "anonymous struct used by BPF_OBJ_GET_INFO_BY_FD": attr.info */
export interface ObjGetInfoByFdAttr {
  bpf_fd: number
  /** in: bytes at `info`; out: how many of them the kernel filled */
  info_len: number
  /** address of a struct bpf_map_info, bpf_prog_info, ... */
  info: number
}

export function packObjGetInfoByFd(attr: DataView, f: ObjGetInfoByFdAttr): number {
  attr.setUint32(0, f.bpf_fd, LE)
  attr.setUint32(4, f.info_len, LE)
  put64(attr, 8, f.info)
  return 16
}

/** info.info_len, which the kernel writes back: how much of the info is real. */
export function readInfoLen(attr: DataView): number {
  return attr.getUint32(4, LE)
}
