import { expect } from 'chai'
import { bool, f32, f64, mapped, u32, u64 } from '../../lib/codec'
import { bothWays, decode, encode, expectFailure, native } from './support'

describe('bool', () => {
  it('is one byte, and every byte but 0 reads as true', () => {
    expect([bool.size, bool.align]).deep.equal([1, 1])
    bothWays(bool, true, '01')
    bothWays(bool, false, '00')
    expect(decode(bool, '02')).equal(true)
    expect(decode(bool, '80')).equal(true)
  })
  it('takes nothing but booleans', () => {
    expectFailure(bool, 1, TypeError, 'bool takes true or false, not 1')
    expectFailure(bool, undefined, TypeError, 'bool takes true or false, not undefined')
  })
})

describe('f32 and f64', () => {
  it('write and read known bytes', () => {
    expect([f32.size, f32.align, f64.size, f64.align]).deep.equal([4, 4, 8, 8])
    bothWays(f32, -1.5, native('0000c0bf'))
    bothWays(f64, -1.5, native('000000000000f8bf'))
    bothWays(f32, Number.NEGATIVE_INFINITY, native('000080ff'))
    bothWays(f64, -0, native('0000000000000080'))
    expect(decode(f64, encode(f64, Number.NaN))).NaN
    expect(decode(f32, encode(f32, 0.1))).equal(Math.fround(0.1))
    expect(decode(f32, encode(f32, 3.4028234663852886e38))).equal(3.4028234663852886e38)
  })
  it('refuse what does not fit', () => {
    const range = '-3.4028234663852886e+38 to 3.4028234663852886e+38'
    expectFailure(f32, 1e39, RangeError, `1e+39 is out of range for f32 (${range})`)
    expectFailure(f32, 1n, TypeError, 'f32 takes a number, not 1n')
    expectFailure(f64, '1', TypeError, 'f64 takes a number, not "1"')
  })
})

describe('mapped', () => {
  const seconds = mapped(
    u64,
    (ns) => Number(ns) / 1e9,
    (s: number) => BigInt(s * 1e9),
    'seconds',
  )
  it('is its codec behind two functions', () => {
    expect([seconds.name, seconds.size, seconds.align]).deep.equal(['seconds', 8, 8])
    expect(mapped(u32, String, Number).name).equal('mapped(u32)')
    bothWays(seconds, 2.5, native('00f9029500000000'))
  })
  it('passes on what its codec and its functions refuse', () => {
    expectFailure(seconds, -1, RangeError, '-1000000000n is out of range for u64 (0 to 18446744073709551615)')
    const own = mapped(u32, String, (text: string) => {
      throw new SyntaxError(text)
    })
    expectFailure(own, 'mine', SyntaxError, 'mine')
  })
  it('refuses other arguments', () => {
    expect(() => mapped('u32' as never, String, Number)).throw(
      TypeError,
      /^expected a codec such as u32 or struct\({ ... }\), not "u32"$/,
    )
    expect(() => mapped(u32, String, undefined as never)).throw(TypeError, 'mapped takes two functions, not undefined')
  })
})
