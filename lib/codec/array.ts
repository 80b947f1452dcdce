import type { Codec } from './codec'
import { shown, withPath } from './error'
import { checkCodec, checkLength, makeCodec } from './make'

/**
 * C's `T[n]`: exactly `n` elements, one after another, with the element's alignment.
 * Another number of elements is a RangeError, anything but an array a TypeError; errors name the element (`[3].port`).
 * An element whose size is not a multiple of its alignment is a TypeError here: C has no such type.
 */
export function array<T>(codec: Codec<T>, n: number): Codec<T[]> {
  checkCodec(codec)
  checkLength('array', n, 1)
  const { size, align } = codec
  if (size % align !== 0) {
    throw new TypeError(`${codec.name} cannot be an element: its size ${size} is no multiple of its alignment ${align}`)
  }
  const name = `${codec.name}[${n}]`
  return makeCodec<T[]>({
    name,
    size: size * n,
    align,
    shape: { kind: 'array', of: codec as Codec<unknown>, length: n },
    write(view, offset, value) {
      if (!Array.isArray(value)) throw new TypeError(`${name} takes an array of ${n}, not ${shown(value)}`)
      if (value.length !== n) throw new RangeError(`${value.length} elements do not fit ${name}: it takes exactly ${n}`)
      let i = 0
      try {
        for (; i < n; i++) codec.write(view, offset + i * size, value[i] as T)
      } catch (error) {
        throw withPath(i, error)
      }
    },
    read(view, offset) {
      const out: T[] = []
      let i = 0
      try {
        for (; i < n; i++) out.push(codec.read(view, offset + i * size))
      } catch (error) {
        throw withPath(i, error)
      }
      return out
    },
  })
}
