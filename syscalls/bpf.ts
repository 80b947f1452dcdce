import { abi } from './abi'
import {
  type MapCreateAttr,
  packMapCreate,
  packMapFreeze,
  packMapGetFdById,
  packMapGetNextId,
  packObjGet,
  packObjGetInfoByFd,
  packObjPin,
  readInfoLen,
  readNextId,
} from './attr'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd, settleFd } from './fd'
import { MAP_INFO_SIZE, type MapInfo, readMapInfo } from './info'
import {
  BPF_MAP_CREATE,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from './uapi'

/** Typed calls of bpf(2) on maps, and on what every BPF object has: pins, ids, info. All throw KernelError. */

/** BPF_MAP_CREATE. The caller owns the fd. */
export function mapCreate(fields: MapCreateAttr, subject?: Subject): number {
  return settleFd(call(BPF_MAP_CREATE, packMapCreate, fields, { subject }).result)
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

/** BPF_OBJ_GET_INFO_BY_FD: up to `size` bytes of info, and how many the kernel filled. */
export function objectInfo(fd: number, size: number, subject?: Subject): { view: DataView; length: number } {
  checkFd(fd)
  const buffer = new ArrayBuffer(size)
  const fields = { bpf_fd: fd, info_len: size, info: abi().addressOf(buffer) }
  const { attr } = call(BPF_OBJ_GET_INFO_BY_FD, packObjGetInfoByFd, fields, { subject, keep: buffer })
  return { view: new DataView(buffer), length: readInfoLen(attr) }
}

/** BPF_OBJ_PIN: gives an object a name on a bpf file system; it lives until the name is unlinked. */
export function objPin(path: string, fd: number, subject?: Subject): void {
  checkFd(fd)
  const name = cstring(path, 'path')
  const fields = { pathname: abi().addressOf(name), bpf_fd: fd }
  call(BPF_OBJ_PIN, packObjPin, fields, { subject, keep: name })
}

/** BPF_OBJ_GET: opens what is pinned at a path. The caller owns the fd. */
export function objGet(path: string, fileFlags = 0, subject?: Subject): number {
  const name = cstring(path, 'path')
  const fields = { pathname: abi().addressOf(name), file_flags: fileFlags === 0 ? undefined : fileFlags }
  return settleFd(call(BPF_OBJ_GET, packObjGet, fields, { subject, keep: name }).result)
}

/** A NUL-terminated copy for the kernel to read. */
export function cstring(text: string, what: string): ArrayBuffer {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string, not ${typeof text}`)
  if (text === '') throw new RangeError(`${what} must not be empty`)
  if (text.includes('\0')) throw new RangeError(`${what} must not hold a NUL character`)
  const bytes = new TextEncoder().encode(`${text}\0`)
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}
