import type { Codec } from './codec'
import { shown } from './error'
import { LITTLE_ENDIAN } from './integer'
import { makeCodec } from './make'

/** One byte, C's `bool`: writes 0 or 1, reads every other byte than 0 as true. Anything but a boolean is a TypeError. */
export const bool: Codec<boolean> = makeCodec({
  name: 'bool',
  size: 1,
  align: 1,
  shape: { kind: 'bool' },
  write(view, offset, value) {
    if (typeof value !== 'boolean') throw new TypeError(`bool takes true or false, not ${shown(value)}`)
    view.setUint8(offset, value ? 1 : 0)
  },
  read: (view, offset) => view.getUint8(offset) !== 0,
})

/**
 * IEEE 754 single precision in the machine's byte order, 4 bytes. BPF programs have no floating point: this is for
 * maps that processes share. Rounds to the nearest float; a finite number past the largest is a RangeError.
 */
export const f32: Codec<number> = makeCodec({
  name: 'f32',
  size: 4,
  align: 4,
  shape: { kind: 'float' },
  write(view, offset, value) {
    if (typeof value !== 'number') throw new TypeError(`f32 takes a number, not ${shown(value)}`)
    if (Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
      throw new RangeError(`${value} is out of range for f32 (-3.4028234663852886e+38 to 3.4028234663852886e+38)`)
    }
    view.setFloat32(offset, value, LITTLE_ENDIAN)
  },
  read: (view, offset) => view.getFloat32(offset, LITTLE_ENDIAN),
})

/** IEEE 754 double precision in the machine's byte order, 8 bytes: every JavaScript number fits. */
export const f64: Codec<number> = makeCodec({
  name: 'f64',
  size: 8,
  align: 8,
  shape: { kind: 'float' },
  write(view, offset, value) {
    if (typeof value !== 'number') throw new TypeError(`f64 takes a number, not ${shown(value)}`)
    view.setFloat64(offset, value, LITTLE_ENDIAN)
  },
  read: (view, offset) => view.getFloat64(offset, LITTLE_ENDIAN),
})
