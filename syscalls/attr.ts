/**
 * union bpf_attr, the argument of bpf(2): one pack function a command, in the words of include/uapi/linux/bpf.h.
 *
 * - `attr` is a view of at least ATTR_SIZE bytes, all of them zero: what the kernel wrote back last time is no good
 *   input.
 * - Fields have the kernel's names and stand at the offsets written out in the functions; spec/syscalls/attr.spec.ts
 *   holds each of them against the running kernel's BTF.
 * - A field that is a pointer takes an address, as a number (user addresses are below 2^53). That the memory outlives
 *   the call is the caller's business.
 * - The result is the size to send: the end of the last field that is required, is given, or is written back. So a
 *   field that nobody gave is not sent to a kernel that may not know it.
 * - read...() functions read what the kernel wrote back into the attr.
 */
import * as attach from './attr-attach'
import * as link from './attr-link'
import * as map from './attr-map'
import * as obj from './attr-obj'
import * as prog from './attr-prog'
import * as cmd from './uapi-cmd'

export * from './attr-attach'
export { ATTR_SIZE } from './attr-common'
export * from './attr-link'
export * from './attr-map'
export * from './attr-obj'
export * from './attr-prog'

/** The pack function of each command, by enum bpf_cmd. */
export const PACKERS = {
  [cmd.BPF_MAP_CREATE]: map.packMapCreate,
  [cmd.BPF_MAP_LOOKUP_ELEM]: map.packMapLookupElem,
  [cmd.BPF_MAP_UPDATE_ELEM]: map.packMapUpdateElem,
  [cmd.BPF_MAP_DELETE_ELEM]: map.packMapDeleteElem,
  [cmd.BPF_MAP_GET_NEXT_KEY]: map.packMapGetNextKey,
  [cmd.BPF_PROG_LOAD]: prog.packProgLoad,
  [cmd.BPF_OBJ_PIN]: obj.packObjPin,
  [cmd.BPF_OBJ_GET]: obj.packObjGet,
  [cmd.BPF_PROG_ATTACH]: attach.packProgAttach,
  [cmd.BPF_PROG_DETACH]: attach.packProgDetach,
  [cmd.BPF_PROG_TEST_RUN]: prog.packProgTestRun,
  [cmd.BPF_PROG_GET_NEXT_ID]: obj.packProgGetNextId,
  [cmd.BPF_MAP_GET_NEXT_ID]: obj.packMapGetNextId,
  [cmd.BPF_PROG_GET_FD_BY_ID]: obj.packProgGetFdById,
  [cmd.BPF_MAP_GET_FD_BY_ID]: obj.packMapGetFdById,
  [cmd.BPF_OBJ_GET_INFO_BY_FD]: obj.packObjGetInfoByFd,
  [cmd.BPF_PROG_QUERY]: attach.packProgQuery,
  [cmd.BPF_RAW_TRACEPOINT_OPEN]: attach.packRawTracepointOpen,
  [cmd.BPF_BTF_LOAD]: prog.packBtfLoad,
  [cmd.BPF_BTF_GET_FD_BY_ID]: obj.packBtfGetFdById,
  [cmd.BPF_TASK_FD_QUERY]: attach.packTaskFdQuery,
  [cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM]: map.packMapLookupAndDeleteElem,
  [cmd.BPF_MAP_FREEZE]: map.packMapFreeze,
  [cmd.BPF_BTF_GET_NEXT_ID]: obj.packBtfGetNextId,
  [cmd.BPF_MAP_LOOKUP_BATCH]: map.packMapLookupBatch,
  [cmd.BPF_MAP_LOOKUP_AND_DELETE_BATCH]: map.packMapLookupAndDeleteBatch,
  [cmd.BPF_MAP_UPDATE_BATCH]: map.packMapUpdateBatch,
  [cmd.BPF_MAP_DELETE_BATCH]: map.packMapDeleteBatch,
  [cmd.BPF_LINK_CREATE]: link.packLinkCreate,
  [cmd.BPF_LINK_UPDATE]: link.packLinkUpdate,
  [cmd.BPF_LINK_GET_FD_BY_ID]: obj.packLinkGetFdById,
  [cmd.BPF_LINK_GET_NEXT_ID]: obj.packLinkGetNextId,
  [cmd.BPF_ENABLE_STATS]: prog.packEnableStats,
  [cmd.BPF_ITER_CREATE]: link.packIterCreate,
  [cmd.BPF_LINK_DETACH]: link.packLinkDetach,
  [cmd.BPF_PROG_BIND_MAP]: prog.packProgBindMap,
  [cmd.BPF_TOKEN_CREATE]: prog.packTokenCreate,
  [cmd.BPF_PROG_STREAM_READ_BY_FD]: prog.packProgStreamReadByFd,
  [cmd.BPF_PROG_ASSOC_STRUCT_OPS]: prog.packProgAssocStructOps,
} as const
