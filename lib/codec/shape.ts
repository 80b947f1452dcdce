import type { Codec } from './codec'

/**
 * What the bytes of a codec are in C. It is kept beside the codecs, not in them: a codec that a user makes has none, and
 * neither has a copy with other methods, of which nothing but the size is certain.
 */
export type Shape =
  /** An integer by a name for it, in the machine's byte order or in the other. */
  | { readonly kind: 'int'; readonly name: IntName; readonly swapped: boolean }
  | { readonly kind: 'bool' }
  /** float or double, by the size */
  | { readonly kind: 'float' }
  /** char[n] */
  | { readonly kind: 'text' }
  /** unsigned char[n], by a name for the whole where it has one */
  | { readonly kind: 'bytes'; readonly name?: string }
  | { readonly kind: 'array'; readonly of: Codec<unknown>; readonly length: number }
  | { readonly kind: 'struct'; readonly name?: string; readonly fields: readonly ShapeField[] }
  /** Constants, as the base stores them. */
  | { readonly kind: 'enum'; readonly values: ReadonlyMap<string, number | bigint>; readonly base: Codec<unknown> }
  /** As another codec has it. */
  | { readonly kind: 'same'; readonly as: Codec<unknown> }

/** Without the byte order. */
export type IntName = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'u64' | 'i64'

export interface ShapeField {
  readonly name: string
  readonly offset: number
  readonly codec: Codec<unknown>
}

const shapes = new WeakMap<object, Shape>()

/** The codec, whose shape is known from now on. */
export function shaped<C extends object>(codec: C, shape: Shape): C {
  shapes.set(codec, shape)
  return codec
}

/** undefined for codecs of the user's own. */
export function shapeOf(codec: Codec<unknown>): Shape | undefined {
  return shapes.get(codec)
}
