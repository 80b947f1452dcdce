import { expect } from 'chai'
import { enumOf, flagsOf, i32, i64, u8, u16be, u32, u64, u64n } from '../../lib/codec'
import { bothWays, decode, encode, expectFailure, native } from './support'

describe('enumOf', () => {
  const Protocol = enumOf({ TCP: 6, UDP: 17 }, u8)

  it('writes and reads names, in the base it is given', () => {
    expect([Protocol.name, Protocol.size, Protocol.align]).deep.equal(['enum { TCP, UDP }', 1, 1])
    bothWays(Protocol, 'TCP', '06')
    bothWays(Protocol, 'UDP', '11')
    bothWays(enumOf({ A: 1 }), 'A', native('01000000'))
    bothWays(enumOf({ IPv4: 0x800 }, u16be), 'IPv4', '0800')
    bothWays(enumOf({ LESS: -1 }, i32), 'LESS', 'ffffffff')
  })
  it('lets unknown numbers through, both ways', () => {
    bothWays(Protocol, 1, '01')
    expect(encode(Protocol, 6)).equal('06')
    expectFailure(Protocol, 256, RangeError, '256 is out of range for u8 (0 to 255)')
  })
  it('takes bigint constants with a 64-bit base', () => {
    const Big = enumOf({ TOP: 1n << 63n, ONE: 1n }, u64)
    bothWays(Big, 'TOP', native('0000000000000080'))
    bothWays(Big, 2n, native('0200000000000000'))
    expectFailure(Big, 2, TypeError, 'u64 takes a bigint: write 2n, or use the codec u64n')
    bothWays(enumOf({ BIG: 2 ** 40 }, u64n), 'BIG', native('0000000000010000'))
    bothWays(enumOf({ MINUS: -1n }, i64), 'MINUS', 'ffffffffffffffff')
  })
  it('reads the first of two names for one number', () => {
    const Twice = enumOf({ OLD: 3, NEW: 3 }, u8)
    expect(encode(Twice, 'NEW')).equal('03')
    expect(decode(Twice, '03')).equal('OLD')
  })
  it('refuses unknown names, also those that every object has', () => {
    expectFailure(Protocol, 'TPC', RangeError, '"TPC" is not one of TCP, UDP')
    expectFailure(Protocol, 'toString', RangeError, '"toString" is not one of TCP, UDP')
    expectFailure(Protocol, undefined, TypeError, 'enum { TCP, UDP } takes a name or a number, not undefined')
  })
  it('lists all names in that error, and the first four in its own name', () => {
    const Many = enumOf({ A: 1, B: 2, C: 3, D: 4, E: 5 })
    expect(Many.name).equal('enum { A, B, C, D, ... }')
    expectFailure(Many, 'F', RangeError, '"F" is not one of A, B, C, D, E')
  })
  it('refuses constants that its base cannot hold', () => {
    expect(() => enumOf({ A: 1, B: 256 }, u8)).throw(RangeError, 'B: 256 is out of range for u8 (0 to 255)')
    expect(() => enumOf({ A: -1 })).throw(RangeError, 'A: -1 is out of range for u32 (0 to 4294967295)')
    expect(() => enumOf({ A: 1 }, u64 as never)).throw(TypeError, 'A: u64 takes a bigint: write 1n')
    expect(() => enumOf({})).throw(TypeError, 'enumOf takes one name at least')
    expect(() => enumOf(['A'] as never)).throw(
      TypeError,
      'enumOf takes an object of numbers by name, not an array of 1',
    )
    expect(() => enumOf({ A: 1 }, 4 as never)).throw(TypeError, 'base: expected a codec such as u32')
  })
})

describe('flagsOf', () => {
  const Flags = flagsOf({ A: 1, B: 2, TOP: 0x80000000 })

  it('writes and reads names, in the order of their declaration', () => {
    expect([Flags.name, Flags.size, Flags.align]).deep.equal(['flags { A, B, TOP }', 4, 4])
    bothWays(Flags, [], '00000000')
    bothWays(Flags, ['A', 'TOP'], native('01000080'))
    expect(encode(Flags, ['B', 'A', 'B'])).equal(native('03000000'))
    expect(decode(Flags, native('03000000'))).deep.equal(['A', 'B'])
    bothWays(flagsOf({ SYN: 2, ACK: 16 }, u8), ['SYN', 'ACK'], '12')
  })
  it('keeps unknown bits as one number at the end', () => {
    bothWays(Flags, ['A', 0x40000004], native('05000040'))
    bothWays(Flags, [4], native('04000000'))
    expect(encode(Flags, [4, 8, 'A', 1])).equal(native('0d000000'))
  })
  it('takes bigint constants with a 64-bit base', () => {
    const Big = flagsOf({ LOW: 1n, HIGH: 1n << 63n }, u64)
    bothWays(Big, ['LOW', 'HIGH', 4n], native('0500000000000080'))
    expectFailure(Big, [4], TypeError, '[0]: u64 takes a bigint: write 4n, or use the codec u64n')
  })
  it('reads a mask of several bits when all of them are set, and a zero never', () => {
    const Mode = flagsOf({ NONE: 0, READ: 1, WRITE: 2, BOTH: 3 }, u8)
    expect(decode(Mode, '01')).deep.equal(['READ'])
    expect(decode(Mode, '03')).deep.equal(['READ', 'WRITE', 'BOTH'])
    expect(decode(Mode, '00')).deep.equal([])
    expect(encode(Mode, ['NONE'])).equal('00')
    expect(encode(Mode, ['BOTH'])).equal('03')
  })
  it('survives reading and writing back, whatever the bits', () => {
    const Some = flagsOf({ A: 1, C: 4, MASK: 0x18, TOP: 0x80 }, u8)
    for (let bits = 0; bits < 256; bits++) {
      const hex = bits.toString(16).padStart(2, '0')
      expect(encode(Some, decode(Some, hex))).equal(hex)
    }
  })
  it('refuses other values', () => {
    expectFailure(Flags, ['A', 'X'], RangeError, '[1]: "X" is not one of A, B, TOP')
    expectFailure(Flags, 'A', TypeError, 'flags { A, B, TOP } takes an array of names, not "A"')
    expectFailure(Flags, [2 ** 32], RangeError, '[0]: 4294967296 is out of range for u32 (0 to 4294967295)')
    expectFailure(Flags, [-1], RangeError, '[0]: -1 is out of range for u32 (0 to 4294967295)')
    expectFailure(Flags, [null], TypeError, '[0]: flags { A, B, TOP } takes names and numbers, not null')
  })
  it('refuses a base with a sign, and 64-bit numbers', () => {
    const why = 'flagsOf takes an unsigned base, u8 to u32 or u64, not'
    expect(() => flagsOf({ A: 1 }, i32)).throw(TypeError, `${why} i32`)
    expect(() => flagsOf({ A: 1n }, i64)).throw(TypeError, `${why} i64`)
    expect(() => flagsOf({ A: 1 }, u64n)).throw(TypeError, `${why} u64n`)
    expect(() => flagsOf({ A: 2 ** 32 }, u32)).throw(RangeError, 'A: 4294967296 is out of range for u32')
  })
})
