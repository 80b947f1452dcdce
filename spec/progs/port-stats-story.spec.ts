import { expect } from 'chai'
import { difference, verdicts } from '../../progs/port-stats/check'
import type { Stats } from '../../progs/port-stats/program'
import { story } from '../../progs/port-stats/story'
import { Agent } from '../../progs/support/agents'
import { Namespace } from '../../progs/support/namespaces'
import { eventually, mapIds } from '../support/kernel'
import { nothingLeft, requireNamespaces, whereabouts } from '../support/namespaces'
import { given, requireSource, sources, telling, unheard } from '../support/stories'

/** Of a UDP packet by IPv4: Ethernet, IP and UDP. */
const HEADERS = 42

describe('the story port-stats', function () {
  this.timeout(300_000)

  before(function () {
    requireNamespaces(this)
  })

  const never = new AbortController().signal

  for (const source of sources('port-stats')) {
    it(`counts its own traffic to the packet, prints it, and leaves nothing behind: from ${source.from}`, async function () {
      requireSource(this, source)
      const before = whereabouts()
      const { told, text } = await telling(story, { seconds: '2', ...given(source) })
      expect(told.verdicts.map(({ port, holds }) => [port, holds])).to.deep.equal([
        [53, true],
        [443, true],
        [4789, true],
        [80, true],
        [5432, true],
      ])
      for (const { port, payload, counted } of told.verdicts) {
        expect(payload, `${port}`).to.be.greaterThan(0)
        expect(told.counts.get(port)).to.deep.equal(counted)
      }
      // By arithmetic of its own: datagrams of 48 bytes.
      const dns = told.counts.get(53)
      expect(dns?.bytes).to.equal(BigInt(48 + HEADERS) * (dns?.packets ?? 0n))
      expect(told.cpus.length).to.be.greaterThan(0)
      expect(text.match(/^port +packets +bytes +packets\/s +rate +share of bytes$/gm)?.length).to.be.greaterThan(0)
      expect(text).to.match(/^443 +[\d,]+ +[\d.]+ [kM]?B +[\d,]+ +[\d.]+ [kM]?B\/s +[█▏▎▍▌▋▊▉]+$/m)
      for (const cpu of told.cpus) expect(text).to.match(new RegExp(`^CPU ${cpu} +[\\d,]+ `, 'm'))
      expect(text).to.match(/Each of [\d,]+ packets that the device has received was counted once\./)
      const long = text.split('\n').filter((line) => line.length > 80 && !line.includes('BpfObject.open'))
      expect(long).to.deep.equal([])
      await nothingLeft(before, [told.mapId])
    })
  }

  it('ends in order when nobody reads on, as behind head', async () => {
    const before = whereabouts()
    const { code, stderr } = await unheard(['port-stats', '--seconds', '60'])
    expect([code, stderr]).to.deep.equal([130, ''])
    await nothingLeft(before, [])
  })

  for (const source of sources('port-stats')) {
    it(`watches a device that is there, sends nothing, and ends with the signal: from ${source.from}`, async function () {
      requireSource(this, source)
      await using namespace = await Namespace.create()
      await using agent = await Agent.start(namespace)
      await agent.do({ do: 'serve', udp: [5353], tcp: [] })
      const controller = new AbortController()
      const lines: string[] = []
      let watching: ReturnType<typeof story.tell> | undefined
      // Attached before it first waits: to the loopback device of that namespace, not to this machine's.
      namespace.inside(() => {
        watching = story.tell((text) => lines.push(text), { iface: 'lo', ...given(source) }, controller.signal)
      })
      await agent.do({ do: 'udp', address: '127.0.0.1', port: 5353, packets: 20, bytes: 100 })
      await agent.do({ do: 'udp', address: '::1', port: 5353, packets: 10, bytes: 100 })
      await eventually(async () => (await agent.do({ do: 'received' }))[5353]?.packets === 30, 'all have come', 60_000)
      await eventually(() => lines.some((text) => /^5353 /m.test(text)), 'a table is printed', 60_000)
      controller.abort()
      const told = await watching
      expect(told?.counts.get(5353)).to.deep.equal({ packets: 30n, bytes: BigInt(20 * (100 + 42) + 10 * (100 + 62)) })
      expect(told?.verdicts).to.deep.equal([])
      await eventually(() => !mapIds().includes(told?.mapId ?? 0), 'no map is left')
    })
  }

  it('says so where the device is not there, or the number no number', async () => {
    const failure = (values: { iface?: string; seconds?: string }) =>
      story
        .tell(() => {}, values, never)
        .then(
          () => undefined,
          (error: Error) => error,
        )
    expect(await failure({ iface: 'nosuchdevice0' })).to.have.property('code', 'ENODEV')
    expect(() => story.tell(() => {}, { seconds: '0' }, never)).to.throw(/--seconds takes a whole number from 1/)
  })

  it('leaves nothing behind when it is interrupted', async () => {
    const before = whereabouts()
    const maps = new Set(mapIds())
    const controller = new AbortController()
    const made: number[] = []
    const interrupted = story.tell(
      (text) => {
        const id = /ARRAY_OF_MAPS#(\d+)/.exec(text)?.[1]
        if (id !== undefined) made.push(Number(id))
        if (/^CPU /m.test(text)) controller.abort()
      },
      { seconds: '60' },
      controller.signal,
    )
    const error = await interrupted.then(
      () => undefined,
      (error: Error) => error,
    )
    expect(error?.name).to.equal('AbortError')
    expect(made.length).to.equal(1)
    expect(maps.has(made[0] ?? 0)).to.equal(false)
    await nothingLeft(before, made)
  })

  it('says which count is not what it must be', () => {
    const flow = { protocol: 'UDP', port: 53, version: 4, packets: 1, bytes: 48 } as const
    const sent = [{ ...flow, times: 10, payload: 480 }]
    const all = 10n * BigInt(48 + HEADERS)
    const segments = { sent: 0, again: 0 }
    const judged = (counts: [number, Stats][], packets = 10) => {
      const map = new Map(counts)
      return difference(map, verdicts(map, sent, 0), { packets, bytes: 0 }, segments)
    }
    expect(judged([[53, { packets: 10n, bytes: all }]])).to.equal(undefined)
    expect(judged([[53, { packets: 10n, bytes: all - 1n }]])).to.match(
      /^Port 53 was sent 480 bytes .*; 479 were counted/,
    )
    expect(judged([[53, { packets: 9n, bytes: all - 90n }]])).to.match(/; 432 were counted, in 9 packets/)
    expect(judged([])).to.match(/^Port 53 .* 0 were counted, in 0 packets/)
    expect(judged([[53, { packets: 10n, bytes: all }]], 11)).to.match(
      /^The device has received 11 packets, and 10 were/,
    )
    const strange: [number, Stats][] = [
      [53, { packets: 10n, bytes: all }],
      [54, { packets: 1n, bytes: 60n }],
    ]
    expect(judged(strange, 11)).to.match(/^Nothing was sent to ports 54/)
  })

  it('takes the headers of TCP into account, and what was sent again', () => {
    const flow = { protocol: 'TCP', port: 80, version: 4, packets: 1, bytes: 100 } as const
    const sent = [{ ...flow, times: 1, payload: 100 }]
    // A connection: SYN, ACK, data, FIN.
    const counts = (more: bigint) => new Map([[80, { packets: 4n, bytes: 4n * 66n + 8n + 100n + more }]])
    const holds = (more: bigint, again: number) => verdicts(counts(more), sent, again)[0]?.holds
    expect([holds(0n, 0), holds(-1n, 0), holds(1n, 0)]).to.deep.equal([true, false, false])
    expect([holds(100n, 1), holds(-1n, 1)]).to.deep.equal([true, false])
    const all = verdicts(counts(0n), sent, 0)
    const said = difference(counts(0n), all, { packets: 4, bytes: 0 }, { sent: 3, again: 0 })
    expect(said).to.equal("The sender's TCP has sent 3 segments, and 4 were counted.")
  })
})
