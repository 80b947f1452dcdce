import type { Codec } from './codec'
import { shown } from './error'
import { makeCodec } from './make'

/**
 * An Ethernet address as text, `'aa:bb:cc:dd:ee:ff'`: 6 bytes, alignment 1. Reads in lower case, writes either case.
 * Text that is not six pairs of hexadecimal digits between colons is a RangeError.
 */
export const mac: Codec<string> = makeCodec({
  name: 'mac',
  size: 6,
  align: 1,
  shape: { kind: 'bytes', name: 'mac_addr' },
  write(view, offset, value) {
    if (typeof value !== 'string') throw new TypeError(`mac takes an address as a string, not ${shown(value)}`)
    if (!/^[\da-f]{2}(?::[\da-f]{2}){5}$/i.test(value)) throw new RangeError(`${shown(value)} is not a MAC address`)
    for (let i = 0; i < 6; i++) view.setUint8(offset + i, Number.parseInt(value.slice(i * 3, i * 3 + 2), 16))
  },
  read(view, offset) {
    let text = ''
    for (let i = 0; i < 6; i++) {
      const byte = view.getUint8(offset + i)
      text += `${i === 0 ? '' : ':'}${byte < 16 ? '0' : ''}${byte.toString(16)}`
    }
    return text
  },
})
