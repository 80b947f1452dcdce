import { expect } from 'chai'
import {
  type Codec,
  i8,
  i16,
  i16be,
  i32,
  i32be,
  i64,
  i64be,
  i64n,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
  u64n,
  u64nbe,
} from '../../lib/codec'
import { bothWays, decode, encode, expectFailure, native } from './support'

const MAX = Number.MAX_SAFE_INTEGER

describe('integer codecs', () => {
  const numbers: [Codec<number>, string, number, number, number][] = [
    [u8, 'u8', 1, 0, 255],
    [i8, 'i8', 1, -128, 127],
    [u16, 'u16', 2, 0, 65535],
    [u16be, 'u16be', 2, 0, 65535],
    [i16, 'i16', 2, -32768, 32767],
    [i16be, 'i16be', 2, -32768, 32767],
    [u32, 'u32', 4, 0, 4294967295],
    [u32be, 'u32be', 4, 0, 4294967295],
    [i32, 'i32', 4, -2147483648, 2147483647],
    [i32be, 'i32be', 4, -2147483648, 2147483647],
    [u64n, 'u64n', 8, 0, MAX],
    [u64nbe, 'u64nbe', 8, 0, MAX],
    [i64n, 'i64n', 8, -MAX, MAX],
  ]
  const bigints: [Codec<bigint>, string, bigint, bigint][] = [
    [u64, 'u64', 0n, 18446744073709551615n],
    [u64be, 'u64be', 0n, 18446744073709551615n],
    [i64, 'i64', -9223372036854775808n, 9223372036854775807n],
    [i64be, 'i64be', -9223372036854775808n, 9223372036854775807n],
  ]

  it('write and read known bytes', () => {
    bothWays(u8, 0xfe, 'fe')
    bothWays(i8, -2, 'fe')
    bothWays(u16, 0x0102, native('0201'))
    bothWays(u16be, 0x0102, '0102')
    bothWays(i16, -2, native('feff'))
    bothWays(i16be, -2, 'fffe')
    bothWays(u32, 0x81020304, native('04030281'))
    bothWays(u32be, 0x81020304, '81020304')
    bothWays(i32, -2, native('feffffff'))
    bothWays(i32be, -2, 'fffffffe')
    bothWays(u64, 0x8102030405060708n, native('0807060504030281'))
    bothWays(u64be, 0x8102030405060708n, '8102030405060708')
    bothWays(i64, -2n, native('feffffffffffffff'))
    bothWays(i64be, -2n, 'fffffffffffffffe')
    bothWays(u64n, 0x1020304050607, native('0706050403020100'))
    bothWays(u64nbe, 0x1020304050607, '0001020304050607')
    bothWays(i64n, -2, native('feffffffffffffff'))
    bothWays(i64n, -(2 ** 32), native('00000000ffffffff'))
    bothWays(i64n, -(2 ** 40) - 1, native('fffffffffffeffff'))
  })

  for (const [codec, name, size, min, max] of numbers) {
    const range = `${min} to ${max}`
    it(`${name}: ${range}, as a number of ${size} bytes`, () => {
      expect([codec.name, codec.size, codec.align]).deep.equal([name, size, size])
      for (const value of [min, max, 0, 1, Math.floor(max / 2)])
        expect(decode(codec, encode(codec, value))).equal(value)
      for (const value of [min - 1, max + 1, Number.POSITIVE_INFINITY, -1e300]) {
        expectFailure(codec, value, RangeError, `${value} is out of range for ${name} (${range})`)
      }
      for (const value of [0.5, Number.NaN, -1e-9]) {
        expectFailure(codec, value, RangeError, `${value} is not an integer: ${name} takes ${range}`)
      }
      expectFailure(codec, '5', TypeError, `${name} takes a number, not "5"`)
      expectFailure(codec, undefined, TypeError, `${name} takes a number, not undefined`)
      expectFailure(codec, null, TypeError, `${name} takes a number, not null`)
      expectFailure(codec, { valueOf: () => 5 }, TypeError, `${name} takes a number, not an object`)
    })
  }

  for (const [codec, name, min, max] of bigints) {
    it(`${name}: ${min} to ${max}, as a bigint of 8 bytes`, () => {
      expect([codec.name, codec.size, codec.align]).deep.equal([name, 8, 8])
      for (const value of [min, max, 0n, 1n, max / 2n]) expect(decode(codec, encode(codec, value))).equal(value)
      for (const value of [min - 1n, max + 1n, 1n << 200n]) {
        expectFailure(codec, value, RangeError, `${value}n is out of range for ${name} (${min} to ${max})`)
      }
      expectFailure(codec, 0.5, TypeError, `${name} takes a bigint, not the number 0.5`)
      expectFailure(codec, 2 ** 53, TypeError, `${name} takes a bigint, not the number 9007199254740992`)
      expectFailure(codec, '5', TypeError, `${name} takes a bigint, not "5"`)
    })
  }

  it('teach which codec takes the value that was given', () => {
    expectFailure(u64, 5, TypeError, 'u64 takes a bigint: write 5n, or use the codec u64n')
    expectFailure(i64, -5, TypeError, 'i64 takes a bigint: write -5n, or use the codec i64n')
    expectFailure(u64be, 5, TypeError, 'u64be takes a bigint: write 5n, or use the codec u64nbe')
    expectFailure(i64be, 5, TypeError, 'i64be takes a bigint: write 5n')
    expectFailure(u64n, 5n, TypeError, 'u64n takes a number: write 5, or use the codec u64')
    expectFailure(u64nbe, 5n, TypeError, 'u64nbe takes a number: write 5, or use the codec u64be')
    expectFailure(i64n, 5n, TypeError, 'i64n takes a number: write 5, or use the codec i64')
    expectFailure(u32, 5n, TypeError, 'u32 takes a number: write 5, not 5n')
    expectFailure(i8, 5n, TypeError, 'i8 takes a number: write 5, not 5n')
  })

  it('refuse to read as a number what a number cannot hold', () => {
    expect(decode(u64n, native('ffffffffffff1f00'))).equal(MAX)
    expect(() => decode(u64n, native('0000000000002000'))).throw(
      RangeError,
      /^9007199254740992 is out of range for u64n \(0 to 9007199254740991\): use the codec u64$/,
    )
    expect(() => decode(u64nbe, 'ffffffffffffffff')).throw(
      RangeError,
      /^18446744073709551615 is out of range for u64nbe \(0 to 9007199254740991\): use the codec u64be$/,
    )
    expect(decode(i64n, native('010000000000e0ff'))).equal(-MAX)
    expect(() => decode(i64n, native('000000000000e0ff'))).throw(RangeError, /^-9007199254740992 is out of range/)
    expect(() => decode(i64n, native('ffffffffffffdfff'))).throw(RangeError, /^-9007199254740993 is out of range/)
    expect(() => decode(i64n, native('0000000000000080'))).throw(RangeError, /^-9223372036854775808 is out of range/)
    expect(() => decode(i64n, native('000000000000ff7f'))).throw(RangeError, /use the codec i64$/)
  })
})
