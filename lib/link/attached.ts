import { type ProgQueryReply, progQuery } from '../../syscalls/bpf-attach'
import type { Subject } from '../../syscalls/errno'
import { checkKind, closeFd } from '../../syscalls/fd'
import { openRouteSocket } from '../../syscalls/netlink'
import { listFilters, type XdpMode } from '../../syscalls/route'
import { BPF_F_QUERY_EFFECTIVE } from '../../syscalls/uapi-link'
import { ATTACH_TYPES } from '../../syscalls/uapi-names'
import { unsupportedOr, type Words } from '../features/unsupported'
import { fdOf, type HasFd } from '../handle/fd-of'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { attachedXdp } from './attached-here'
import { type Cgroup, withCgroup } from './cgroup'
import { CGROUP_HINTS, CGROUP_HOOKS, type CgroupHook } from './cgroup-hooks'
import { type NetworkInterface, resolveInterface } from './interface'
import { type NetworkNamespace, OWN_NAMESPACE, withNamespace } from './netns'
import type { SockmapHook } from './sockmap'

/** One program at a hook. */
export interface AttachedProgram {
  readonly programId: number
  /** Of the link that holds it, at tcx and netkit hooks; undefined where there is none, or the kernel does not tell. */
  readonly linkId: number | undefined
  /** Of XDP: who runs it. */
  readonly mode?: XdpMode
  /** Of tc filters. */
  readonly priority?: number
  readonly handle?: number
}

/** What is attached at a hook. */
export interface Attached {
  /** In the order in which they run, where there is one. */
  readonly programs: readonly AttachedProgram[]
  /** For `expectedRevision`; undefined where the kernel does not tell: before Linux 6.6, of a cgroup 6.17. */
  readonly revision: bigint | undefined
}

type DeviceHook = 'xdp' | 'tc_ingress' | 'tc_egress' | 'tcx_ingress' | 'tcx_egress' | 'netkit_primary' | 'netkit_peer'
type NamespaceHook = 'sk_lookup' | 'flow_dissector'

const OPTIONS = optionNames<{ effective?: boolean }>({ effective: true })

/**
 * What is attached at a hook, by whomever. Errors: UnsupportedError (the kernel has no such hook); those of the target:
 * TypeError, RangeError, ENODEV, ENOENT, EBADF, EINVAL, EOPNOTSUPP (a map of another type); EPERM without CAP_NET_ADMIN. Of
 * a sockmap Linux 5.17, of tcx 6.6, of netkit 6.7.
 */
export function attached(hook: DeviceHook, device: NetworkInterface): Attached
export function attached(hook: CgroupHook, cgroup: Cgroup, options?: { readonly effective?: boolean }): Attached
export function attached(hook: NamespaceHook, namespace?: NetworkNamespace): Attached
export function attached(hook: SockmapHook, map: HasFd): Attached
export function attached(
  hook: DeviceHook | CgroupHook | NamespaceHook | SockmapHook,
  target?: NetworkInterface | Cgroup | NetworkNamespace,
  options: { readonly effective?: boolean } = {},
): Attached {
  checkKnownOptions(options, OPTIONS)
  const { effective = false } = options
  checkBooleans({ effective })
  switch (hook) {
    case 'xdp':
    case 'tc_ingress':
    case 'tc_egress':
    case 'tcx_ingress':
    case 'tcx_egress':
    case 'netkit_primary':
    case 'netkit_peer':
      return atDevice(hook, target as NetworkInterface)
    case 'sk_lookup':
    case 'flow_dissector': {
      const named = (target ?? OWN_NAMESPACE) as NetworkNamespace
      return withNamespace(named, (target_fd) =>
        query({ target_fd, attach_type: ATTACH_TYPES[hook] }, `${hook} of a network namespace`, hook, []),
      )
    }
    case 'sk_msg_verdict':
    case 'sk_skb_stream_parser':
    case 'sk_skb_stream_verdict':
    case 'sk_skb_verdict': {
      const target_fd = fdOf(target as HasFd, 'map')
      checkKind(target_fd, 'bpf-map')
      return query({ target_fd, attach_type: ATTACH_TYPES[hook] }, `${hook} of a map`, 'sockmap', [])
    }
    default: {
      if (!Object.hasOwn(CGROUP_HOOKS, hook)) throw new TypeError(`no hook is called ${JSON.stringify(hook)}`)
      const attach_type = ATTACH_TYPES[hook]
      const feature = hook === 'lsm_cgroup' ? hook : 'cgroup'
      const wanted = hook === 'lsm_cgroup' && !effective ? (['prog_attach_flags'] as const) : []
      return withCgroup(target as Cgroup, (target_fd, label) => {
        const query_flags = effective ? BPF_F_QUERY_EFFECTIVE : 0
        return query({ target_fd, attach_type, query_flags }, `${hook} of ${label}`, feature, wanted)
      })
    }
  }
}

