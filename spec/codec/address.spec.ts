import { isIPv4, isIPv6 } from 'node:net'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { ipPrefix, ipv4, ipv4Prefix, ipv6, ipv6Prefix, mac } from '../../lib/codec'
import { SCALE } from '../support/compiled'
import { bothWays, decode, encode, expectFailure, native } from './support'

describe('ipv4', () => {
  it('is four bytes in network order', () => {
    expect([ipv4.name, ipv4.size, ipv4.align]).deep.equal(['ipv4', 4, 4])
    bothWays(ipv4, '10.0.0.1', '0a000001')
    bothWays(ipv4, '255.255.255.255', 'ffffffff')
    bothWays(ipv4, '0.0.0.0', '00000000')
    bothWays(ipv4, '192.168.100.99', 'c0a86463')
  })
  it('takes what node:net takes, and nothing else', () => {
    const nearly = fc.string({ unit: fc.constantFrom('0', '1', '2', '5', '.', '.', '9', ' '), maxLength: 15 })
    const dotted = fc.array(fc.nat(300), { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'))
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), dotted, nearly), (text) => {
        if (isIPv4(text)) expect(decode(ipv4, encode(ipv4, text))).equal(text)
        else expectFailure(ipv4, text, RangeError, `${JSON.stringify(text)} is not an IPv4 address`)
      }),
      { numRuns: 2000 * SCALE },
    )
  })
  it('refuses leading zeros, gaps and other types', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '1..2.3',
      '.1.2.3',
      '1.2.3.',
      '01.2.3.4',
      '00.0.0.0',
      '1.2.3.256',
      '1.2.3.4 ',
      '1.2.3.-4',
      '0x1.2.3.4',
      '::1',
    ]) {
      expectFailure(ipv4, text, RangeError, `"${text}" is not an IPv4 address`)
    }
    expectFailure(ipv4, 0x0a000001, TypeError, 'ipv4 takes an address as a string, not 167772161')
  })
})

describe('ipv6', () => {
  it('reads as RFC 5952 has it', () => {
    expect([ipv6.name, ipv6.size, ipv6.align]).deep.equal(['ipv6', 16, 4])
    bothWays(ipv6, '::', '00000000000000000000000000000000')
    bothWays(ipv6, '::1', '00000000000000000000000000000001')
    bothWays(ipv6, '1::', '00010000000000000000000000000000')
    bothWays(ipv6, '2001:db8::ff00:42:8329', '20010db8000000000000ff0000428329')
    bothWays(ipv6, '2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001')
    bothWays(ipv6, '2001:db8::1:0:0:1', '20010db8000000000001000000000001')
    bothWays(ipv6, '2001:0:0:1::1', '20010000000000010000000000000001')
    bothWays(ipv6, '0:1:2:3:4:5:6:7', '00000001000200030004000500060007')
    bothWays(ipv6, 'fedc:ba98:7654:3210:fedc:ba98:7654:3210', 'fedcba9876543210fedcba9876543210')
    bothWays(ipv6, '::ffff:1.2.3.4', '00000000000000000000ffff01020304')
    bothWays(ipv6, '::ffff:0.0.0.0', '00000000000000000000ffff00000000')
    bothWays(ipv6, '::fffe:102:304', '00000000000000000000fffe01020304')
    bothWays(ipv6, '::1:0:0:ffff:102:304', '00000000000100000000ffff01020304')
  })
  it('writes every text form', () => {
    const loopback = '00000000000000000000000000000001'
    for (const text of ['::1', '0:0:0:0:0:0:0:1', '0000:0000::0001', '::0:1', '::0.0.0.1', '0::0.0.0.1']) {
      expect(encode(ipv6, text)).equal(loopback)
    }
    expect(encode(ipv6, '2001:DB8::A')).equal('20010db800000000000000000000000a')
    expect(encode(ipv6, '::FFFF:192.168.0.1')).equal('00000000000000000000ffffc0a80001')
    expect(encode(ipv6, '64:ff9b::192.0.2.33')).equal('0064ff9b0000000000000000c0000221')
    expect(encode(ipv6, '1:2:3:4:5:6:7::')).equal('00010002000300040005000600070000')
    expect(encode(ipv6, '::2:3:4:5:6:7:8')).equal('00000002000300040005000600070008')
    expect(encode(ipv6, '1:2:3:4:5:6:7.8.9.10')).equal('0001000200030004000500060708090a')
  })
  it('agrees with the URL parser on every address', () => {
    const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(0xffff) })
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.ipV6(), (parts, text) => {
        const hex = parts.map((part) => part.toString(16).padStart(4, '0')).join('')
        const full = parts.map((part) => part.toString(16)).join(':')
        const url = new URL(`http://[${full}]/`).hostname.slice(1, -1)
        if (!hex.startsWith('00000000000000000000ffff')) expect(decode(ipv6, hex)).equal(url)
        expect(encode(ipv6, full)).equal(hex)
        expect(encode(ipv6, decode(ipv6, hex))).equal(hex)
        expect(isIPv6(text)).equal(true)
        const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1)
        expect(encode(ipv6, text)).equal(encode(ipv6, canonical))
      }),
      { numRuns: 1000 * SCALE },
    )
  })
  it('refuses the rest, also a zone', () => {
    for (const text of [
      '',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '12345::',
      'g::',
      '::1.2.3',
      '1.2.3.4',
      'fe80::1%eth0',
      '[::1]',
      '1:2:3:4::5:6:7:8',
    ]) {
      expectFailure(ipv6, text, RangeError, `"${text}" is not an IPv6 address`)
    }
    expectFailure(ipv6, 1n, TypeError, 'ipv6 takes an address as a string, not 1n')
  })
})

