/**
 * What the specs know of union bpf_attr: for each command its struct, the fields that its pack function takes, with
 * their sizes, and those that the kernel only writes. The types make the compiler refuse a table that has forgotten a
 * field of an interface in attr.ts; the specs find the offsets in the running kernel's BTF.
 */
import * as a from '../../syscalls/attr'
import * as cmd from '../../syscalls/uapi'

type KeysOf<T> = T extends unknown ? keyof T : never
type Sizes<T> = Record<Exclude<KeysOf<T>, 'union' | 'member'>, 4 | 8 | 16>

type Union = a.LinkCreateUnion
/** The fields of each member of the union in link_create. */
export const LINK_CREATE_UNION: { [M in Union['member']]: Sizes<Extract<Union, { member: M }>> } = {
  target_btf_id: { target_btf_id: 4 },
  iter: { iter_info: 8, iter_info_len: 4 },
  perf_event: { bpf_cookie: 8 },
  kprobe_multi: { flags: 4, cnt: 4, syms: 8, addrs: 8, cookies: 8 },
  tracing: { target_btf_id: 4, cookie: 8 },
  netfilter: { pf: 4, hooknum: 4, priority: 4, flags: 4 },
  tcx: { relative_fd: 4, relative_id: 4, expected_revision: 8 },
  uprobe_multi: { path: 8, offsets: 8, ref_ctr_offsets: 8, cookies: 8, cnt: 4, flags: 4, pid: 4, path_fd: 4 },
  netkit: { relative_fd: 4, relative_id: 4, expected_revision: 8 },
  cgroup: { relative_fd: 4, relative_id: 4, expected_revision: 8 },
  tracing_multi: { ids: 8, cookies: 8, cnt: 4 },
}

/** The two members of that union that have no name in bpf.h. */
export const UNNAMED: ReadonlySet<string> = new Set(['target_btf_id', 'iter'])

export interface Layout {
  pack: (attr: DataView, fields: never) => number
  /** the name of the struct in union bpf_attr, or members that only the anonymous one has */
  struct: string | readonly string[]
  fields: Readonly<Record<string, 4 | 8 | 16>>
  /** what the kernel writes and does not read */
  out: readonly string[]
}

function layout<F>(
  pack: (attr: DataView, fields: F) => number,
  struct: string | readonly string[],
  fields: Sizes<F>,
  out: readonly string[] = [],
): Layout {
  return { pack, struct, fields: fields as Layout['fields'], out }
}

const MAP = ['map_type', 'map_flags']
const ELEM = ['map_fd', 'next_key']
const PROG = ['prog_type', 'insns']
const OBJ = ['pathname']
const ATTACH = ['attach_bpf_fd']
const ID = ['start_id']
const BTF = ['btf_log_buf']

const target = { target_fd: 4, target_ifindex: 4 } as const
const relative = { relative_fd: 4, relative_id: 4 } as const
const lookup = { map_fd: 4, key: 8, value: 8, flags: 8 } as const
const batch = { keys: 8, count: 4, map_fd: 4, elem_flags: 8, flags: 8 } as const

