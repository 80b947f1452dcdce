import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import * as fc from 'fast-check'
import type { Program } from '../../lib'
import { loadPortStats, type PortCounters, prepare } from '../../progs/port-stats/load'
import { NO_PORT } from '../../progs/port-stats/program'
import { runs } from '../support/attach/network'
import { needs, requireRoot } from '../support/kernel'
import { requireSource, sources } from '../support/stories'
import {
  authentication,
  ETHERTYPE,
  ethernet,
  fragment,
  type Ipv4,
  ipv4,
  ipv6,
  type Layer,
  options,
  PROTOCOL,
  packet,
  sctp,
  tag,
  tcp,
  udp,
} from './packets'

const XDP_PASS = 2
const MINIMUM = 14

const four = (content: Layer, more?: Ipv4) => packet(ethernet(ETHERTYPE.ipv4), ipv4(content, more))
const six = (next: number, ...content: readonly Layer[]) =>
  packet(ethernet(ETHERTYPE.ipv6), ipv6(content.flat(), { next }))
const {
  tcp: TCP,
  udp: UDP,
  sctp: SCTP,
  hopByHop,
  destination,
  routing,
  fragment: FRAGMENT,
  authentication: AH,
} = PROTOCOL

/** Packets with a port, which is 443 always. */
const WITH_PORT: Readonly<Record<string, Uint8Array>> = {
  'UDP by IPv4': four(udp(443)),
  'UDP without payload': four(udp(443, 0)),
  'TCP by IPv4': four(tcp(443), { protocol: TCP }),
  'SCTP by IPv4': four(sctp(443), { protocol: SCTP }),
  'IPv4 with 4 bytes of options': four(udp(443), { options: 4 }),
  'IPv4 with 40 bytes of options': four(tcp(443), { options: 40, protocol: TCP }),
  'the first of several IPv4 fragments': four(udp(443), { more: true }),
  'one VLAN tag': packet(ethernet(ETHERTYPE.vlan), tag(ETHERTYPE.ipv4), ipv4(udp(443))),
  'one 802.1ad tag': packet(ethernet(ETHERTYPE.vlanOuter), tag(ETHERTYPE.ipv6), ipv6(udp(443))),
  'two VLAN tags': packet(
    ethernet(ETHERTYPE.vlanOuter),
    tag(ETHERTYPE.vlan),
    tag(ETHERTYPE.ipv6),
    ipv6(tcp(443), { next: TCP }),
  ),
  'UDP by IPv6': six(UDP, udp(443)),
  'TCP by IPv6': six(TCP, tcp(443)),
  'hop-by-hop options': six(hopByHop, options(UDP), udp(443)),
  'a long header of destination options': six(destination, options(TCP, 100), tcp(443)),
  'an authentication header': six(AH, authentication(UDP), udp(443)),
  'the first of several IPv6 fragments': six(FRAGMENT, fragment(UDP, 0), udp(443)),
  'an IPv6 packet that is its only fragment': six(FRAGMENT, fragment(UDP, 0, false), udp(443)),
  'all extension headers in a row': six(
    hopByHop,
    options(destination),
    options(routing, 1),
    options(FRAGMENT, 2),
    fragment(AH, 0),
    authentication(destination),
    options(UDP),
    udp(443),
  ),
  'hop-by-hop and six more': six(
    hopByHop,
    ...Array.from({ length: 6 }, () => options(destination)),
    options(UDP),
    udp(443),
  ),
}

