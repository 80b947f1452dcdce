import type { Codec } from './codec'
import { shown } from './error'
import { u32 } from './integer'
import { ipv4, ipv6 } from './ip'
import { makeCodec } from './make'
import { net } from './net'

/**
 * A key of an LPM_TRIE map, `struct bpf_lpm_trie_key { __u32 prefixlen; __u8 data[]; }` (bpf.h), as text.
 * The length is in the machine's byte order, the address in network order.
 */
function prefixCodec(name: string, version: 4 | 6, address: Codec<string>, example: string): Codec<string> {
  const most = address.size * 8

  function refuse(value: string): RangeError {
    return new RangeError(
      `${shown(value)} is not an IPv${version} prefix: an address and a length from 0 to ${most}, like ${example}`,
    )
  }

  return makeCodec<string>({
    name,
    size: 4 + address.size,
    align: 4,
    shape: {
      kind: 'struct',
      // bpf.h: what the kernel calls a key whose data are bytes.
      name: 'bpf_lpm_trie_key_u8',
      fields: [
        { name: 'prefixlen', offset: 0, codec: u32 as Codec<unknown> },
        { name: 'data', offset: 4, codec: address as Codec<unknown> },
      ],
    },
    write(view, offset, value) {
      if (typeof value !== 'string') throw new TypeError(`${name} takes a prefix as a string, not ${shown(value)}`)
      const slash = value.indexOf('/')
      const digits = slash < 0 ? `${most}` : value.slice(slash + 1)
      const text = slash < 0 ? value : value.slice(0, slash)
      const length = Number(digits)
      if (!/^(0|[1-9]\d{0,2})$/.test(digits) || length > most || net().isIP(text) !== version || text.includes('%')) {
        throw refuse(value)
      }
      address.write(view, offset + 4, text)
      u32.write(view, offset, length)
      for (let i = length >> 3; i < address.size; i++) {
        const keep = Math.max(0, length - i * 8)
        const at = offset + 4 + i
        view.setUint8(at, view.getUint8(at) & (0xff00 >> keep))
      }
    },
    read(view, offset) {
      const length = u32.read(view, offset)
      if (length > most) throw new RangeError(`${length} is no prefix length for ${name} (0 to ${most})`)
      return `${address.read(view, offset + 4)}/${length}`
    },
  })
}

/**
 * An IPv4 prefix, `'10.0.0.0/8'`, as the key of an LPM_TRIE map: 8 bytes, alignment 4.
 *
 * The bits of the address past the prefix length are written as zero: the kernel does not compare them, and so one
 * prefix has one key. Reading shows what the key holds. An address without a length is that one address, `/32`: what a
 * look-up wants. Anything else is a RangeError.
 */
export const ipv4Prefix: Codec<string> = prefixCodec('ipv4Prefix', 4, ipv4, '10.0.0.0/8')

/**
 * An IPv6 prefix, `'2001:db8::/32'`, as the key of an LPM_TRIE map: 20 bytes, alignment 4.
 *
 * The bits of the address past the prefix length are written as zero: the kernel does not compare them, and so one
 * prefix has one key. Reading shows what the key holds. An address without a length is that one address, `/128`: what
 * a look-up wants. Anything else is a RangeError.
 */
export const ipv6Prefix: Codec<string> = prefixCodec('ipv6Prefix', 6, ipv6, '2001:db8::/32')

/** The codec of LPM_TRIE keys for an IP version: `ipv4Prefix` or `ipv6Prefix`. */
export function ipPrefix(version: 4 | 6): Codec<string> {
  if (version === 4) return ipv4Prefix
  if (version === 6) return ipv6Prefix
  throw new RangeError(`${shown(version)} is not an IP version: 4 or 6`)
}