export const ATTR_LAYOUT: Readonly<Record<number, Layout>> = {
  [cmd.BPF_MAP_CREATE]: layout(a.packMapCreate, MAP, {
    map_type: 4,
    key_size: 4,
    value_size: 4,
    max_entries: 4,
    map_flags: 4,
    inner_map_fd: 4,
    numa_node: 4,
    map_name: 16,
    map_ifindex: 4,
    btf_fd: 4,
    btf_key_type_id: 4,
    btf_value_type_id: 4,
    btf_vmlinux_value_type_id: 4,
    map_extra: 8,
    value_type_btf_obj_fd: 4,
    map_token_fd: 4,
    excl_prog_hash: 8,
    excl_prog_hash_size: 4,
  }),
  [cmd.BPF_MAP_LOOKUP_ELEM]: layout(a.packMapLookupElem, ELEM, lookup),
  [cmd.BPF_MAP_UPDATE_ELEM]: layout(a.packMapUpdateElem, ELEM, lookup),
  [cmd.BPF_MAP_DELETE_ELEM]: layout(a.packMapDeleteElem, ELEM, { map_fd: 4, key: 8 }),
  [cmd.BPF_MAP_GET_NEXT_KEY]: layout(a.packMapGetNextKey, ELEM, { map_fd: 4, key: 8, next_key: 8 }),
  [cmd.BPF_PROG_LOAD]: layout(
    a.packProgLoad,
    PROG,
    {
      prog_type: 4,
      insn_cnt: 4,
      insns: 8,
      license: 8,
      log_level: 4,
      log_size: 4,
      log_buf: 8,
      kern_version: 4,
      prog_flags: 4,
      prog_name: 16,
      prog_ifindex: 4,
      expected_attach_type: 4,
      prog_btf_fd: 4,
      func_info_rec_size: 4,
      func_info: 8,
      func_info_cnt: 4,
      line_info_rec_size: 4,
      line_info: 8,
      line_info_cnt: 4,
      attach_btf_id: 4,
      attach_prog_fd: 4,
      attach_btf_obj_fd: 4,
      core_relo_cnt: 4,
      fd_array: 8,
      core_relos: 8,
      core_relo_rec_size: 4,
      prog_token_fd: 4,
      fd_array_cnt: 4,
      signature: 8,
      signature_size: 4,
      keyring_id: 4,
    },
    ['log_true_size'],
  ),
  [cmd.BPF_OBJ_PIN]: layout(a.packObjPin, OBJ, { pathname: 8, bpf_fd: 4, file_flags: 4, path_fd: 4 }),
  [cmd.BPF_OBJ_GET]: layout(a.packObjGet, OBJ, { pathname: 8, file_flags: 4, path_fd: 4 }),
  [cmd.BPF_PROG_ATTACH]: layout(a.packProgAttach, ATTACH, {
    ...target,
    ...relative,
    attach_bpf_fd: 4,
    attach_type: 4,
    attach_flags: 4,
    replace_bpf_fd: 4,
    expected_revision: 8,
  }),
  [cmd.BPF_PROG_DETACH]: layout(a.packProgDetach, ATTACH, {
    ...target,
    ...relative,
    attach_bpf_fd: 4,
    attach_type: 4,
    attach_flags: 4,
    expected_revision: 8,
  }),
  [cmd.BPF_PROG_TEST_RUN]: layout(
    a.packProgTestRun,
    'test',
    {
      prog_fd: 4,
      data_size_in: 4,
      data_size_out: 4,
      data_in: 8,
      data_out: 8,
      repeat: 4,
      ctx_size_in: 4,
      ctx_size_out: 4,
      ctx_in: 8,
      ctx_out: 8,
      flags: 4,
      cpu: 4,
      batch_size: 4,
    },
    ['retval', 'duration'],
  ),
  [cmd.BPF_PROG_GET_NEXT_ID]: layout(a.packProgGetNextId, ID, { start_id: 4 }, ['next_id']),
  [cmd.BPF_MAP_GET_NEXT_ID]: layout(a.packMapGetNextId, ID, { start_id: 4 }, ['next_id']),
  [cmd.BPF_PROG_GET_FD_BY_ID]: layout(a.packProgGetFdById, ID, { prog_id: 4 }),
  [cmd.BPF_MAP_GET_FD_BY_ID]: layout(a.packMapGetFdById, ID, { map_id: 4, open_flags: 4 }),
  [cmd.BPF_OBJ_GET_INFO_BY_FD]: layout(a.packObjGetInfoByFd, 'info', { bpf_fd: 4, info_len: 4, info: 8 }),
  [cmd.BPF_PROG_QUERY]: layout(
    a.packProgQuery,
    'query',
    {
      ...target,
      attach_type: 4,
      query_flags: 4,
      prog_ids: 8,
      prog_cnt: 4,
      count: 4,
      prog_attach_flags: 8,
      link_ids: 8,
      link_attach_flags: 8,
    },
    ['attach_flags', 'revision'],
  ),
  [cmd.BPF_RAW_TRACEPOINT_OPEN]: layout(a.packRawTracepointOpen, 'raw_tracepoint', { name: 8, prog_fd: 4, cookie: 8 }),
  [cmd.BPF_BTF_LOAD]: layout(
    a.packBtfLoad,
    BTF,
    { btf: 8, btf_log_buf: 8, btf_size: 4, btf_log_size: 4, btf_log_level: 4, btf_flags: 4, btf_token_fd: 4 },
    ['btf_log_true_size'],
  ),
  [cmd.BPF_BTF_GET_FD_BY_ID]: layout(a.packBtfGetFdById, ID, { btf_id: 4, open_flags: 4, fd_by_id_token_fd: 4 }),
  [cmd.BPF_TASK_FD_QUERY]: layout(a.packTaskFdQuery, 'task_fd_query', { pid: 4, fd: 4, flags: 4, buf_len: 4, buf: 8 }, [
    'prog_id',
    'fd_type',
    'probe_offset',
    'probe_addr',
  ]),
  [cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM]: layout(a.packMapLookupAndDeleteElem, ELEM, lookup),
  [cmd.BPF_MAP_FREEZE]: layout(a.packMapFreeze, ELEM, { map_fd: 4 }),
  [cmd.BPF_BTF_GET_NEXT_ID]: layout(a.packBtfGetNextId, ID, { start_id: 4 }, ['next_id']),
  [cmd.BPF_MAP_LOOKUP_BATCH]: layout(a.packMapLookupBatch, 'batch', { ...batch, in_batch: 8, out_batch: 8, values: 8 }),
  [cmd.BPF_MAP_LOOKUP_AND_DELETE_BATCH]: layout(a.packMapLookupAndDeleteBatch, 'batch', {
    ...batch,
    in_batch: 8,
    out_batch: 8,
    values: 8,
  }),
  [cmd.BPF_MAP_UPDATE_BATCH]: layout(a.packMapUpdateBatch, 'batch', { ...batch, values: 8 }),
  [cmd.BPF_MAP_DELETE_BATCH]: layout(a.packMapDeleteBatch, 'batch', batch),
  [cmd.BPF_LINK_CREATE]: layout(a.packLinkCreate, 'link_create', {
    prog_fd: 4,
    map_fd: 4,
    ...target,
    attach_type: 4,
    flags: 4,
  }),
  [cmd.BPF_LINK_UPDATE]: layout(a.packLinkUpdate, 'link_update', {
    link_fd: 4,
    new_prog_fd: 4,
    new_map_fd: 4,
    flags: 4,
    old_prog_fd: 4,
    old_map_fd: 4,
  }),
  [cmd.BPF_LINK_GET_FD_BY_ID]: layout(a.packLinkGetFdById, ID, { link_id: 4 }),
  [cmd.BPF_LINK_GET_NEXT_ID]: layout(a.packLinkGetNextId, ID, { start_id: 4 }, ['next_id']),
  [cmd.BPF_ENABLE_STATS]: layout(a.packEnableStats, 'enable_stats', { type: 4 }),
  [cmd.BPF_ITER_CREATE]: layout(a.packIterCreate, 'iter_create', { link_fd: 4, flags: 4 }),
  [cmd.BPF_LINK_DETACH]: layout(a.packLinkDetach, 'link_detach', { link_fd: 4 }),
  [cmd.BPF_PROG_BIND_MAP]: layout(a.packProgBindMap, 'prog_bind_map', { prog_fd: 4, map_fd: 4, flags: 4 }),
  [cmd.BPF_TOKEN_CREATE]: layout(a.packTokenCreate, 'token_create', { flags: 4, bpffs_fd: 4 }),
  [cmd.BPF_PROG_STREAM_READ_BY_FD]: layout(a.packProgStreamReadByFd, 'prog_stream_read', {
    stream_buf: 8,
    stream_buf_len: 4,
    stream_id: 4,
    prog_fd: 4,
  }),
  [cmd.BPF_PROG_ASSOC_STRUCT_OPS]: layout(a.packProgAssocStructOps, 'prog_assoc_struct_ops', {
    map_fd: 4,
    prog_fd: 4,
    flags: 4,
  }),
}