describe('mac', () => {
  it('is six bytes', () => {
    expect([mac.name, mac.size, mac.align]).deep.equal(['mac', 6, 1])
    bothWays(mac, 'aa:bb:cc:dd:ee:ff', 'aabbccddeeff')
    bothWays(mac, '00:01:0a:10:9f:80', '00010a109f80')
    expect(encode(mac, 'AA:Bb:0c:0D:ee:FF')).equal('aabb0c0deeff')
  })
  it('refuses the rest', () => {
    for (const text of [
      '',
      'aa:bb:cc:dd:ee',
      'aa:bb:cc:dd:ee:ff:00',
      'a:bb:cc:dd:ee:ff',
      'aa-bb-cc-dd-ee-ff',
      'gg:bb:cc:dd:ee:ff',
      'aa:bb:cc:dd:ee:ff ',
      'aabbccddeeff',
    ]) {
      expectFailure(mac, text, RangeError, `"${text}" is not a MAC address`)
    }
    expectFailure(mac, Buffer.alloc(6), TypeError, 'mac takes an address as a string, not a Uint8Array of 6')
  })
})

describe('ipPrefix', () => {
  it('is the length in machine order, then the address', () => {
    expect([ipv4Prefix.name, ipv4Prefix.size, ipv4Prefix.align]).deep.equal(['ipv4Prefix', 8, 4])
    expect([ipv6Prefix.name, ipv6Prefix.size, ipv6Prefix.align]).deep.equal(['ipv6Prefix', 20, 4])
    expect([ipPrefix(4), ipPrefix(6)]).deep.equal([ipv4Prefix, ipv6Prefix])
    bothWays(ipv4Prefix, '10.0.0.0/8', `${native('08000000')} 0a000000`)
    bothWays(ipv4Prefix, '0.0.0.0/0', `${native('00000000')} 00000000`)
    bothWays(ipv4Prefix, '10.1.2.3/32', `${native('20000000')} 0a010203`)
    bothWays(ipv6Prefix, '2001:db8::/32', `${native('20000000')} 20010db8000000000000000000000000`)
    bothWays(ipv6Prefix, '::1/128', `${native('80000000')} 00000000000000000000000000000001`)
  })
  it('masks what lies past the length, at every length', () => {
    expect(encode(ipv4Prefix, '10.1.2.3/8')).equal(`${native('08000000')}0a000000`)
    expect(encode(ipv4Prefix, '255.255.255.255/13')).equal(`${native('0d000000')}fff80000`)
    expect(encode(ipv6Prefix, '::ffff:1.2.3.4/100')).equal(`${native('64000000')}00000000000000000000ffff00000000`)
    for (const [codec, all, most] of [
      [ipv4Prefix, '255.255.255.255', 32],
      [ipv6Prefix, Array(8).fill('ffff').join(':'), 128],
    ] as const) {
      for (let length = 0; length <= most; length++) {
        const bits = BigInt(`0b${'1'.repeat(length).padEnd(most, '0')}`)
        expect(encode(codec, `${all}/${length}`).slice(8)).equal(bits.toString(16).padStart(most / 4, '0'))
      }
    }
  })
  it('takes an address alone as that one address', () => {
    expect(encode(ipv4Prefix, '10.1.2.3')).equal(`${native('20000000')}0a010203`)
    expect(encode(ipv6Prefix, '::1')).equal(`${native('80000000')}00000000000000000000000000000001`)
  })
  it('reads what the key holds', () => {
    expect(decode(ipv4Prefix, `${native('08000000')}0a010203`)).equal('10.1.2.3/8')
    expect(() => decode(ipv4Prefix, `${native('21000000')}0a010203`)).throw(
      RangeError,
      /^33 is no prefix length for ipv4Prefix \(0 to 32\)$/,
    )
  })
  it('refuses the rest', () => {
    for (const text of [
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/-1',
      '10.0.0.0/8/8',
      '10.0.0/8',
      '/8',
      '',
      '::/8',
      '10.0.0.0/ 8',
      '10.0.0.0/1e1',
    ]) {
      expectFailure(
        ipv4Prefix,
        text,
        RangeError,
        `"${text}" is not an IPv4 prefix: an address and a length from 0 to 32, like 10.0.0.0/8`,
      )
    }
    for (const text of ['::/129', 'fe80::1%eth0/64', '10.0.0.0/8']) {
      expectFailure(
        ipv6Prefix,
        text,
        RangeError,
        `"${text}" is not an IPv6 prefix: an address and a length from 0 to 128, like 2001:db8::/32`,
      )
    }
    expectFailure(ipv4Prefix, 8, TypeError, 'ipv4Prefix takes a prefix as a string, not 8')
    expect(() => ipPrefix(5 as never)).throw(RangeError, '5 is not an IP version: 4 or 6')
  })
})
