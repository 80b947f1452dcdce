import * as fc from 'fast-check'
import {
  array,
  bool,
  bytes,
  type Codec,
  cstring,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  i64n,
  ipv4,
  ipv6,
  mac,
  packed,
  struct,
  u8,
  u16,
  u16be,
  u32,
  u64,
  u64n,
} from '../../lib/codec'

/** What a schema is made of, known to the specs in a second way: C declarations come from here, not from the codec. */
export type Model =
  | { kind: 'leaf'; codec: Codec<unknown>; c: string; dims?: string; values: fc.Arbitrary<unknown> }
  | { kind: 'array'; of: Model; length: number }
  | { kind: 'struct'; packed: boolean; fields: readonly (readonly [string, Model])[] }

function leaf<T>(codec: Codec<T>, c: string, values: fc.Arbitrary<T>, dims = ''): Model {
  return { kind: 'leaf', codec, c, dims, values }
}

const range = (min: number, max: number) => fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max))
const MAX = Number.MAX_SAFE_INTEGER
const text = (most: number) => fc.string({ unit: fc.constantFrom(...'abcXYZ019_-. '), maxLength: most })

const leaves: Model[] = [
  leaf(u8, 'uint8_t', range(0, 255)),
  leaf(i8, 'int8_t', range(-128, 127)),
  leaf(u16, 'uint16_t', range(0, 65535)),
  leaf(u16be, 'uint16_t', range(0, 65535)),
  leaf(i16, 'int16_t', range(-32768, 32767)),
  leaf(u32, 'uint32_t', range(0, 0xffffffff)),
  leaf(i32, 'int32_t', range(-0x80000000, 0x7fffffff)),
  leaf(u64, 'uint64_t', fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
  leaf(i64, 'int64_t', fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })),
  leaf(u64n, 'uint64_t', range(0, MAX)),
  leaf(i64n, 'int64_t', range(-MAX, MAX)),
  leaf(bool, 'bool', fc.boolean()),
  leaf(f32, 'float', fc.float({ noNaN: true, noDefaultInfinity: true })),
  leaf(f64, 'double', fc.double({ noNaN: true, noDefaultInfinity: true })),
  leaf(ipv4, 'struct in_addr', fc.ipV4()),
  leaf(
    ipv6,
    'struct in6_addr',
    fc.constantFrom('::', '::1', 'fe80::1', '2001:db8::ff00:42:8329', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4'),
  ),
  leaf(mac, 'uint8_t', fc.constantFrom('00:00:00:00:00:00', 'aa:bb:cc:dd:ee:ff'), '[6]'),
  leaf(cstring(16), 'char', text(15), '[16]'),
  leaf(cstring(5), 'char', text(4), '[5]'),
  leaf(bytes(3), 'uint8_t', fc.uint8Array({ minLength: 3, maxLength: 3 }), '[3]'),
]

const { model, structs } = fc.letrec<{ model: Model; structs: Model & { kind: 'struct' } }>((tie) => ({
  model: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    { weight: 5, arbitrary: fc.constantFrom(...leaves) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('array' as const),
        of: tie('model'),
        length: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 2, arbitrary: tie('structs') },
  ),
  structs: fc.record({
    kind: fc.constant('struct' as const),
    packed: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    fields: fc
      .array(tie('model'), { minLength: 1, maxLength: 6 })
      .map((models) => models.map((model, i) => [`f${i}`, model] as const)),
  }),
}))

/** Any model; any model that is a struct. */
export { model as anyModel, structs as anyStruct }

export function codecOf(model: Model): Codec<unknown> {
  switch (model.kind) {
    case 'leaf':
      return model.codec
    case 'array':
      return array(codecOf(model.of), model.length) as Codec<unknown>
    case 'struct':
      return (model.packed ? packed : struct)(
        Object.fromEntries(model.fields.map(([name, field]) => [name, codecOf(field)])),
      ) as Codec<unknown>
  }
}

export function valuesOf(model: Model): fc.Arbitrary<unknown> {
  switch (model.kind) {
    case 'leaf':
      return model.values
    case 'array':
      return fc.array(valuesOf(model.of), { minLength: model.length, maxLength: model.length })
    case 'struct':
      return fc.record(Object.fromEntries(model.fields.map(([name, field]) => [name, valuesOf(field)])), {
        noNullPrototype: true,
      })
  }
}