/** Packets without one, though it could be taken for one. */
const WITHOUT: Readonly<Record<string, Uint8Array>> = {
  ARP: packet(ethernet(ETHERTYPE.arp), udp(443), udp(443)),
  'an 802.3 length in place of a type': packet(ethernet(46), ipv4(udp(443))),
  'three VLAN tags': packet(
    ethernet(ETHERTYPE.vlanOuter),
    tag(ETHERTYPE.vlan),
    tag(ETHERTYPE.vlan),
    tag(ETHERTYPE.ipv4),
    ipv4(udp(443)),
  ),
  'a VLAN tag and nothing behind it': packet(ethernet(ETHERTYPE.vlan), [0, 100]),
  'ICMP by IPv4': four(udp(443), { protocol: PROTOCOL.icmp }),
  GRE: four(udp(443), { protocol: PROTOCOL.gre }),
  'a later IPv4 fragment': four(udp(443), { fragment: 1, more: true }),
  'an IPv4 fragment at 32 KiB': four(udp(443), { fragment: 0x1000, more: true }),
  'the last IPv4 fragment': four(udp(443), { fragment: 0x1fff }),
  'IPv4 of another version': four(udp(443), { version: 6 }),
  'an IPv4 header of 4 words': four(udp(443), { words: 4 }),
  'an IPv4 header beyond the packet': four(udp(443, 0), { words: 15 }),
  'a total length shorter than the header': four(udp(443), { total: 19 }),
  'a total length that ends in front of the ports, padded': four(udp(443), { total: 23 }),
  'a total length of the header alone, padded': four(udp(443), { total: 20 }),
  'a total length beyond the frame': four(udp(443), { total: 37 }),
  ICMPv6: six(PROTOCOL.icmp6, udp(443)),
  'no next header': six(PROTOCOL.none, udp(443)),
  'encrypted (ESP)': six(PROTOCOL.esp, udp(443)),
  'IPv6 of another version': packet(ethernet(ETHERTYPE.ipv6), ipv6(udp(443), { version: 4 })),
  'a later IPv6 fragment': six(FRAGMENT, fragment(UDP, 1), udp(443)),
  'an IPv6 fragment at 32 KiB': six(FRAGMENT, fragment(UDP, 0x1000), udp(443)),
  'the last IPv6 fragment': six(FRAGMENT, fragment(UDP, 0x1fff, false), udp(443)),
  'hop-by-hop options that are not the first': six(destination, options(hopByHop), options(UDP), udp(443)),
  'an extension header longer than the packet': six(destination, [UDP, 255, ...options(UDP).slice(2)], udp(443)),
  'an extension header longer than the packet, padded': packet(
    ethernet(ETHERTYPE.ipv6),
    ipv6([...options(UDP, 1), ...udp(443)], { next: destination, length: 12 }),
  ),
  'half an extension header, padded': packet(
    ethernet(ETHERTYPE.ipv6),
    ipv6([...options(UDP), ...udp(443)], { next: destination, length: 7 }),
  ),
  'half an extension header': six(destination, [UDP, 0, 1, 4]),
  'seven extension headers': six(
    destination,
    ...Array.from({ length: 6 }, () => options(destination)),
    options(UDP),
    udp(443),
  ),
  'a payload length of 0, padded': packet(ethernet(ETHERTYPE.ipv6), ipv6(udp(443), { length: 0 })),
  'a payload length that ends in front of the ports': packet(ethernet(ETHERTYPE.ipv6), ipv6(udp(443), { length: 3 })),
  'a payload length beyond the frame': packet(ethernet(ETHERTYPE.ipv6), ipv6(udp(443), { length: 17 })),
  'port 0': four(udp(0)),
}

