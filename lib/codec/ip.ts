import type { Codec } from './codec'
import { shown } from './error'
import { makeCodec } from './make'
import { net } from './net'

/**
 * An IPv4 address as text, `'10.0.0.1'`: 4 bytes in network order, aligned as `__be32`.
 * Text that is not four decimal numbers from 0 to 255 (no leading zeros, which some read as octal) is a RangeError.
 */
export const ipv4: Codec<string> = makeCodec({
  name: 'ipv4',
  size: 4,
  align: 4,
  shape: { kind: 'bytes', name: 'ipv4_addr' },
  write(view, offset, value) {
    if (typeof value !== 'string') throw new TypeError(`ipv4 takes an address as a string, not ${shown(value)}`)
    const address = parseIPv4(value)
    if (address < 0) throw new RangeError(`${shown(value)} is not an IPv4 address`)
    view.setUint32(offset, address, false)
  },
  read(view, offset) {
    const a = view.getUint32(offset, false)
    return `${a >>> 24}.${(a >>> 16) & 0xff}.${(a >>> 8) & 0xff}.${a & 0xff}`
  },
})

/** The address as a number, or -1. By hand, because addresses are what many hash keys are made of. */
function parseIPv4(text: string): number {
  let address = 0
  let part = -1
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0x2e) {
      if (part < 0 || ++dots > 3) return -1
      address = address * 256 + part
      part = -1
    } else {
      // A digit after a zero is a leading zero.
      if (unit < 0x30 || unit > 0x39 || part === 0) return -1
      part = (part < 0 ? 0 : part * 10) + unit - 0x30
      if (part > 255) return -1
    }
  }
  return dots === 3 && part >= 0 ? address * 256 + part : -1
}

/**
 * An IPv6 address as text: 16 bytes, aligned as `struct in6_addr` (4). Reads as RFC 5952 has it: lower case, the
 * longest run of zeros as `::`, and IPv4-mapped addresses as `::ffff:1.2.3.4`. Writes every text form of RFC 4291;
 * anything else, also a zone (`fe80::1%eth0`), for which there is no room, is a RangeError.
 */
export const ipv6: Codec<string> = makeCodec({
  name: 'ipv6',
  size: 16,
  align: 4,
  shape: { kind: 'bytes', name: 'ipv6_addr' },
  write(view, offset, value) {
    if (typeof value !== 'string') throw new TypeError(`ipv6 takes an address as a string, not ${shown(value)}`)
    if (!net().isIPv6(value) || value.includes('%')) throw new RangeError(`${shown(value)} is not an IPv6 address`)
    const [head = '', tail] = value.split('::')
    const before = groups(head)
    const after = tail === undefined ? [] : groups(tail)
    const gap = 8 - after.length
    for (let i = 0; i < 8; i++) {
      view.setUint16(offset + i * 2, (i < before.length ? before[i] : i < gap ? 0 : after[i - gap]) ?? 0, false)
    }
  },
  read(view, offset) {
    const parts: number[] = []
    for (let i = 0; i < 8; i++) parts.push(view.getUint16(offset + i * 2, false))
    if (parts[5] === 0xffff && parts.findIndex((part) => part !== 0) === 5) {
      return `::ffff:${ipv4.read(view, offset + 12)}`
    }
    const { start, length } = longestZeros(parts)
    const hex = parts.map((part) => part.toString(16))
    if (length < 2) return hex.join(':')
    return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
  },
})

/** The 16-bit groups of valid text without `::`; a dotted IPv4 address at its end is two of them. */
function groups(text: string): number[] {
  const out: number[] = []
  if (text === '') return out
  for (const part of text.split(':')) {
    if (part.includes('.')) {
      const address = parseIPv4(part)
      out.push(address >>> 16, address & 0xffff)
    } else {
      out.push(Number.parseInt(part, 16))
    }
  }
  return out
}

/** The first of the longest runs of zeros (RFC 5952, 4.2.3). */
function longestZeros(parts: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let i = 0; i < parts.length; i++) {
    const start = i
    while (parts[i] === 0) i++
    if (i - start > best.length) best = { start, length: i - start }
  }
  return best
}