function atDevice(hook: DeviceHook, device: NetworkInterface): Attached {
  const { ifindex, label } = resolveInterface(device)
  if (hook === 'xdp') {
    const programs = attachedXdp(ifindex).map((found) => ({ ...found, linkId: undefined }))
    return { programs, revision: undefined }
  }
  if (hook === 'tc_ingress' || hook === 'tc_egress') {
    const direction = hook === 'tc_ingress' ? 'ingress' : 'egress'
    const socket = openRouteSocket()
    try {
      const filters = listFilters(socket, ifindex, direction, { description: `${hook} of ${label}` })
      const programs = filters
        .filter(({ programId }) => programId !== 0)
        .map(({ programId, priority, handle }) => ({ programId, linkId: undefined, priority, handle }))
      return { programs, revision: undefined }
    } finally {
      closeFd(socket)
    }
  }
  const fields = { target_ifindex: ifindex, attach_type: ATTACH_TYPES[hook] }
  return query(fields, `${hook} of ${label}`, hook.startsWith('tcx') ? 'tcx' : 'netkit', ['link_ids'])
}

type Query = ({ target_fd: number } | { target_ifindex: number }) & { attach_type: number; query_flags?: number }

const NO_NAMESPACE = {
  EINVAL: 'the file is no network namespace',
  EBADF: 'the file descriptor is not open',
}

/** What the kernel says of targets that are none, by the feature. */
const HINTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  sk_lookup: NO_NAMESPACE,
  flow_dissector: NO_NAMESPACE,
  cgroup: CGROUP_HINTS,
  lsm_cgroup: CGROUP_HINTS,
  sockmap: { EOPNOTSUPP: 'the map is neither a SOCKMAP nor a SOCKHASH' },
}

/** How often a list is asked for that grows in between. */
const MAX_TRIES = 8

/** `more` are the arrays beside the programs' ids that this hook knows of. */
function query(
  fields: Query,
  description: string,
  feature: string,
  more: readonly ('link_ids' | 'prog_attach_flags')[],
): Attached {
  const subject: Subject = { description, hint: (_command, code) => HINTS[feature]?.[code] }
  const ask = (count: number): { reply: ProgQueryReply; ids: Uint32Array; links: Uint32Array | undefined } => {
    const arrays = Object.fromEntries(more.map((name) => [name, new Uint32Array(count)]))
    const ids = new Uint32Array(count)
    return { reply: progQuery({ ...fields, prog_ids: ids, ...arrays }, subject), ids, links: arrays.link_ids }
  }
  let room = 8
  try {
    for (let tries = 1; ; tries++) {
      const { reply, ids, links } = ask(room)
      if (reply.truncated && tries < MAX_TRIES) {
        room = reply.count + 8
        continue
      }
      const programs = Array.from(ids.subarray(0, reply.count), (programId, i) => ({
        programId,
        linkId: links?.[i] === 0 ? undefined : links?.[i],
      }))
      return { programs, revision: reply.revision === 0n ? undefined : reply.revision }
    }
  } catch (error) {
    throw unsupportedOr(error, (): readonly Words[] => [['attach', feature]])
  }
}
