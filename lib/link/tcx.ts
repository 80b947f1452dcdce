import { BPF_NETKIT_PEER, BPF_NETKIT_PRIMARY, BPF_TCX_EGRESS, BPF_TCX_INGRESS } from '../../syscalls/uapi-attach-type'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { type NetworkInterface, resolveInterface } from './interface'
import { createLink, type Link } from './link'
import { ORDER_HINTS, type OrderOptions, orderOf } from './order'
import { checkProgram, type ProgramLike } from './program'

const TCX = { ingress: BPF_TCX_INGRESS, egress: BPF_TCX_EGRESS } as const
const NETKIT = { primary: BPF_NETKIT_PRIMARY, peer: BPF_NETKIT_PEER } as const

const ORDER = optionNames<OrderOptions>({ place: true, expectedRevision: true })

/**
 * Attaches a program of type sched_cls to what comes in at a device, or goes out. Many may be there; one that returns -1
 * (TCX_NEXT) leaves the decision to the next.
 *
 * Errors: UnsupportedError (before Linux 6.6: `attachTc` does the same through a queueing discipline); ENODEV; EEXIST (the
 * program is there already); ENOENT, ERANGE (the neighbour is not there), EINVAL (it is of another kind); ESTALE
 * (`expectedRevision`). Linux 6.6.
 */
export function attachTcx(
  program: ProgramLike,
  device: NetworkInterface,
  direction: 'ingress' | 'egress',
  order: OrderOptions = {},
): Link {
  if (!Object.hasOwn(TCX, direction))
    throw new TypeError(`direction is 'ingress' or 'egress', not ${String(direction)}`)
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
  if (!Object.hasOwn(NETKIT, end)) throw new TypeError(`end is 'primary' or 'peer', not ${String(end)}`)
  const { ifindex, label } = resolveInterface(device)
  return attach('netkit', program, ifindex, NETKIT[end], `netkit_${end} on ${label}`, order)
}

const HINTS: Readonly<Record<string, string>> = {
  ...ORDER_HINTS,
  ENXIO: 'it is no netkit device',
  EACCES: 'it is the peer of a pair: programs of both ends are attached by the primary device',
}

function attach(
  member: 'tcx' | 'netkit',
  program: ProgramLike,
  target_ifindex: number,
  attach_type: number,
  where: string,
  order: OrderOptions,
): Link {
  checkKnownOptions(order, ORDER)
  const { fd: prog_fd } = checkProgram(program, where, 'sched_cls')
  const { flags, relative } = orderOf(order)
  const fields = { prog_fd, target_ifindex, attach_type, flags, union: { member, ...relative } }
  const hint = (_command: string, code: string) =>
    code === 'EINVAL' && relative.relative_fd !== undefined
      ? 'the neighbour is a program of another type, or a link of another kind'
      : HINTS[code]
  return createLink(fields, where, [['attach', member]], hint)
}
