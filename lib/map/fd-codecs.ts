import { endianness } from 'node:os'
import type { Codec } from '../codec'
import { u32 } from '../codec'
import { makeCodec } from '../codec/make'
import { fdOf, type HasFd } from '../handle/fd-of'

const LE = endianness() === 'LE'

/** What a queue has for a key: nothing. */
export const noKey: Codec<undefined> = makeCodec<undefined>({
  name: 'none',
  size: 0,
  align: 1,
  write() {},
  read: () => undefined,
})

/** A u32 that is written as an fd and read back as the id of the same object. */
export function fdToId(what: string): Codec<HasFd> {
  return makeCodec<HasFd>({
    name: `${what} fd`,
    size: 4,
    align: 4,
    write: (view, offset, value) => u32.write(view, offset, fdOf(value, what)),
    read: (view, offset) => u32.read(view, offset),
  })
}

/** A key that is an fd of this process, which the kernel takes as an `int`. */
export function fdKey(what: string, name = `${what} fd`): Codec<HasFd> {
  return makeCodec<HasFd>({
    name,
    size: 4,
    align: 4,
    write: (view, offset, value) => view.setInt32(offset, fdOf(value, what), LE),
    read: (view, offset) => view.getInt32(offset, LE),
  })
}

/** A socket: written as an fd, read back as its cookie (SO_COOKIE), which needs the 8 bytes. */
export function socketValue(valueSize: 4 | 8 = 8): Codec<HasFd | bigint> {
  if (valueSize !== 4 && valueSize !== 8) throw new RangeError(`valueSize is 4 or 8, not ${String(valueSize)}`)
  return makeCodec<HasFd | bigint>({
    name: 'socket fd',
    size: valueSize,
    align: valueSize,
    write(view, offset, value) {
      if (typeof value === 'bigint') throw new TypeError('a socket is given by its fd: a cookie cannot be written')
      const fd = fdOf(value, 'socket')
      if (valueSize === 8) view.setBigUint64(offset, BigInt(fd), LE)
      else view.setUint32(offset, fd, LE)
    },
    read: (view, offset) => (valueSize === 8 ? view.getBigUint64(offset, LE) : BigInt(view.getUint32(offset, LE))),
  })
}
