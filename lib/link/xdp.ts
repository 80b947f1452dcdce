import { KernelError } from '../../syscalls/errno'
import type { XdpMode } from '../../syscalls/route'
import { BPF_XDP } from '../../syscalls/uapi-attach-type'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { attachedXdp } from './attached-here'
import { type NetworkInterface, resolveInterface } from './interface'
import { createLink, type Link } from './link'
import { checkProgram, type ProgramLike, programLabel } from './program'
import { describeLinkOf } from './whose'

/** flags of include/uapi/linux/if_link.h */
const MODES: Readonly<Record<XdpMode, number>> = { generic: 1 << 1, native: 1 << 2, offload: 1 << 3 }

export interface XdpOptions {
  /**
   * By whom the program is run: by the driver, by the network stack when the packet is an skb already, or by the device.
   * The driver where it can, else the stack, where not given.
   */
  readonly mode?: XdpMode | undefined
}

const OPTIONS = optionNames<XdpOptions>({ mode: true })

/**
 * Attaches a program of type xdp to a device: it sees packets before anyone else does. `update` of the link replaces the
 * program without a packet in between that meets none.
 *
 * Errors: TypeError (a program of another type, or for the entries of a DEVMAP or CPUMAP); ENODEV; EBUSY (another program
 * is there: its id is told); EEXIST (one is there in another mode); EOPNOTSUPP (the driver has not got that mode); ERANGE
 * (the MTU is too large for it), EINVAL (the same of other drivers; or the program is for another device). Linux 5.9.
 */
export function attachXdp(program: ProgramLike, device: NetworkInterface, options: XdpOptions = {}): Link {
  checkKnownOptions(options, OPTIONS)
  const { mode } = options
  if (mode !== undefined && !Object.hasOwn(MODES, mode)) {
    throw new TypeError(`mode is 'native', 'generic' or 'offload', not ${JSON.stringify(mode)}`)
  }
  const { ifindex, label } = resolveInterface(device)
  const where = `xdp on ${label}`
  const { fd: prog_fd, expectedAttachType, description } = checkProgram(program, where, 'xdp')
  if (expectedAttachType === 'xdp_devmap' || expectedAttachType === 'xdp_cpumap') {
    throw new TypeError(
      `${description} was loaded for ${expectedAttachType}: an entry of such a map runs it, no device`,
    )
  }
  const flags = mode === undefined ? undefined : MODES[mode]
  const fields = { prog_fd, target_ifindex: ifindex, attach_type: BPF_XDP, flags }
  return createLink(fields, where, [['attach', 'xdp']], (_command, code) => hint(code, ifindex, label, mode))
}

function hint(code: string, ifindex: number, label: string, mode: XdpMode | undefined): string | undefined {
  if (code === 'EOPNOTSUPP' && mode !== undefined) return `the driver of ${label} has no ${mode} XDP`
  if (code === 'EINVAL') {
    return `the program was loaded for the entries of a DEVMAP or CPUMAP, or for another device; or ${refuses(label)}`
  }
  if (code === 'ERANGE') return refuses(label)
  if (code !== 'EBUSY' && code !== 'EEXIST') return undefined
  const there = whatIsThere(ifindex).map(({ mode, programId }) => {
    const link = describeLinkOf('xdp', programId)
    return `${programLabel(programId)} (${mode}${link === undefined ? ', without a link' : `, by ${link}`})`
  })
  return there.length === 0 ? undefined : `${there.join(' and ')} is attached there already`
}

/** What veth calls ERANGE, others have other names for. */
function refuses(label: string): string {
  const ways = "lower the MTU, load the program with the flag XDP_HAS_FRAGS, or say mode: 'generic'"
  return `the driver of ${label} takes no such program at this MTU, or with these queues: ${ways}`
}

/** The same for a message: what has to be told is that the place is taken, also to who may not ask by whom. */
function whatIsThere(ifindex: number): ReturnType<typeof attachedXdp> {
  try {
    return attachedXdp(ifindex)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return []
  }
}
