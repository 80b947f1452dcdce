import { expect } from 'chai'
import { array, bytes, type Codec, packed, struct, u8, u16, u16be, u32, u32be, u64, u64n } from '../../lib/codec'
import { bothWays, decode, encode, expectFailure, native } from './support'

/** A codec as a user may write one, here with an alignment that C would not give it. */
const odd: Codec<number> = {
  name: 'odd',
  size: 3,
  align: 2,
  write: (view, offset, value) => u8.write(view, offset, value),
  read: (view, offset) => view.getUint8(offset),
}

describe('struct', () => {
  const Mixed = struct({ a: u8, b: u32be, c: u8, d: u16be, e: u8 })

  it('lays out as C does, the padding zero in a dirty buffer', () => {
    expect([Mixed.size, Mixed.align]).deep.equal([16, 4])
    expect(Mixed.name).equal('struct { a: u8, b: u32be, c: u8, d: u16be, e: u8 }')
    bothWays(Mixed, { a: 1, b: 2, c: 3, d: 4, e: 5 }, '01 000000 00000002 03 00 0004 05 000000')
  })
  it('tells its fields', () => {
    expect(Mixed.fields.map(({ name, offset, codec }) => [name, offset, codec.name])).deep.equal([
      ['a', 0, 'u8'],
      ['b', 4, 'u32be'],
      ['c', 8, 'u8'],
      ['d', 10, 'u16be'],
      ['e', 12, 'u8'],
    ])
    expect(Mixed.fields[1]?.codec).equal(u32be)
    expect(Object.isFrozen(Mixed.fields) && Object.isFrozen(Mixed.fields[0])).equal(true)
  })
  it('nests, alignment and tail padding included', () => {
    const Inner = struct({ n: u64, flag: u8 })
    const Outer = struct({ x: u8, inner: Inner, y: u8 })
    expect([Inner.size, Outer.size, Outer.align]).deep.equal([16, 32, 8])
    expect(encode(Outer, { x: 1, inner: { n: 0n, flag: 2 }, y: 3 })).equal(
      `01${'00'.repeat(7)}${'00'.repeat(8)}02${'00'.repeat(7)}03${'00'.repeat(7)}`,
    )
  })
  it('reads plain objects, keys in the order of the fields', () => {
    const value = decode(struct({ z: u8, a: u8 }), '0102')
    expect(Object.keys(value)).deep.equal(['z', 'a'])
    expect(Object.getPrototypeOf(value)).equal(Object.prototype)
  })
  it('takes objects whose fields come from a class', () => {
    class Point {
      x = 1
      get y() {
        return 2
      }
    }
    expect(encode(struct({ x: u8, y: u8 }), new Point())).equal('0102')
  })
  it('names a missing field, and one too many', () => {
    const Stats = struct({ packets: u64n, bytes: u64n })
    const name = 'struct { packets: u64n, bytes: u64n }'
    expectFailure(Stats, { packets: 1 }, TypeError, `bytes: missing in the value for ${name}`)
    expectFailure(Stats, { packets: 1, bites: 2 }, TypeError, `bytes: missing in the value for ${name}`)
    expectFailure(Stats, { packets: 1, bytes: 2, bites: 3 }, TypeError, `bites: no such field in ${name}`)
    expectFailure(Stats, { bites: 3 }, TypeError, `bites: no such field in ${name}`)
    expectFailure(Stats, { packets: 1, bytes: undefined }, TypeError, 'bytes: u64n takes a number, not undefined')
    expectFailure(Stats, 5, TypeError, `${name} takes an object, not 5`)
    expectFailure(Stats, null, TypeError, `${name} takes an object, not null`)
  })
  it('gives errors their path, also through arrays, and on reading', () => {
    const Listener = struct({ port: u16, peers: array(struct({ hits: u64n }), 2) })
    const Deep = struct({ list: array(Listener, 2) })
    const good = { port: 1, peers: [{ hits: 1 }, { hits: 2 }] }
    expectFailure(
      Deep,
      { list: [good, { ...good, port: 65536 }] },
      RangeError,
      'list[1].port: 65536 is out of range for u16 (0 to 65535)',
    )
    expectFailure(
      Deep,
      { list: [good, { ...good, peers: [{ hits: 1 }, { hits: '2' }] }] },
      TypeError,
      'list[1].peers[1].hits: u64n takes a number, not "2"',
    )
    expect(() => decode(Listener, `${'00'.repeat(16)}${'ff'.repeat(8)}`)).throw(
      RangeError,
      /^peers\[1\]\.hits: 18446744073709551615 is out of range for u64n/,
    )
  })
  it('can be read and written again inside its own codecs', () => {
    const buffer = new DataView(new ArrayBuffer(8))
    const Pair = struct({ a: u16be, b: u16be })
    const nosy: Codec<number> = {
      ...u16be,
      write(view, offset, value) {
        Pair.write(buffer, 0, { a: 7, b: 8 })
        u16be.write(view, offset, value)
      },
    }
    expect(encode(struct({ a: nosy, b: nosy }), { a: 1, b: 2 })).equal('00010002')
  })
  it('takes user codecs, and pads a size that is no multiple of the alignment', () => {
    expect(struct({ a: u8, b: odd, c: u8 }).fields.map((field) => field.offset)).deep.equal([0, 2, 5])
    expect(struct({ a: u8, b: odd }).size).equal(6)
  })
  it('refuses what is no schema', () => {
    const codec = 'expected a codec such as u32 or struct({ ... })'
    expect(() => struct({ a: u8, b: 4 as never })).throw(TypeError, `b: ${codec}, not 4`)
    expect(() => struct({ a: { ...u8, align: 3 } })).throw(TypeError, `a: ${codec}, not an object`)
    expect(() => struct({})).throw(TypeError, 'struct takes one field at least')
    expect(() => struct(undefined as never)).throw(
      TypeError,
      'struct takes an object of codecs by field name, not undefined',
    )
    expect(() => packed([u8] as never)).throw(
      TypeError,
      'packed takes an object of codecs by field name, not an array of 1',
    )
  })
  it('refuses field names that JavaScript would reorder or swallow', () => {
    expect(() => struct({ b: u8, 1: u32 })).throw(TypeError, '"1" cannot be the name of a field')
    expect(() => struct({ ['__proto__']: u8 })).throw(TypeError, '"__proto__" cannot be the name of a field')
    expect(() => struct({ '': u8 })).throw(TypeError, '"" cannot be the name of a field')
    const inherited = struct({ constructor: u8, toString: u8 })
    bothWays(inherited, { constructor: 1, toString: 2 } as never, '0102')
  })
})

