/** Packets made by hand, layer by layer, for programs that parse them. */

export type Layer = readonly number[]

const be16 = (value: number): Layer => [(value >> 8) & 255, value & 255]
const zeros = (count: number): Layer => Array.from({ length: count }, () => 0)

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, vlanOuter: 0x88a8 } as const
export const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmp6: 58,
  none: 59,
  destination: 60,
  sctp: 132,
} as const

export function packet(...layers: readonly Layer[]): Uint8Array {
  return Uint8Array.from(layers.flat())
}

/** The two addresses, then what comes next. */
export function ethernet(type: number): Layer {
  return [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ...be16(type)]
}

/** A tag of VLAN 100, then what comes next. */
export function tag(type: number): Layer {
  return [...be16(100), ...be16(type)]
}

/** UDP with a payload of bytes that could be taken for ports. */
export function udp(port: number, payload = 8): Layer {
  return [...be16(40_000), ...be16(port), ...be16(8 + payload), 0, 0, ...Array.from({ length: payload }, () => 0xee)]
}

export function tcp(port: number): Layer {
  return [...be16(40_000), ...be16(port), ...zeros(8), 0x50, 2, ...zeros(6)]
}

export function sctp(port: number): Layer {
  return [...be16(40_000), ...be16(port), ...zeros(8)]
}

export interface Ipv4 {
  readonly protocol?: number
  /** Bytes of options: a multiple of 4, up to 40. */
  readonly options?: number
  /** In units of 8 bytes. */
  readonly fragment?: number
  readonly more?: boolean
  /** What it says of itself, where that is not true. */
  readonly version?: number
  readonly words?: number
  readonly total?: number
}

export function ipv4(content: Layer, options: Ipv4 = {}): Layer {
  const { protocol = PROTOCOL.udp, options: extra = 0, fragment = 0, more = false, version = 4 } = options
  const header = 20 + extra
  const { words = header / 4, total = header + content.length } = options
  return [
    ...[(version << 4) | words, 0, ...be16(total), 0, 1],
    ...be16((more ? 0x2000 : 0) | fragment),
    ...[64, protocol, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2],
    ...Array.from({ length: extra }, () => 1), // No Operation
    ...content,
  ]
}

export interface Ipv6 {
  readonly next?: number
  readonly version?: number
  readonly length?: number
}

export function ipv6(content: Layer, { next = PROTOCOL.udp, version = 6, length = content.length }: Ipv6 = {}): Layer {
  const address = [0x20, 1, 0x0d, 0xb8, ...zeros(11), 1]
  return [version << 4, 0, 0, 0, ...be16(length), next, 64, ...address, ...address, ...content]
}

/** Hop-by-hop and destination options, and routing: 8 bytes, and so many times 8 more. */
export function options(next: number, more = 0): Layer {
  return [next, more, 1, 4, ...zeros(4 + more * 8)]
}

export function authentication(next: number): Layer {
  return [next, 4, ...zeros(22)]
}

/** At an offset in units of 8 bytes. */
export function fragment(next: number, offset: number, more = true): Layer {
  return [next, 0, ...be16((offset << 3) | (more ? 1 : 0)), 0, 0, 0, 1]
}
