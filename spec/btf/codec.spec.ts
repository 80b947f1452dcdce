import { expect } from 'chai'
import { Btf, BtfError, codecOf } from '../../lib'
import * as kind from '../../lib/btf/format'
import type { Codec } from '../../lib/codec'
import { decode, encode, expectFailure } from '../codec/support'
import { errorOf } from '../support/error'
import { Image } from './image'

/** The type that `add` makes in BTF of one byte order. */
function codecIn(add: (image: Image) => number, littleEndian = true): Codec<unknown> {
  const image = new Image({ littleEndian })
  const id = add(image)
  return codecOf<unknown>(Btf.parse(image.bytes()), id)
}

function refusal(add: (image: Image) => number): string {
  const error = errorOf(() => codecIn(add))
  expect(error).to.be.instanceOf(BtfError)
  return error.message
}

/** Both directions, in both byte orders: `hex` is that of little-endian BTF, and its reverse that of big-endian. */
function scalar(add: (image: Image) => number, value: unknown, hex: string): void {
  const little = codecIn(add)
  expect(encode(little, value)).to.equal(hex)
  expect(decode(little, hex)).to.deep.equal(value)
  const reversed = Buffer.from(hex, 'hex').reverse().toString('hex')
  const big = codecIn(add, false)
  expect(encode(big, value)).to.equal(reversed)
  expect(decode(big, reversed)).to.deep.equal(value)
}

const SIGNED = 1
const BOOL = 4

