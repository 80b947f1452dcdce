import { BPF_NETKIT_PEER, BPF_NETKIT_PRIMARY, BPF_TCX_EGRESS, BPF_TCX_INGRESS } from '../../syscalls/uapi-attach-type'
import { type NetworkInterface, resolveInterface } from './interface'
import { createLink, type Link } from './link'
import { type OrderOptions, orderOf } from './order'
import { checkProgram, type ProgramLike } from './program'

const TCX = { ingress: BPF_TCX_INGRESS, egress: BPF_TCX_EGRESS } as const
const NETKIT = { primary: BPF_NETKIT_PRIMARY, peer: BPF_NETKIT_PEER } as const

/**
 * Attaches a program of type sched_cls to what comes in at a device, or goes out. Many may be there; one that returns -1
 * (TCX_NEXT) leaves the decision to the next.
 *
 * Errors: UnsupportedError (before Linux 6.6: `attachTc` does the same through a queueing discipline); ENODEV; EEXIST (the
 * program is there already); ENOENT, ERANGE (the neighbour is not there); ESTALE (`expectedRevision`). Linux 6.6.
 */
export function attachTcx(
  program: ProgramLike,
  device: NetworkInterface,
  direction: 'ingress' | 'egress',
  order: OrderOptions = {},
): Link {
  if (!Object.hasOwn(TCX, direction)) throw new TypeError(`direction is 'ingress' or 'egress', not ${direction}`)
  const { ifindex, label } = resolveInterface(device)
  return attach('tcx', program, ifindex, TCX[direction], `tcx_${direction} on ${label}`, order)
}

/**
 * Attaches a program of type sched_cls to a pair of netkit devices, by its primary one: to what the primary device sends,
 * or what its peer, mostly in a container, sends.
 *
 * Errors: UnsupportedError (before Linux 6.7, or built without); ENODEV; ENXIO (the device is no netkit device); EACCES (it
 * is the peer, not the primary device); those of `attachTcx`. Linux 6.7.
 */
export function attachNetkit(
  program: ProgramLike,
  device: NetworkInterface,
  end: 'primary' | 'peer',
  order: OrderOptions = {},
): Link {
  if (!Object.hasOwn(NETKIT, end)) throw new TypeError(`end is 'primary' or 'peer', not ${end}`)
  const { ifindex, label } = resolveInterface(device)
  return attach('netkit', program, ifindex, NETKIT[end], `netkit_${end} on ${label}`, order)
}

const HINTS: Readonly<Record<string, string>> = {
  ENXIO: 'it is no netkit device',
  EACCES: 'it is the peer of a pair: programs of both ends are attached by the primary device',
  ENOENT: 'the neighbour is not attached there',
  ERANGE: 'the neighbour is not attached there, or not where it would have to be',
  ESTALE: 'what is attached there has changed since (expectedRevision)',
}

function attach(
  member: 'tcx' | 'netkit',
  program: ProgramLike,
  target_ifindex: number,
  attach_type: number,
  where: string,
  order: OrderOptions,
): Link {
  const { fd: prog_fd } = checkProgram(program, where, 'sched_cls')
  const { flags, relative } = orderOf(order)
  const fields = { prog_fd, target_ifindex, attach_type, flags, union: { member, ...relative } }
  return createLink(fields, where, [['attach', member]], (_command, code) => HINTS[code])
}
