import { abi } from './abi'
import { type MapCreateAttr, packMapCreate, packMapFreeze } from './attr-map'
import {
  packMapGetFdById,
  packMapGetNextId,
  packObjGet,
  packObjGetInfoByFd,
  packObjPin,
  readInfoLen,
  readNextId,
} from './attr-obj'
import { type Bytes, checkObjectName, cstring, optionalBytes } from './buffer'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd, checkKind, type FdKind, settleFd } from './fd'
import { networkMapHint } from './hints'
import { MAP_INFO_SIZE, type MapInfo, readMapInfo } from './info-map'
import {
  BPF_MAP_CREATE,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from './uapi-cmd'
import {
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_SOCKMAP,
  BPF_MAP_TYPE_XSKMAP,
} from './uapi-map'

/** Typed calls of bpf(2) on maps, and on what every BPF object has: pins, ids, info. All throw KernelError. */

/** What BPF_MAP_CREATE takes, under the kernel's names; the hash of its one program as bytes. */
export type MapCreateFields = Omit<MapCreateAttr, 'excl_prog_hash' | 'excl_prog_hash_size'> & {
  /** SHA-256 of the one program that may use the map. Linux 6.18 */
  excl_prog_hash?: Bytes | undefined
}

/** BPF_MAP_CREATE. The caller owns the fd. */
export function mapCreate(fields: MapCreateFields, subject?: Subject): number {
  checkObjectName(fields.map_name, 'map_name')
  // 0 would be taken for "none": an outer map is then refused for its missing template, not for standard input.
  if (fields.inner_map_fd !== undefined) checkFd(fields.inner_map_fd, 'inner_map_fd')
  if (fields.btf_fd !== undefined) checkFd(fields.btf_fd, 'btf_fd')
  if (fields.value_type_btf_obj_fd !== undefined) checkFd(fields.value_type_btf_obj_fd, 'value_type_btf_obj_fd')
  if (fields.map_token_fd !== undefined) checkFd(fields.map_token_fd, 'map_token_fd')
  const told = subject !== undefined && NETWORK_MAPS.has(fields.map_type) ? ofNetwork(subject) : subject
  return settleFd(call(BPF_MAP_CREATE, packMapCreate, withHash(fields), { subject: told, keep: fields }).result)
}

/** Types that ask for CAP_NET_ADMIN as well (map_create in kernel/bpf/syscall.c; before Linux 6.4, their own map_alloc). */
const NETWORK_MAPS: ReadonlySet<number> = new Set([
  ...[BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH],
  BPF_MAP_TYPE_XSKMAP,
])

function ofNetwork(subject: Subject): Subject {
  return {
    description: subject.description,
    hint: (command, code) => subject.hint?.(command, code) ?? (code === 'EPERM' ? networkMapHint() : undefined),
  }
}

function withHash(fields: MapCreateFields): MapCreateAttr {
  // Inner maps are made by the thousand, and none of them has one.
  if (fields.excl_prog_hash === undefined) return fields as MapCreateAttr
  const { address, length } = optionalBytes(fields.excl_prog_hash, 'excl_prog_hash')
  return { ...fields, excl_prog_hash: address, excl_prog_hash_size: length }
}

/** BPF_MAP_FREEZE: no more writes from user space, for good. Linux 5.2. */
export function mapFreeze(fd: number, subject?: Subject): void {
  checkFd(fd)
  call(BPF_MAP_FREEZE, packMapFreeze, { map_fd: fd }, { subject })
}

/** BPF_MAP_GET_NEXT_ID: the id after `id` (0 to begin), or undefined at the end. Needs CAP_SYS_ADMIN. */
export function mapNextId(id: number): number | undefined {
  const { result, attr } = call(BPF_MAP_GET_NEXT_ID, packMapGetNextId, { start_id: id }, { mayFail: ['ENOENT'] })
  return result < 0 ? undefined : readNextId(attr)
}

/** BPF_MAP_GET_FD_BY_ID. Needs CAP_SYS_ADMIN. The caller owns the fd. Errors: ENOENT, EPERM. */
export function mapOpenById(id: number, openFlags = 0, subject?: Subject): number {
  return settleFd(call(BPF_MAP_GET_FD_BY_ID, packMapGetFdById, byId(id, openFlags), { subject }).result)
}

/** The same for an id that may be gone by now: then undefined. */
export function mapTryOpenById(id: number, openFlags = 0, subject?: Subject): number | undefined {
  const options = { subject, mayFail: ['ENOENT'] }
  const { result } = call(BPF_MAP_GET_FD_BY_ID, packMapGetFdById, byId(id, openFlags), options)
  return result < 0 ? undefined : settleFd(result)
}

function byId(id: number, openFlags: number) {
  return { map_id: id, open_flags: openFlags === 0 ? undefined : openFlags }
}

/** BPF_OBJ_GET_INFO_BY_FD of a map, as far as this kernel fills it. */
export function mapInfo(fd: number, subject?: Subject): MapInfo {
  const { view, length } = objectInfo(fd, MAP_INFO_SIZE, subject)
  return readMapInfo(view, length)
}

/** What a caller of `objectInfo` has ready for the kernel to fill. */
export interface InfoRequest {
  /** What the fd must be, by its name in /proc: the kernel would read these addresses as those of another struct. */
  readonly kind: FdKind
  /** Writes addresses and sizes into the info before it is asked for. */
  readonly pack: (info: DataView) => unknown
  /** The buffers behind those addresses. */
  readonly keep: unknown
}

/** BPF_OBJ_GET_INFO_BY_FD: up to `size` bytes of info, and how many the kernel filled. */
export function objectInfo(
  fd: number,
  size: number,
  subject?: Subject,
  request?: InfoRequest,
): { view: DataView; length: number } {
  checkFd(fd)
  const buffer = new ArrayBuffer(size)
  if (request !== undefined) {
    checkKind(fd, request.kind)
    request.pack(new DataView(buffer))
  }
  const fields = { bpf_fd: fd, info_len: size, info: abi().addressOf(buffer) }
  const keep = [buffer, request]
  const { attr } = call(BPF_OBJ_GET_INFO_BY_FD, packObjGetInfoByFd, fields, { subject, keep })
  return { view: new DataView(buffer), length: readInfoLen(attr) }
}

/** BPF_OBJ_PIN: gives an object a name on a bpf file system; it lives until the name is unlinked. */
export function objPin(path: string, fd: number, subject?: Subject): void {
  checkFd(fd)
  const name = cstring(path, 'path')
  const fields = { pathname: abi().addressOf(name), bpf_fd: fd }
  call(BPF_OBJ_PIN, packObjPin, fields, { subject, keep: name })
}

/**
 * BPF_OBJ_GET: opens what is pinned at a path; with BPF_F_PATH_FD (Linux 6.5) from the folder of `pathFd` on. The caller
 * owns the fd.
 */
export function objGet(path: string, fileFlags = 0, subject?: Subject, pathFd?: number): number {
  if (pathFd !== undefined) checkFd(pathFd, 'path_fd')
  const name = cstring(path, 'path')
  const file_flags = fileFlags === 0 ? undefined : fileFlags
  const fields = { pathname: abi().addressOf(name), file_flags, path_fd: pathFd }
  return settleFd(call(BPF_OBJ_GET, packObjGet, fields, { subject, keep: name }).result)
}