for (const source of sources('port-stats')) {
  describe(`the program of port-stats, from ${source.from}`, function () {
    this.timeout(300_000)
    let parts: ReturnType<typeof loadPortStats>
    let counters: PortCounters
    let program: Program

    before(function () {
      requireRoot(this)
      requireSource(this, source)
      parts = loadPortStats(source.object)
      counters = parts.maps.port_stats
      program = parts.programs.port_stats_xdp
    })
    after(() => parts?.[Symbol.dispose]())
    beforeEach(() => {
      counters.reset()
      prepare(counters)
    })

    /** What is counted, without what is 0. */
    function counted(): Record<number, [packets: bigint, bytes: bigint]> {
      const seen = [...counters.merge()].filter(([, { packets }]) => packets > 0n)
      return Object.fromEntries(seen.map(([port, { packets, bytes }]) => [port, [packets, bytes]]))
    }

    const BOTH = [
      [443, WITH_PORT],
      [NO_PORT, WITHOUT],
    ] as const
    for (const [port, packets] of BOTH) {
      for (const [title, data] of Object.entries(packets)) {
        it(`${port === NO_PORT ? 'finds no port in' : 'finds the port of'} ${title}`, () => {
          expect(program.run({ data }).retval).to.equal(XDP_PASS)
          expect(counted()).to.deep.equal({ [port]: [1n, BigInt(data.length)] })
        })
      }
    }

    it('takes a jumbogram by the length of its frame', () => {
      // Its payload length is 0, its length in a hop-by-hop option (RFC 2675).
      const jumbo = [UDP, 0, 0xc2, 4, 0, 0, 0, 24]
      const data = packet(ethernet(ETHERTYPE.ipv6), ipv6([...jumbo, ...udp(443)], { next: hopByHop, length: 0 }))
      program.run({ data })
      expect(counted()).to.deep.equal({ 443: [1n, BigInt(data.length)] })
    })

    for (const [title, whole] of Object.entries(WITH_PORT)) {
      it(`finds no port where it is cut anywhere: ${title}`, () => {
        let [packets, bytes] = [0n, 0n]
        for (let length = MINIMUM; length < whole.length; length++) {
          expect(program.run({ data: whole.subarray(0, length) }).retval).to.equal(XDP_PASS)
          packets++
          bytes += BigInt(length)
        }
        expect(counted()).to.deep.equal({ [NO_PORT]: [packets, bytes] })
      })
    }

    it('takes padding for no part of the packet', () => {
      const short = four(udp(443, 0))
      program.run({ data: packet([...short], Array(60 - short.length).fill(0xff)) })
      expect(counted()).to.deep.equal({ 443: [1n, 60n] })
    })

    it('keeps the ports of the wire apart, to the last', () => {
      for (const port of [1, 255, 256, 0x0102, 0x0201, 65535]) program.run({ data: four(udp(port)) })
      expect(Object.keys(counted()).map(Number)).to.have.members([1, 255, 256, 0x0102, 0x0201, 65535])
    })

    it('counts whatever comes exactly once', () => {
      let [packets, bytes] = [0n, 0n]
      const seeds = [...Object.values(WITH_PORT), ...Object.values(WITHOUT)]
      const spoiled = fc.tuple(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat({ max: 80 }), fc.nat({ max: 255 })), { maxLength: 4 }),
      )
      fc.assert(
        fc.property(spoiled, ([seed, changes]) => {
          const data = Uint8Array.from(seed)
          for (const [at, value] of changes) data[at % data.length] = value
          packets++
          bytes += BigInt(data.length)
          return program.run({ data }).retval === XDP_PASS
        }),
        { numRuns: 500 },
      )
      const all = Object.values(counted()).reduce(([p, b], [packets, bytes]) => [p + packets, b + bytes], [0n, 0n])
      expect(all).to.deep.equal([packets, bytes])
    })

    it('counts on the CPU that it runs on, and there alone', function () {
      needsTaskset(this)
      const data = four(udp(443))
      const cpus = allowed().slice(0, 4)
      for (const [i, cpu] of cpus.entries()) onCpu(cpu, () => program.run({ data, repeat: 1000 * (i + 1) }))
      for (const cpu of counters.cpus) {
        const times = 1000n * BigInt(cpus.indexOf(cpu) + 1)
        const stats = times === 0n ? undefined : { packets: times, bytes: times * BigInt(data.length) }
        expect(
          counters.use(cpu, (own) => own.get(443)),
          `CPU ${cpu}`,
        ).to.deep.equal(stats)
      }
    })

    it('counts ports that find no more room among those without', function () {
      needsTaskset(this)
      using small = loadPortStats(source.object, 3)
      onCpu(allowed()[0] ?? 0, () => {
        for (const port of [1, 2, 3, 2, 4]) small.programs.port_stats_xdp.run({ data: four(udp(port)) })
      })
      const counts = [...small.maps.port_stats.merge()].map(([port, { packets }]) => [port, packets])
      expect(counts).to.have.deep.members([
        [NO_PORT, 2n],
        [1, 1n],
        [2, 2n],
      ])
    })
  })
}

function needsTaskset(context: Mocha.Context): void {
  needs(context, runs('taskset', '-p', `${process.pid}`), 'taskset (util-linux)')
}

/** The CPUs that this process may run on: "pid 1's current affinity mask: 3". */
function affinity(): bigint {
  const told = execFileSync('taskset', ['-p', `${process.pid}`], { encoding: 'latin1' })
  return BigInt(`0x${/mask: (?:0x)?([\da-f,]+)/.exec(told)?.[1]?.replaceAll(',', '')}`)
}

function allowed(): number[] {
  return [...affinity().toString(2)].reverse().flatMap((bit, cpu) => (bit === '1' ? [cpu] : []))
}

/** Runs a function on this CPU. */
function onCpu(cpu: number, run: () => void): void {
  const before = affinity()
  const move = (mask: bigint) =>
    execFileSync('taskset', ['-p', `0x${mask.toString(16)}`, `${process.pid}`], { stdio: 'ignore' })
  move(1n << BigInt(cpu))
  try {
    run()
  } finally {
    move(before)
  }
}
