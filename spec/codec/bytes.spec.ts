import { expect } from 'chai'
import { bytes, cstring } from '../../lib/codec'
import { bothWays, decode, encode, expectFailure } from './support'

describe('bytes', () => {
  it('are written and read as they are', () => {
    expect([bytes(3).name, bytes(3).size, bytes(3).align]).deep.equal(['bytes(3)', 3, 1])
    bothWays(bytes(3), Uint8Array.of(1, 2, 255), '0102ff')
    bothWays(bytes(0), new Uint8Array(0), '')
    expect(encode(bytes(3), Buffer.from('abc'))).equal('616263')
    expect(encode(bytes(2), Uint8Array.of(9, 1, 2, 9).subarray(1, 3))).equal('0102')
  })
  it('read as a copy of the bytes, in an ArrayBuffer of their own, long and short', () => {
    for (const n of [1, 64, 65, 1000]) {
      const value = Uint8Array.from({ length: n }, (_, i) => i * 7)
      bothWays(bytes(n), value, Buffer.from(value).toString('hex'))
      expect(decode(bytes(n), encode(bytes(n), value)).buffer.byteLength).equal(n)
    }
  })
  it('of another length are a RangeError, of another type a TypeError', () => {
    expectFailure(bytes(3), new Uint8Array(2), RangeError, '2 bytes do not fit bytes(3): it takes exactly 3')
    expectFailure(bytes(3), new Uint8Array(4), RangeError, '4 bytes do not fit bytes(3): it takes exactly 3')
    expectFailure(bytes(3), [1, 2, 3], TypeError, 'bytes(3) takes a Uint8Array, not an array of 3')
    expectFailure(bytes(3), new Uint16Array(3), TypeError, 'bytes(3) takes a Uint8Array, not an object')
  })
  it('stay inside a view that is a part of its buffer', () => {
    for (const n of [4, 100]) {
      const buffer = new ArrayBuffer(1000)
      const view = new DataView(buffer, 100, n + 1)
      expect(() => bytes(n).write(view, 2, new Uint8Array(n).fill(1))).throw(RangeError)
      expect(() => bytes(n).read(view, 2)).throw(RangeError)
      expect(() => bytes(n).read(view, -1)).throw(RangeError)
      expect(new Uint8Array(buffer).subarray(100 + n + 1).every((byte) => byte === 0)).equal(true)
    }
  })
  it('have a length that is an integer from 0 up', () => {
    expect(() => bytes(-1)).throw(RangeError, '-1 is no length for bytes (0 to 2147483647)')
    expect(() => bytes(1.5)).throw(RangeError, '1.5 is no length for bytes (0 to 2147483647)')
    expect(() => bytes(2 ** 31)).throw(RangeError, '2147483648 is no length for bytes (0 to 2147483647)')
    expect(() => bytes('4' as never)).throw(TypeError, 'bytes takes its length as a number, not "4"')
  })
})

describe('cstring', () => {
  it('is char[n]: text, a NUL, zeros', () => {
    expect([cstring(8).name, cstring(8).size, cstring(8).align]).deep.equal(['cstring(8)', 8, 1])
    bothWays(cstring(8), 'node', '6e6f6465 00000000')
    bothWays(cstring(5), 'node', '6e6f6465 00')
    bothWays(cstring(3), '', '000000')
    bothWays(cstring(1), '', '00')
    bothWays(cstring(8), 'é€', 'c3a9 e282ac 000000')
    bothWays(cstring(8), 'a😀b', '61 f09f9880 62 0000')
    bothWays(cstring(8), '\ufeffx', 'efbbbf 78 00000000')
  })
  it('reads up to the first NUL, or all n bytes where there is none', () => {
    expect(decode(cstring(6), '6162 00 636465')).equal('ab')
    expect(decode(cstring(4), '61626364')).equal('abcd')
    expect(decode(cstring(3), '61ff00')).equal('a\ufffd')
  })
  it('refuses to cut off, to end early and to replace', () => {
    expectFailure(cstring(4), 'node', RangeError, '"node" takes 4 bytes: cstring(4) holds 3 and a NUL')
    expectFailure(cstring(4), 'é€', RangeError, '"é€" takes 5 bytes: cstring(4) holds 3 and a NUL')
    expectFailure(cstring(1), 'x', RangeError, '"x" takes 1 bytes: cstring(1) holds 0 and a NUL')
    expectFailure(cstring(9), 'a\0b', RangeError, '"a\\u0000b" holds a NUL, which would end it in cstring(9)')
    expectFailure(cstring(9), 'a\0', RangeError, '"a\\u0000" holds a NUL, which would end it in cstring(9)')
    expectFailure(cstring(9), 'é\0', RangeError, '"é\\u0000" holds a NUL, which would end it in cstring(9)')
    expectFailure(cstring(9), 'a\ud800', RangeError, '"a\\ud800" holds a lone surrogate: it has no UTF-8')
    expectFailure(cstring(9), Buffer.from('a'), TypeError, 'cstring(9) takes a string, not a Uint8Array of 1')
  })
  it('shows the beginning of a long string only', () => {
    const start = 'x'.repeat(61)
    expectFailure(
      cstring(4),
      'x'.repeat(500),
      RangeError,
      `"${start}..." takes 500 bytes: cstring(4) holds 3 and a NUL`,
    )
  })
  it('has room for the NUL', () => {
    expect(() => cstring(0)).throw(RangeError, '0 is no length for cstring (1 to 2147483647)')
  })
})