describe('codecs of BTF', () => {
  it('of integers, in either byte order', () => {
    scalar((image) => image.int('u8', 1), 0xfe, 'fe')
    scalar((image) => image.int('s8', 1, { encoding: SIGNED }), -2, 'fe')
    scalar((image) => image.int('u16', 2), 0x1234, '3412')
    scalar((image) => image.int('int', 4, { encoding: SIGNED }), -2, 'feffffff')
    scalar((image) => image.int('u64', 8), 0x0123456789abcdefn, 'efcdab8967452301')
    scalar((image) => image.int('u128', 16), (1n << 127n) | 5n, '05000000000000000000000000000080')
    scalar((image) => image.int('s128', 16, { encoding: SIGNED }), -2n, `fe${'ff'.repeat(15)}`)
    scalar((image) => image.int('bool', 1, { encoding: BOOL }), true, '01')
    scalar((image) => image.int('bool32', 4, { encoding: BOOL }), true, '01000000')
    const u128 = codecIn((image) => image.int('u128', 16))
    expectFailure(u128, 1n << 128n, RangeError, `${1n << 128n}n is out of range for u128 (0 to ${(1n << 128n) - 1n})`)
    expectFailure(u128, -1n, RangeError, `-1n is out of range for u128 (0 to ${(1n << 128n) - 1n})`)
    expectFailure(u128, 7, TypeError, 'u128 takes a bigint: write 7n')
    expect(refusal((image) => image.int('odd', 3))).to.equal(
      'BTF: odd is an integer of 3 bytes, which JavaScript has no way to read',
    )
  })

  it('of floats and pointers', () => {
    scalar((image) => image.add(kind.FLOAT, 'float', 4), 1.5, '0000c03f')
    scalar((image) => image.add(kind.FLOAT, 'double', 8), -2, '00000000000000c0')
    expect(refusal((image) => image.add(kind.FLOAT, 'half', 2))).to.match(/float half is a floating-point number of 2/)
    scalar((image) => image.ptr(0), 0xffff888000000001n, '0100000080 88ffff'.replace(' ', ''))
    const narrow = (image: Image) => {
      image.int('long unsigned int', 4)
      return image.ptr(0)
    }
    scalar(narrow, 0xc0000001n, '010000c0')
    expectFailure(codecIn(narrow), 5, TypeError, 'a pointer takes a bigint, not 5')
  })

  it('of enums: their names, and numbers where a value has none', () => {
    const values = (image: Image, ...entries: [string, ...number[]][]) =>
      entries.flatMap(([name, ...words]) => [image.name(name), ...words])
    const trend = (image: Image) =>
      image.add(kind.ENUM, 'trend', 4, values(image, ['DOWN', 0xffffffff], ['UP', 1]), 2, true)
    scalar(trend, 'DOWN', 'ffffffff')
    scalar(trend, -5, 'fbffffff')
    expectFailure(codecIn(trend), 'LEFT', RangeError, '"LEFT" is not one of DOWN, UP')
    // As clang wrote it before BTF could say that an enum has a sign: in one byte it must have.
    const small = (image: Image) => image.add(kind.ENUM, 'small', 1, values(image, ['DOWN', 0xffffffff], ['UP', 1]), 2)
    scalar(small, 'DOWN', 'ff')
    scalar(small, -2, 'fe')
    const wide = (image: Image) =>
      image.add(kind.ENUM64, 'wide', 8, values(image, ['ONE', 1, 0], ['TOP', 0, 1 << 31]), 2)
    scalar(wide, 'TOP', '0000000000000080')
    scalar(wide, 7n, '0700000000000000')
    // An enum that is only named has no values.
    scalar((image) => image.add(kind.ENUM, 'named', 4), 7, '07000000')
  })

  it('of arrays: texts, bytes and rows', () => {
    const char = (image: Image) => image.int('char', 1, { encoding: SIGNED })
    const name = codecIn((image) => image.array(image.add(kind.CONST, '', char(image)), 8))
    expect(encode(name, 'eth0')).to.equal('6574683000000000')
    expect(decode(name, '6574683000414243')).to.equal('eth0')
    expect(decode(name, '6162636465666768')).to.equal('abcdefgh')
    expectFailure(name, 'abcdefgh', RangeError, '"abcdefgh" takes 8 bytes: cstring(8) holds 7 and a NUL')
    const names = codecIn((image) => image.array(image.array(char(image), 4), 2))
    expect(encode(names, ['ab', 'cd'])).to.equal('6162000063640000')
    // As for bpftool: a typedef of char is a number.
    const numbers = codecIn((image) => image.array(image.typedef('s8', char(image)), 2))
    expect(decode(numbers, 'ff01')).to.deep.equal([-1, 1])

    const bytes = codecIn((image) => image.array(image.typedef('__u8', image.int('unsigned char', 1)), 3))
    expect(decode(bytes, '010203')).to.deep.equal(Uint8Array.of(1, 2, 3))
    expect(encode(bytes, Uint8Array.of(1, 2, 3))).to.equal('010203')
    expect(encode(bytes, [1, 2, 3])).to.equal('010203')
    expectFailure(bytes, [1, 2, 300], RangeError, '[2]: 300 is out of range for u8 (0 to 255)')
    expectFailure(bytes, Uint8Array.of(1), RangeError, '1 bytes do not fit bytes(3): it takes exactly 3')

    const rows = codecIn((image) => image.array(image.array(image.int('u16', 2), 3), 2))
    expect(decode(rows, '010002000300040005000600')).to.deep.equal([
      [1, 2, 3],
      [4, 5, 6],
    ])
    const row = [1, 2, 3]
    expectFailure(rows, [row, [4, 5, 65536]], RangeError, '[1][2]: 65536 is out of range for u16 (0 to 65535)')
  })

  it('of bit fields, as compilers write them with kind_flag and as they did before', () => {
    // struct { unsigned a : 3; int b : 7; unsigned long long c : 40; unsigned d : 1; }
    const sizes = [3, 7, 40, 1] as const
    const flagged = (image: Image) => {
      const [u, i, l] = [image.int('u', 4), image.int('i', 4, { encoding: SIGNED }), image.int('l', 8)]
      const member = (name: string, type: number, bits: number, at: number) =>
        [name, type, bits * 0x1000000 + at] as const
      const members = [member('a', u, 3, 0), member('b', i, 7, 3), member('c', l, 40, 10), member('d', u, 1, 50)]
      return image.struct('s', 8, members, { flag: true })
    }
    const before = (image: Image) => {
      const int = (size: number, bits: number, encoding = 0) => image.int(`bits${bits}`, size, { bits, encoding })
      const types = [int(4, sizes[0]), int(4, sizes[1], SIGNED), int(8, sizes[2]), int(4, sizes[3])] as const
      return image.struct('s', 8, [
        ['a', types[0], 0],
        ['b', types[1], 3],
        ['c', types[2], 10],
        ['d', types[3], 50],
      ])
    }
    const value = { a: 5, b: -64, c: 0xab_cdef_0123n, d: 1 }
    // The lowest bit is the first on one machine, the highest on the other.
    const bits = 5n | (0x40n << 3n) | (0xab_cdef_0123n << 10n) | (1n << 50n)
    const little = Buffer.alloc(8)
    little.writeBigUInt64LE(bits)
    const big = Buffer.alloc(8)
    big.writeBigUInt64BE((5n << 61n) | (0x40n << 54n) | (0xab_cdef_0123n << 14n) | (1n << 13n))
    for (const [add, name] of [[flagged, 'flagged'] as const, [before, 'before'] as const]) {
      for (const [order, bytes] of [[true, little] as const, [false, big] as const]) {
        const codec = codecIn(add, order)
        expect(encode(codec, value), `${name} ${order}`).to.equal(bytes.toString('hex'))
        expect(decode(codec, bytes.toString('hex')), `${name} ${order}`).to.deep.equal(value)
      }
    }
    const codec = codecIn(flagged)
    expectFailure(codec, { ...value, a: 8 }, RangeError, 'a: 8 is out of range for u3 (0 to 7)')
    expectFailure(codec, { ...value, b: 64 }, RangeError, 'b: 64 is out of range for i7 (-64 to 63)')
    expectFailure(
      codec,
      { ...value, c: 1n << 40n },
      RangeError,
      `c: ${1n << 40n}n is out of range for u40 (0 to ${(1n << 40n) - 1n})`,
    )
    expectFailure(codec, { ...value, d: true }, TypeError, 'd: u1 takes a number, not true')
  })

  it('of an integer that does not fill its bytes', () => {
    const codec = codecIn((image) => image.int('part', 4, { bits: 6, offset: 10 }))
    expect([encode(codec, 63), decode(codec, 'ffffffff')]).to.deep.equal(['00fc0000', 63])
    expect(refusal((image) => image.int('part', 2, { bits: 9, offset: 10 }))).to.match(/part is an integer of 2 bytes/)
  })

  describe('of structs and unions', () => {
    /** struct { u8 first; union { u32 whole; struct { u16 low; u16 high; }; }; union u { u64 number; u8 raw[8]; } named; } */
    const nested = (image: Image) => {
      const [u8, u16, u32, u64] = [image.int('u8', 1), image.int('u16', 2), image.int('u32', 4), image.int('u64', 8)]
      const halves = image.struct('', 4, [
        ['low', u16, 0],
        ['high', u16, 16],
      ])
      const either = image.struct(
        '',
        4,
        [
          ['whole', u32, 0],
          ['', halves, 0],
        ],
        { union: true },
      )
      const named = image.struct(
        'u',
        8,
        [
          ['number', u64, 0],
          ['raw', image.array(u8, 8), 0],
        ],
        { union: true },
      )
      return image.struct('s', 16, [
        ['first', u8, 0],
        ['', either, 32],
        ['named', named, 64],
      ])
    }
    const hex = '07000000 34127856 0100000000000000'.replaceAll(' ', '')
    const read = {
      ...{ first: 7, whole: 0x56781234, low: 0x1234, high: 0x5678 },
      named: { number: 1n, raw: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) },
    }

    it('all members are read, and one way of each union is written', () => {
      const codec = codecIn(nested)
      expect(codec).to.include({ name: 'struct s', size: 16, align: 8 })
      expect(decode(codec, hex)).to.deep.equal(read)
      expect(encode(codec, { first: 7, whole: 0x56781234, named: { number: 1n } })).to.equal(hex)
      expect(encode(codec, { first: 7, low: 0x1234, high: 0x5678, named: { raw: read.named.raw } })).to.equal(hex)
      // As it was read.
      expect(encode(codec, read)).to.equal(hex)
    })

    it('of a union several ways are written that say the same, whichever is wider', () => {
      const codec = codecIn((image) => {
        const [u8, u32] = [image.int('u8', 1), image.int('u32', 4)]
        const members = [['small', u8, 0] as const, ['bits', u32, 3 << 24] as const, ['large', u32, 0] as const]
        return image.struct('u', 4, members, { union: true, flag: true })
      })
      const all = { small: 0x0d, bits: 5, large: 0x1234560d }
      expect(decode(codec, '0d563412')).to.deep.equal(all)
      expect(encode(codec, all)).to.equal('0d563412')
      expect(encode(codec, { bits: 5 })).to.equal('05000000')
      expect(() => encode(codec, { ...all, bits: 1 })).to.throw(TypeError, /large and bits are in one place/)
      expect(() => encode(codec, { ...all, small: 0 })).to.throw(TypeError, /large and small are in one place/)
    })

    it('what is missing, too much or at odds is refused by its name', () => {
      const codec = codecIn(nested)
      const good = { first: 7, whole: 1, named: { number: 1n } }
      const refused = (value: object, message: string) => expectFailure(codec, value, TypeError, message)
      refused({ first: 7, named: { number: 1n } }, 'struct s takes one of whole, low with high: none is given')
      refused(
        { ...good, low: 1, high: 1 },
        'whole and low with high are in one place in struct s, and say different things: give one of them',
      )
      refused({ first: 7, low: 1, named: { number: 1n } }, 'high: missing in the value for struct s')
      refused({ ...good, named: {} }, 'named: union u takes one of number, raw: none is given')
      refused(
        { ...good, named: { number: 1n, raw: new Uint8Array(8) } },
        'named: number and raw are in one place in union u, and say different things: give one of them',
      )
      refused({ ...good, other: 1 }, 'other: no such field in struct s')
      refused({ whole: 1, named: { number: 1n } }, 'first: missing in the value for struct s')
      expectFailure(codec, 5, TypeError, 'struct s takes an object, not 5')
      expectFailure(
        codec,
        { ...good, named: { number: -1n } },
        RangeError,
        'named.number: -1n is out of range for u64 (0 to 18446744073709551615)',
      )
    })

    it('what the kernel keeps to itself is neither read nor written', () => {
      const codec = codecIn((image) => {
        const u32 = image.int('u32', 4)
        const lock = image.struct('bpf_spin_lock', 4, [['val', u32, 0]])
        const kptr = image.ptr(image.add(kind.TYPE_TAG, 'kptr', image.struct('task_struct', 4, [])))
        const user = image.ptr(image.add(kind.TYPE_TAG, 'uptr', u32))
        return image.struct('s', 40, [
          ['lock', image.typedef('lock_t', lock), 0],
          ['count', u32, 32],
          ['tasks', image.array(kptr, 2), 64],
          ['mine', user, 192],
          ['plain', image.ptr(lock), 256],
        ])
      })
      const value = { count: 1, mine: 2n, plain: 3n }
      const bytes = `00000000 01000000 ${'00'.repeat(16)} 0200000000000000 0300000000000000`.replaceAll(' ', '')
      expect(encode(codec, value)).to.equal(bytes)
      expect(decode(codec, `ffffffff${bytes.slice(8)}`)).to.deep.equal(value)
      for (const [name, what] of [['lock', 'bpf_spin_lock'] as const, ['tasks', 'kptr'] as const]) {
        const message = `${name}: the kernel keeps a ${what} to itself: it is neither read nor written`
        expectFailure(codec, { ...value, [name]: 0 }, TypeError, message)
      }
    })

    it('a struct may point to itself', () => {
      const codec = codecIn((image) => {
        const id = image.typeCount + 2
        image.ptr(id)
        return image.struct('node', 8, [['next', id - 1, 0]])
      })
      expect(decode(codec, '0500000000000000')).to.deep.equal({ next: 5n })
    })

    it('and cannot be in itself', () => {
      const inItself = (image: Image) => image.struct('loop', 4, [['own', image.typeCount + 1, 0]])
      expect(refusal(inItself)).to.match(/loop.* is in itself/)
      const anonymous = (image: Image) => image.struct('loop', 4, [['', image.typeCount + 1, 0]])
      expect(refusal(anonymous)).to.match(/loop.* is in itself/)
    })

    it('what has no size is refused with the member that has none', () => {
      const holding = (type: (image: Image) => number) => (image: Image) => {
        const u32 = image.int('u32', 4)
        const inner = image.struct('inner', 4, [
          ['count', u32, 0],
          ['rest', type(image), 32],
        ])
        return image.struct('outer', 8, [
          ['first', u32, 0],
          ['rows', image.array(inner, 1), 32],
        ])
      }
      expect(refusal(holding((image) => image.array(1, 0)))).to.equal(
        'BTF: struct outer.rows[].rest is an array of open length (or of 0 elements), and has no size',
      )
      expect(refusal(holding((image) => image.add(kind.FWD, 'far', 0)))).to.equal(
        'BTF: struct outer.rows[].rest is struct far, which is only declared here, and has no size',
      )
      expect(refusal(holding(() => 0))).to.equal('BTF: struct outer.rows[].rest is void, and has no values')
      expect(refusal(holding(() => 1))).to.equal('BTF: struct outer.rows[].rest ends at 8, and the whole has 4 bytes')
    })

    it('but for the open end of an event, where that is asked for', () => {
      const image = new Image()
      const [u32, u64] = [image.int('u32', 4), image.int('u64', 8)]
      const rest = image.typedef('rest', image.array(u32, 0))
      const event = image.struct('event', 16, [
        ['at', u64, 0],
        ['length', u32, 64],
        ['rest', rest, 96],
      ])
      const fixed = image.add(kind.CONST, '', event)
      image.struct('around', 24, [
        ['event', event, 0],
        ['more', u64, 128],
      ])
      image.struct('nothing_else', 0, [['rest', rest, 0]])
      image.struct('two', 8, [
        ['middle', rest, 0],
        ['rest', rest, 64],
      ])
      const btf = Btf.parse(image.bytes())
      const no = 'is an array of open length (or of 0 elements), and has no size'
      expect(() => codecOf(btf, fixed)).to.throw(BtfError, `BTF: struct event.rest ${no}`)
      const codec = codecOf(btf, fixed, { openEnd: true })
      expect(codec).to.include({ size: 16, align: 8 })
      expect(encode(codec, { at: 1n, length: 2 })).to.equal('01000000000000000200000000000000')
      // A record that ends within the padding.
      expect(codec.read(new DataView(new ArrayBuffer(13)), 0)).to.deep.equal({ at: 0n, length: 0 })
      expectFailure(codec, { at: 1n, length: 2, rest: [] }, TypeError, 'rest: no such field in struct event')
      // Not of what is in others, also when it has been read by itself.
      for (const openEnd of [true, false]) {
        expect(() => codecOf(btf, 'around', { openEnd })).to.throw(BtfError, `BTF: struct around.event.rest ${no}`)
        expect(() => codecOf(btf, 'nothing_else', { openEnd })).to.throw(
          BtfError,
          `BTF: struct nothing_else.rest ${no}`,
        )
        expect(() => codecOf(btf, 'two', { openEnd })).to.throw(BtfError, `BTF: struct two.middle ${no}`)
      }
      expect(() => codecOf(btf, 'event', {})).to.throw(BtfError, `BTF: struct event.rest ${no}`)
      expect(codecOf(btf, 'u32', { openEnd: true })).to.equal(codecOf(btf, 'u32'))
      expect(() => codecOf(btf, 'event', { openend: true } as never)).to.throw(TypeError, "did you mean 'openEnd'?")
    })

    it('names that no object could keep apart are refused', () => {
      const members =
        (...names: string[]) =>
        (image: Image) => {
          const u32 = image.int('u32', 4)
          return image.struct(
            's',
            8,
            names.map((name, i) => [name, u32, i * 32] as const),
          )
        }
      expect(refusal(members('a', 'a'))).to.equal('BTF: struct s.a is there twice')
      expect(refusal(members('__proto__'))).to.equal('BTF: struct s.__proto__ cannot be the name of a property')
    })
  })

  it('are found by the names of types', () => {
    const image = new Image()
    const u32 = image.int('u32', 4)
    image.struct('pair', 8, [
      ['a', u32, 0],
      ['b', u32, 32],
    ])
    image.typedef('count', u32)
    image.add(kind.FUNC, 'run', image.add(kind.FUNC_PROTO, '', 0))
    const btf = Btf.parse(image.bytes())
    expect(encode(codecOf(btf, 'pair'), { a: 1, b: 2 })).to.equal('0100000002000000')
    expect(codecOf(btf, 'count').name).to.equal('u32')
    // One codec a type, whoever asks.
    expect(codecOf(btf, 'pair')).to.equal(codecOf(btf, btf.require('pair').id))
    expect(() => codecOf(btf, 'run')).to.throw(BtfError, 'BTF: func run is a func, and has no values')
    expect(errorOf(() => codecOf(btf, 'pear'))).to.include({ code: 'ENOENT' })
    expect(() => codecOf(btf, 99)).to.throw(RangeError, /none with id 99/)
    expect(() => codecOf(btf, null as never)).to.throw(
      TypeError,
      'codecOf takes the name or the id of a type, not null',
    )
    expect(() => codecOf({} as never, 'pair')).to.throw(TypeError, /codecOf takes a Btf/)
  })
})
