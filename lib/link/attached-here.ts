import { progQuery } from '../../syscalls/bpf-attach'
import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { openRouteSocket } from '../../syscalls/netlink'
import { type XdpMode, xdpPrograms } from '../../syscalls/route'
import { ATTACH_TYPES, type AttachTypeName } from '../../syscalls/uapi-names'
import type { LinkInfo } from './info'

/** What is at the devices of the calling thread's network namespace. */

/** The XDP programs of a device. Errors: ENODEV. */
export function attachedXdp(ifindex: number): { readonly mode: XdpMode; readonly programId: number }[] {
  const socket = openRouteSocket()
  try {
    return xdpPrograms(socket, ifindex, { description: `interface ${ifindex}` })
  } finally {
    closeFd(socket)
  }
}

/** BPF_MPROG_MAX: as many programs are at a hook at most. */
const MOST = 64

/**
 * Whether a link is certain to be at a device of this namespace. Its info tells the device's number alone, which in each
 * namespace is that of another device.
 */
export function isHere(info: Extract<LinkInfo, { readonly ifindex: number }>): boolean {
  try {
    if (info.type === 'xdp') return attachedXdp(info.ifindex).some(({ programId }) => programId === info.programId)
    const attach_type: number | undefined = ATTACH_TYPES[info.attachType as AttachTypeName]
    if (attach_type === undefined) return false
    const link_ids = new Uint32Array(MOST)
    progQuery({ target_ifindex: info.ifindex, attach_type, prog_ids: new Uint32Array(MOST), link_ids })
    return link_ids.includes(info.id)
  } catch (error) {
    // No such device, no right to ask, no free fd: it cannot be told.
    if (!(error instanceof KernelError)) throw error
    return false
  }
}
