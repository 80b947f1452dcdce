import type { LinkCreateUnion } from './attr'
import { put64 } from './attr-common'
import { addressOfBytes, type Bytes, commonCount, cstring, optionalBytes } from './buffer'
import { checkFds } from './fd'

/**
 * The union of BPF_LINK_CREATE (see LinkCreateUnion in attr-link.ts), where it has pointers with buffers in their place:
 * arrays of one length, which is the count.
 */
export type LinkCreateTarget =
  | Exclude<LinkCreateUnion, { member: 'iter' | 'kprobe_multi' | 'uprobe_multi' | 'tracing_multi' }>
  | {
      member: 'iter'
      /** a union bpf_iter_link_info */
      iter_info: Bytes
    }
  | {
      member: 'kprobe_multi'
      /** BPF_F_KPROBE_MULTI_RETURN */
      flags?: number | undefined
      /** names of kernel functions, or ... */
      syms?: readonly string[] | undefined
      /** ... their addresses */
      addrs?: BigUint64Array | undefined
      cookies?: BigUint64Array | undefined
    }
  | {
      member: 'uprobe_multi'
      path: string
      /** offsets in the file */
      offsets: BigUint64Array
      ref_ctr_offsets?: BigUint64Array | undefined
      cookies?: BigUint64Array | undefined
      /** BPF_F_UPROBE_MULTI_RETURN */
      flags?: number | undefined
      /** the one process to probe; 0 for all */
      pid?: number | undefined
      /** what `path` starts from, with BPF_F_UPROBE_MULTI_PATH_FD. After Linux 6.18 */
      path_fd?: number | undefined
    }
  | {
      member: 'tracing_multi'
      /** BTF ids */
      ids: Uint32Array
      cookies?: BigUint64Array | undefined
    }

/** The union as it is packed, and the buffers to keep until the call is over. */
export function prepareLinkTarget(target: LinkCreateTarget | undefined): {
  union: LinkCreateUnion | undefined
  keep: unknown
} {
  if (target === undefined) return { union: undefined, keep: undefined }
  switch (target.member) {
    case 'iter': {
      const iter_info = addressOfBytes(target.iter_info, 'iter_info')
      return { union: { member: 'iter', iter_info, iter_info_len: target.iter_info.byteLength }, keep: target }
    }
    case 'kprobe_multi': {
      const { member, flags, syms, addrs } = target
      const cnt = commonCount({ syms, addrs, cookies: target.cookies }) ?? 0
      // Linux 6.18 goes down (bpf_kprobe_multi_show_fdinfo follows a null pointer) when anybody reads the fdinfo of a link
      // without cookies: there are always some.
      const cookies = target.cookies ?? (cnt > 0 ? new BigUint64Array(cnt) : undefined)
      const names = syms && pointers(syms)
      const union = {
        member,
        flags,
        cnt,
        syms: names && addressOfBytes(names.table, 'syms'),
        addrs: optionalBytes(addrs, 'addrs').address,
        cookies: optionalBytes(cookies, 'cookies').address,
      }
      return { union, keep: [target, names, cookies] }
    }
    case 'uprobe_multi': {
      const { member, offsets, ref_ctr_offsets, cookies, flags, pid, path_fd } = target
      const path = cstring(target.path, 'path')
      const union = {
        member,
        path: addressOfBytes(path, 'path'),
        offsets: addressOfBytes(offsets, 'offsets'),
        ref_ctr_offsets: optionalBytes(ref_ctr_offsets, 'ref_ctr_offsets').address,
        cookies: optionalBytes(cookies, 'cookies').address,
        cnt: commonCount({ offsets, ref_ctr_offsets, cookies }) ?? 0,
        flags,
        pid,
        path_fd,
      }
      return { union, keep: [target, path] }
    }
    case 'tracing_multi': {
      const { member, ids, cookies } = target
      const union = {
        member,
        ids: addressOfBytes(ids, 'ids'),
        cookies: optionalBytes(cookies, 'cookies').address,
        cnt: commonCount({ ids, cookies }) ?? 0,
      }
      return { union, keep: target }
    }
    case 'tcx':
    case 'netkit':
    case 'cgroup':
      checkFds({ relative_fd: target.relative_fd })
      return { union: target, keep: undefined }
    default:
      return { union: target, keep: undefined }
  }
}

/** char *[]: the table of addresses, and the names behind them. Pointers in user memory have 8 bytes on 64 bits. */
function pointers(names: readonly string[]): { table: ArrayBuffer; names: readonly ArrayBuffer[] } {
  const table = new ArrayBuffer(names.length * 8)
  const view = new DataView(table)
  const copies = names.map((name) => cstring(name, 'a name in syms'))
  copies.forEach((copy, i) => {
    put64(view, i * 8, addressOfBytes(copy, 'a name in syms'))
  })
  return { table, names: copies }
}
