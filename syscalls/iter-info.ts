import { LE, put64 } from './attr-common'
import { checkFds } from './fd'
import * as uapi from './uapi-link'

/** union bpf_iter_link_info of include/uapi/linux/bpf.h: what an iterator goes through, where that is not everything. */

/** enum bpf_cgroup_iter_order */
export const CGROUP_ORDERS = {
  self: uapi.BPF_CGROUP_ITER_SELF_ONLY,
  'descendants-pre': uapi.BPF_CGROUP_ITER_DESCENDANTS_PRE,
  'descendants-post': uapi.BPF_CGROUP_ITER_DESCENDANTS_POST,
  'ancestors-up': uapi.BPF_CGROUP_ITER_ANCESTORS_UP,
  children: uapi.BPF_CGROUP_ITER_CHILDREN,
} as const

export type CgroupOrder = keyof typeof CGROUP_ORDERS

export type IterInfo =
  | { readonly map_fd: number }
  /** Linux 6.1 */
  | { readonly order: number; readonly cgroup_fd?: number | undefined; readonly cgroup_id?: bigint | undefined }
  /** One of them. Linux 6.1 */
  | { readonly tid?: number | undefined; readonly pid?: number | undefined; readonly pid_fd?: number | undefined }

/** What there is of the member: no longer than the oldest kernel with it knows. */
export function packIterInfo(info: IterInfo): ArrayBuffer {
  if ('map_fd' in info) {
    checkFds({ map_fd: info.map_fd })
    return words(info.map_fd)
  }
  if ('order' in info) {
    checkFds({ cgroup_fd: info.cgroup_fd })
    const packed = words(info.order, info.cgroup_fd ?? 0, 0, 0)
    put64(new DataView(packed), 8, info.cgroup_id ?? 0n)
    return packed
  }
  checkFds({ pid_fd: info.pid_fd })
  return words(info.tid ?? 0, info.pid ?? 0, info.pid_fd ?? 0)
}

function words(...values: readonly number[]): ArrayBuffer {
  const packed = new ArrayBuffer(values.length * 4)
  const view = new DataView(packed)
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value, LE)
  return packed
}
