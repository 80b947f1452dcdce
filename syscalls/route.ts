import { constants } from 'node:os'
import { LE } from './attr-common'
import { KernelError, type Subject } from './errno'
import {
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  netlinkRequest,
  readAttributes,
  viewOf,
} from './netlink'

/**
 * What rtnetlink has to do with BPF programs (man 7 rtnetlink, man 8 tc-bpf): the queueing discipline clsact, classifiers
 * of type bpf in it, and the XDP programs of a device. All take a socket of `openRouteSocket` and throw KernelError.
 */

// include/uapi/linux/rtnetlink.h
const RTM_GETLINK = 18
const RTM_NEWQDISC = 36
const RTM_DELQDISC = 37
const RTM_GETQDISC = 38
const RTM_NEWTFILTER = 44
const RTM_DELTFILTER = 45
const RTM_GETTFILTER = 46
const TCA_KIND = 1
const TCA_OPTIONS = 2

// include/uapi/linux/pkt_sched.h
const TC_H_CLSACT = 0xfffffff1
const CLSACT_HANDLE = 0xffff0000
/** TC_H_MIN_INGRESS and TC_H_MIN_EGRESS below it. */
const PARENTS = { ingress: 0xfffffff2, egress: 0xfffffff3 } as const
export type Direction = keyof typeof PARENTS

// include/uapi/linux/pkt_cls.h
const TCA_BPF_FD = 6
const TCA_BPF_NAME = 7
const TCA_BPF_FLAGS = 8
const TCA_BPF_ID = 11
const TCA_BPF_FLAG_ACT_DIRECT = 1

/** ETH_P_ALL in network byte order, as tcm_info has it. */
const ALL_PROTOCOLS = LE ? 0x0300 : 0x0003

/** Of a classifier in clsact. */
export interface FilterPlace {
  readonly ifindex: number
  readonly direction: Direction
  /** Smaller ones are asked first; 0 lets the kernel choose. */
  readonly priority: number
  /** Among those of one priority; 0 lets the kernel choose. */
  readonly handle: number
}

export interface Filter extends FilterPlace {
  /** 'bpf' and others */
  readonly kind: string
  /** Of a classifier of type bpf; 0 for others. */
  readonly programId: number
}

/** struct tcmsg */
function tcMessage(ifindex: number, handle: number, parent: number, info = 0): Uint8Array {
  const bytes = new Uint8Array(20)
  const view = viewOf(bytes)
  view.setInt32(4, ifindex, LE)
  view.setUint32(8, handle, LE)
  view.setUint32(12, parent, LE)
  view.setUint32(16, info, LE)
  return bytes
}

/**
 * Adds the queueing discipline clsact to a device. False where it has one, or the older ingress, already. Linux 4.5.
 * Errors: ENOENT (the kernel has no clsact: CONFIG_NET_SCH_INGRESS), ENODEV, EPERM.
 */
export function addClsact(fd: number, ifindex: number, subject?: Subject): boolean {
  const { code } = netlinkRequest(fd, {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    header: tcMessage(ifindex, CLSACT_HANDLE, TC_H_CLSACT),
    attributes: [[TCA_KIND, 'clsact']],
    command: 'RTM_NEWQDISC',
    subject,
    mayFail: ['EEXIST'],
  })
  return code === ''
}

/** Whether a device has clsact, and not the older `ingress` in its place. Errors: ENODEV. */
export function hasClsact(fd: number, ifindex: number, subject?: Subject): boolean {
  const { code } = netlinkRequest(fd, {
    type: RTM_GETQDISC,
    header: tcMessage(ifindex, 0, TC_H_CLSACT),
    attributes: [[TCA_KIND, 'clsact']],
    command: 'RTM_GETQDISC',
    subject,
    // EINVAL of another kind, and of a device that had one before (tc_get_qdisc in net/sched/sch_api.c).
    mayFail: ['ENOENT', 'EINVAL'],
  })
  return code === ''
}

/** Removes clsact, and whatever is in it. False where it is gone already, or the device is. */
export function removeClsact(fd: number, ifindex: number, subject?: Subject): boolean {
  const { code } = netlinkRequest(fd, {
    type: RTM_DELQDISC,
    header: tcMessage(ifindex, CLSACT_HANDLE, TC_H_CLSACT),
    attributes: [[TCA_KIND, 'clsact']],
    command: 'RTM_DELQDISC',
    subject,
    mayFail: GONE,
  })
  return code === ''
}

/** Of a device, of the queueing discipline and the filters in it: EINVAL where there is no clsact for them. */
const GONE = ['ENOENT', 'ENODEV', 'EINVAL']

/**
 * Adds a classifier that also decides what becomes of a packet (direct-action), or with `replace` puts the program in
 * place of the one that is there. The result has the numbers that the kernel has chosen. Errors: EEXIST, ENOENT (the
 * kernel has no such classifiers: CONFIG_NET_CLS_BPF), EINVAL, EPERM; those of recvfrom(2), where there may be one now.
 * Linux 4.4.
 */
