import type { Codec } from './codec'
import { shown } from './error'
import { checkCodec, makeCodec } from './make'

/**
 * A codec seen through two functions: `to` makes the value of what `codec` read, `from` the reverse before writing.
 * Size and alignment stay. What the functions throw goes on; a TypeError or RangeError gets the field's path.
 *
 * ```ts
 * const seconds = mapped(u64n, (ns) => ns / 1e9, (s) => Math.round(s * 1e9), 'seconds')
 * ```
 */
export function mapped<A, B>(
  codec: Codec<A>,
  to: (a: A) => B,
  from: (b: B) => A,
  name = `mapped(${codec?.name})`,
): Codec<B> {
  checkCodec(codec)
  for (const f of [to, from]) {
    if (typeof f !== 'function') throw new TypeError(`mapped takes two functions, not ${shown(f)}`)
  }
  return makeCodec<B>({
    name,
    size: codec.size,
    align: codec.align,
    shape: { kind: 'same', as: codec as Codec<unknown> },
    write: (view, offset, value) => codec.write(view, offset, from(value)),
    read: (view, offset) => to(codec.read(view, offset)),
  })
}
