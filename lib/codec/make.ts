import { inspect } from 'node:util'
import type { Codec } from './codec'
import { shown } from './error'
import { type Shape, shaped } from './shape'
import type { StructCodec, StructField } from './struct'

/**
 * The one place where codec objects come from, so that all of them have one hidden class: a map's hot path
 * calls `codec.write` on many kinds of codec, and V8 then finds the property without a look-up.
 * That is also why `fields` is there on codecs that have none. `shape` is what the bytes are in C.
 */
export function makeCodec<T>(parts: CodecParts<T>): Codec<T>
export function makeCodec<T>(parts: CodecParts<T>, fields: readonly StructField[]): StructCodec<T>
export function makeCodec<T>(parts: CodecParts<T>, fields?: readonly StructField[]): object {
  const { name, size, align, write, read, shape } = parts
  const codec = { name, size, align, write, read, fields, [inspect.custom]: ownName }
  return shape === undefined ? codec : shaped(codec, shape)
}

interface CodecParts<T> extends Codec<T> {
  readonly shape?: Shape
}

/** At a prompt a codec is its name. */
function ownName(this: { readonly name: string }): string {
  return this.name
}

/** Whether `x` has the shape of a codec: a name, a size, an alignment that is a power of two, `write` and `read`. */
export function isCodec(x: unknown): x is Codec<unknown> {
  if (typeof x !== 'object' || x === null) return false
  const { name, size, align, write, read } = x as Record<keyof Codec<unknown>, unknown>
  return (
    typeof name === 'string' &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    (align === 1 || align === 2 || align === 4 || align === 8 || align === 16) &&
    typeof write === 'function' &&
    typeof read === 'function'
  )
}

/** Refuses what is not a codec, in the words that every function taking one uses. */
export function checkCodec(x: unknown): asserts x is Codec<unknown> {
  if (!isCodec(x)) throw new TypeError(`expected a codec such as u32 or struct({ ... }), not ${shown(x)}`)
}

/** Refuses a length that is not an integer from `least` up. */
export function checkLength(what: string, n: unknown, least: number): asserts n is number {
  if (typeof n !== 'number') throw new TypeError(`${what} takes its length as a number, not ${shown(n)}`)
  // 2^31 - 1: no map takes a larger key or value (bpf_attr.key_size is u32, KMALLOC_MAX_SIZE is far below).
  if (!Number.isInteger(n) || n < least || n > 0x7fffffff) {
    throw new RangeError(`${n} is no length for ${what} (${least} to 2147483647)`)
  }
}