export function setFilter(
  fd: number,
  place: FilterPlace,
  program: { readonly fd: number; readonly name: string },
  { replace = false, subject }: { readonly replace?: boolean; readonly subject?: Subject } = {},
): Filter {
  const { messages } = netlinkRequest(fd, {
    type: RTM_NEWTFILTER,
    // Without an echo, the kernel would keep the numbers that it has chosen to itself.
    flags: NLM_F_CREATE | NLM_F_ECHO | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
    ...ofFilter(place),
    attributes: [
      [TCA_KIND, 'bpf'],
      [
        TCA_OPTIONS,
        [
          [TCA_BPF_FD, program.fd],
          [TCA_BPF_NAME, program.name],
          [TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT],
        ],
      ],
    ],
    command: 'RTM_NEWTFILTER',
    subject,
  })
  const [echo] = messages
  if (echo === undefined) {
    const description = subject?.description ?? 'rtnetlink'
    const hint = () => 'the kernel did not say which filter it has made'
    const about = { syscall: 'recvfrom', command: 'RTM_NEWTFILTER', subject: { description, hint } }
    throw new KernelError(constants.errno.EBADMSG, about)
  }
  return readFilter(echo, place.direction)
}

/** What is at this place; undefined where nothing is. */
export function getFilter(fd: number, place: FilterPlace, subject?: Subject): Filter | undefined {
  const { code, messages } = netlinkRequest(fd, {
    type: RTM_GETTFILTER,
    ...ofFilter(place),
    attributes: [[TCA_KIND, 'bpf']],
    command: 'RTM_GETTFILTER',
    subject,
    mayFail: GONE,
  })
  const [found] = messages
  return code !== '' || found === undefined ? undefined : readFilter(found, place.direction)
}

/** Removes a classifier. False where it is gone already. */
export function removeFilter(fd: number, place: FilterPlace, subject?: Subject): boolean {
  const { code } = netlinkRequest(fd, {
    type: RTM_DELTFILTER,
    ...ofFilter(place),
    attributes: [[TCA_KIND, 'bpf']],
    command: 'RTM_DELTFILTER',
    subject,
    mayFail: GONE,
  })
  return code === ''
}

/** All filters of one direction, in the order in which they are asked. */
export function listFilters(fd: number, ifindex: number, direction: Direction, subject?: Subject): Filter[] {
  // One with handle 0 stands for a whole priority, before those in it.
  return dumpFilters(fd, ifindex, direction, subject).filter((filter) => filter.handle !== 0)
}

/** Whether there is anything in one direction, if it is a priority without filters in it. */
export function hasFilters(fd: number, ifindex: number, direction: Direction, subject?: Subject): boolean {
  return dumpFilters(fd, ifindex, direction, subject).length > 0
}

function dumpFilters(fd: number, ifindex: number, direction: Direction, subject?: Subject): Filter[] {
  const request: NetlinkRequest = {
    type: RTM_GETTFILTER,
    flags: NLM_F_DUMP,
    header: tcMessage(ifindex, 0, PARENTS[direction]),
    command: 'RTM_GETTFILTER',
    subject,
    mayFail: GONE,
  }
  return netlinkRequest(fd, request).messages.map((message) => readFilter(message, direction))
}

function ofFilter({ ifindex, direction, priority, handle }: FilterPlace) {
  return { header: tcMessage(ifindex, handle, PARENTS[direction], ((priority << 16) | ALL_PROTOCOLS) >>> 0) }
}

function readFilter(message: Buffer, direction: Direction): Filter {
  const view = viewOf(message)
  const attributes = readAttributes(message.subarray(20))
  const options = readAttributes(attributes.get(TCA_OPTIONS) ?? new Uint8Array())
  return {
    ifindex: view.getInt32(4, LE),
    direction,
    handle: view.getUint32(8, LE),
    priority: view.getUint32(16, LE) >>> 16,
    kind: textOf(attributes.get(TCA_KIND)),
    programId: u32Of(options.get(TCA_BPF_ID)) ?? 0,
  }
}

// include/uapi/linux/if_link.h
const IFLA_XDP = 43
/** How an XDP program is run, and where IFLA_XDP has its id. */
const XDP_PROGRAMS = { native: 5, generic: 6, offload: 7 } as const
export type XdpMode = keyof typeof XDP_PROGRAMS

/** The XDP programs of a device, by their ids; a link's are among them. Errors: ENODEV. */
export function xdpPrograms(fd: number, ifindex: number, subject?: Subject): { mode: XdpMode; programId: number }[] {
  const header = new Uint8Array(16) // struct ifinfomsg
  viewOf(header).setInt32(4, ifindex, LE)
  const { messages } = netlinkRequest(fd, { type: RTM_GETLINK, header, command: 'RTM_GETLINK', subject })
  const attributes = readAttributes((messages[0] ?? Buffer.alloc(16)).subarray(16))
  const xdp = readAttributes(attributes.get(IFLA_XDP) ?? new Uint8Array())
  return Object.entries(XDP_PROGRAMS).flatMap(([mode, attribute]) => {
    const programId = u32Of(xdp.get(attribute))
    return programId === undefined ? [] : [{ mode: mode as XdpMode, programId }]
  })
}

function u32Of(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0, LE)
}

function textOf(bytes: Buffer | undefined): string {
  return bytes?.toString('utf8').replace(/\0.*$/s, '') ?? ''
}