describe('packed', () => {
  it('has no padding and alignment 1', () => {
    const Tight = packed({ a: u8, b: u32be, c: u16be })
    expect([Tight.name, Tight.size, Tight.align]).deep.equal(['packed { a: u8, b: u32be, c: u16be }', 7, 1])
    expect(Tight.fields.map((field) => field.offset)).deep.equal([0, 1, 5])
    bothWays(Tight, { a: 1, b: 2, c: 3 }, '01 00000002 0003')
  })
  it('leaves the inside of a nested struct as it is', () => {
    const Inner = struct({ a: u8, b: u16be })
    bothWays(packed({ x: u8, inner: Inner }), { x: 1, inner: { a: 2, b: 3 } }, '01 02 00 0003')
    expect(struct({ x: u8, tight: packed({ n: u32 }), y: u32 }).fields.map((field) => field.offset)).deep.equal([
      0, 1, 8,
    ])
  })
})

describe('array', () => {
  it('is its elements, one after another', () => {
    expect([array(u32, 3).name, array(u32, 3).size, array(u32, 3).align]).deep.equal(['u32[3]', 12, 4])
    bothWays(array(u16be, 3), [1, 2, 0xffff], '0001 0002 ffff')
    bothWays(
      array(array(u8, 2), 3),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      '010203040506',
    )
    bothWays(array(u64, 1), [5n], native('0500000000000000'))
  })
  it('of another length is a RangeError, of another type a TypeError, and errors name the element', () => {
    expectFailure(array(u8, 2), [1], RangeError, '1 elements do not fit u8[2]: it takes exactly 2')
    expectFailure(array(u8, 2), [1, 2, 3], RangeError, '3 elements do not fit u8[2]: it takes exactly 2')
    expectFailure(array(u8, 2), Uint8Array.of(1, 2), TypeError, 'u8[2] takes an array of 2, not a Uint8Array of 2')
    expectFailure(array(u8, 2), [1, 256], RangeError, '[1]: 256 is out of range for u8 (0 to 255)')
    expectFailure(
      array(array(u8, 2), 2),
      [[1, 2], [3]],
      RangeError,
      '[1]: 1 elements do not fit u8[2]: it takes exactly 2',
    )
    expectFailure(array(u8, 2), new Array(2), TypeError, '[0]: u8 takes a number, not undefined')
  })
  it('refuses an element that C could not have, and other arguments', () => {
    expect(() => array(odd, 2)).throw(
      TypeError,
      'odd cannot be an element: its size 3 is no multiple of its alignment 2',
    )
    expect(() => array(u8, 0)).throw(RangeError, '0 is no length for array (1 to 2147483647)')
    expect(() => array(8 as never, 2)).throw(TypeError, 'expected a codec such as u32 or struct({ ... }), not 8')
    expect(array(bytes(3), 2).size).equal(6)
  })
})
