import { BPF_NETFILTER } from '../../syscalls/uapi-attach-type'
import { BPF_F_NETFILTER_IP_DEFRAG } from '../../syscalls/uapi-link'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { createLink, type Link } from './link'
import { checkProgram, type ProgramLike } from './program'

/** NFPROTO_... of include/uapi/linux/netfilter.h */
const FAMILIES = { ipv4: 2, ipv6: 10 } as const
/** enum nf_inet_hooks */
export const NETFILTER_HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const

/** NF_IP_PRI_CONNTRACK_DEFRAG: packets are put together there, so what wants them whole comes later. */
const DEFRAG = -400

export interface NetfilterOptions {
  readonly family: keyof typeof FAMILIES
  readonly hook: keyof typeof NETFILTER_HOOKS
  /** Smaller ones are asked first; each can be taken by one program. The filter tables of iptables have 0. */
  readonly priority: number
  /** Whether fragments are put together first; with a priority above -400. Linux 6.6. */
  readonly defrag?: boolean | undefined
}

const OPTIONS = optionNames<NetfilterOptions>({ family: true, hook: true, priority: true, defrag: true })

/**
 * Attaches a program of type netfilter to a hook of the calling thread's network namespace. It returns 0 (NF_DROP) or 1
 * (NF_ACCEPT). The link keeps its program: `update` is EOPNOTSUPP.
 *
 * Errors: UnsupportedError; EBUSY (the priority is taken); EAFNOSUPPORT (the kernel has not got that family); ENOENT,
 * EOPNOTSUPP (`defrag` without nf_defrag_ipv4 or nf_defrag_ipv6). Linux 6.4.
 */
export function attachNetfilter(program: ProgramLike, options: NetfilterOptions): Link {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("a hook is told by { family: 'ipv4', hook: 'input', priority: 0 }")
  }
  checkKnownOptions(options, OPTIONS)
  const { family, hook, priority, defrag = false } = options
  checkBooleans({ defrag })
  if (!Object.hasOwn(FAMILIES, family)) throw new TypeError(`family is 'ipv4' or 'ipv6', not ${String(family)}`)
  if (!Object.hasOwn(NETFILTER_HOOKS, hook)) {
    throw new TypeError(`hook is one of ${Object.keys(NETFILTER_HOOKS).join(', ')}, not ${String(hook)}`)
  }
  checkPriority(priority, defrag)
  const where = `netfilter ${family} ${hook} priority ${priority}`
  const { fd: prog_fd } = checkProgram(program, where, 'netfilter')
  const flags = defrag ? BPF_F_NETFILTER_IP_DEFRAG : 0
  const place = { pf: FAMILIES[family], hooknum: NETFILTER_HOOKS[hook], priority, flags }
  const fields = { prog_fd, attach_type: BPF_NETFILTER, union: { member: 'netfilter', ...place } as const }
  return createLink(fields, where, [['attach', 'netfilter']], (_command, code) => HINTS[code])
}

const NO_DEFRAG = 'the kernel has nothing that puts fragments together (nf_defrag_ipv4, nf_defrag_ipv6)'

const HINTS: Readonly<Record<string, string>> = {
  EBUSY: 'another BPF program has this priority there',
  EAFNOSUPPORT: 'the kernel was built without that family',
  // Of a module that is not there, and of one that has nothing to offer (get_proto_defrag_hook).
  ENOENT: NO_DEFRAG,
  EOPNOTSUPP: NO_DEFRAG,
}

/** bpf_nf_check_pf_and_hooks in net/netfilter/nf_bpf_link.c says ERANGE of the outermost priorities. */
function checkPriority(priority: number, defrag: boolean): void {
  if (typeof priority !== 'number') throw new TypeError(`priority must be a number, not ${typeof priority}`)
  if (!Number.isInteger(priority) || priority <= -0x80000000 || priority >= 0x7fffffff) {
    throw new RangeError(`${priority} cannot be a priority: integers from -2147483647 to 2147483646 can`)
  }
  if (defrag && priority <= DEFRAG) {
    throw new RangeError(`with defrag the priority must be above ${DEFRAG}, where fragments are put together`)
  }
}
