import type { DeviceCounts } from '../support/namespaces'
import { NO_PORT, type Stats } from './program'
import { type Counts, sum } from './table'
import type { Sent } from './traffic'

/** Of a frame in front of the payload. TCP has timestamps in each segment, and 8 bytes more of options in its SYN. */
const ETHERNET = 14
const IP = { 4: 20, 6: 40 } as const
const UDP = 8
const TCP = 32
const SYN = 8

/** What a port must have been sent, and what was counted of it. */
export interface Verdict {
  readonly port: number
  readonly protocol: Sent['protocol']
  readonly payload: number
  readonly counted: Stats
  /** The frames' bytes less their headers: for TCP, at least. */
  readonly carried: bigint
  readonly holds: boolean
}

/** Holds the counts of each port against what was sent; where segments were sent again, TCP may have carried more. */
export function verdicts(counts: Counts, sent: readonly Sent[], again: number): Verdict[] {
  return sent.map(({ protocol, port, version, times, payload }) => {
    const counted = counts.get(port) ?? { packets: 0n, bytes: 0n }
    const header = BigInt(ETHERNET + IP[version] + (protocol === 'UDP' ? UDP : TCP))
    const more = protocol === 'UDP' ? 0 : times * SYN
    const carried = counted.bytes - counted.packets * header - BigInt(more)
    const exact = carried === BigInt(payload)
    const holds =
      protocol === 'UDP' ? exact && counted.packets === BigInt(times) : exact || (again > 0 && carried > payload)
    return { port, protocol, payload, counted, carried, holds }
  })
}

/** The first count that is not what it must be, in words; undefined where there is none. */
export function difference(
  counts: Counts,
  all: readonly Verdict[],
  device: DeviceCounts,
  segments: { readonly sent: number; readonly again: number },
): string | undefined {
  const wrong = all.find(({ holds }) => !holds)
  if (wrong !== undefined) {
    const { port, payload, carried, counted } = wrong
    return `Port ${port} was sent ${payload} bytes of payload; ${carried} were counted, in ${counted.packets} packets.`
  }
  const tcp = sum(all.filter(({ protocol }) => protocol === 'TCP').map(({ counted }) => counted)).packets
  const segmented = segments.sent + segments.again
  if (tcp !== BigInt(segmented)) return `The sender's TCP has sent ${segmented} segments, and ${tcp} were counted.`
  const { packets } = sum(counts.values())
  if (packets !== BigInt(device.packets)) {
    return `The device has received ${device.packets} packets, and ${packets} were counted.`
  }
  const known = new Set([NO_PORT, ...all.map(({ port }) => port)])
  const strange = [...counts.keys()].filter((port) => !known.has(port))
  return strange.length === 0 ? undefined : `Nothing was sent to ports ${strange.join(', ')}, and something counted.`
}
