import { expect } from 'chai'
import { loadLiveConfig } from '../../progs/live-config/load'
import { PORT, TENANTS } from '../../progs/live-config/packets'
import { SETTINGS, VERDICTS, type Verdict } from '../../progs/live-config/program'
import { story } from '../../progs/live-config/story'
import { runs } from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { COMPILED } from '../support/compiled'
import { rejectionOf } from '../support/error'
import { eventually, mapIds, needs, pending, requireRoot } from '../support/kernel'
import { children, given, programsNamed, requireSource, sources, telling } from '../support/stories'
import { ETHERTYPE, ethernet, ipv4, packet, udp } from './packets'

const [XDP_DROP, XDP_PASS] = [1, 2]

for (const source of sources('live-config')) {
  describe(`the program of live-config, from ${source.from}`, () => {
    let parts: ReturnType<typeof loadLiveConfig>

    before(function () {
      requireRoot(this)
      requireSource(this, source)
    })
    beforeEach(() => {
      parts = loadLiveConfig(source.object)
    })
    afterEach(() => parts?.[Symbol.dispose]())

    const run = (data: Uint8Array) => parts.programs.live_config.run({ data }).retval
    /** A packet of a tenant: its number is the first thing behind the headers. */
    function of(tenant: number): Uint8Array {
      const data = packet(ethernet(ETHERTYPE.ipv4), ipv4(udp(PORT)))
      new DataView(data.buffer).setUint32(42, tenant)
      return data
    }
    const settings = (...generations: number[]) =>
      Array.from({ length: SETTINGS }, (_, i): [number, { generation: number; value: number }] => {
        return [i, { generation: generations[Math.min(i, generations.length - 1)] ?? 0, value: i }]
      })
    /** All CPUs as one, and without what is 0. */
    function counted(): Partial<Record<Verdict, number>> {
      const all = (Object.keys(VERDICTS) as Verdict[]).map((verdict) => [
        verdict,
        parts.maps.verdicts.sum(VERDICTS[verdict]) ?? 0,
      ])
      return Object.fromEntries(all.filter(([, count]) => count !== 0))
    }

    it('finds whether the settings of a tenant belong together, and to which configuration', () => {
      const { configs, progress } = parts.maps
      configs.setMany([
        [0, settings(7)],
        [1, settings(6)],
        [2, settings(5)],
        [3, settings(8)],
        [4, settings(7, 6)],
        [TENANTS - 1, settings(7)],
      ])
      progress.set(0, { begun: 7, finished: 6 })
      const tenants = [
        [0, 'new', 1],
        [1, 'old', 2],
        [2, 'stale', 3],
        // As new as nothing can be.
        [3, 'stale', 4],
        [4, 'mixed', 5],
        [5, 'missing', 6],
        [TENANTS, 'missing', 7],
        [TENANTS - 1, 'new', 8],
      ] as const
      const wanted: Partial<Record<Verdict, number>> = {}
      for (const [tenant, verdict, times] of tenants) {
        for (let i = 0; i < times; i++) expect(run(of(tenant))).to.equal(XDP_DROP)
        wanted[verdict] = (wanted[verdict] ?? 0) + times
        expect(counted(), `tenant ${tenant}`).to.deep.equal(wanted)
      }
      progress.set(0, { begun: 7, finished: 7 })
      run(of(1))
      expect(counted().stale).to.equal((wanted.stale ?? 0) + 1)
    })

    it('finds a mixture at whichever setting it begins', () => {
      const { configs, progress } = parts.maps
      progress.set(0, { begun: 2, finished: 1 })
      for (let at = 1; at < SETTINGS; at++) {
        const rows = settings(1)
        for (const row of rows.slice(at)) row[1].generation = 2
        configs.set(0, rows)
        run(of(0))
        expect(counted()).to.deep.equal({ mixed: at })
      }
    })

    it('lets everything pass that is for another port, and counts nothing of it', () => {
      const others = [
        packet(ethernet(ETHERTYPE.ipv4), ipv4(udp(PORT + 1))),
        packet(ethernet(ETHERTYPE.arp), ipv4(udp(PORT))),
        packet(ethernet(ETHERTYPE.ipv4), ipv4(udp(PORT), { protocol: 6 })),
        of(0).subarray(0, 45),
      ]
      expect(others.map(run)).to.deep.equal(others.map(() => XDP_PASS))
      expect(counted()).to.deep.equal({})
    })
  })
}

describe('the story of configurations replaced under traffic', function () {
  this.timeout(300_000)

  before(function () {
    requireAttach(this, 'xdp')
    needs(this, runs('ip', '-V') && runs('nsenter', '-V') && runs('unshare', '-V'), 'iproute2 and util-linux')
    if (!runs('unshare', '--net', 'ip', 'link', 'add', 'type', 'veth')) pending(this, 'no veth devices can be made')
  })

  for (const source of sources('live-config')) {
    it(`no packet sees a mixture of maps replaced, many do of maps changed in place: from ${source.from}`, async function () {
      requireSource(this, source)
      // Up to Linux 6.1 each of a round's 64 maps is waited for, by an emulated processor in the guests.
      const rounds = COMPILED ? 12 : 60
      const { told, text } = await telling(story, { rounds: `${rounds}`, ...given(source) })
      const { replaced, inPlace, swaps } = told
      expect(swaps).to.equal(rounds * 64)
      expect([replaced.mixed, replaced.stale, replaced.missing]).to.deep.equal([0, 0, 0])
      // Both were there to be seen, so that a mixture of them could have been.
      expect(replaced.old).to.be.greaterThan(0)
      expect(replaced.new).to.be.greaterThan(0)
      expect(inPlace.mixed, `of ${SETTINGS} settings changed one after the other`).to.be.greaterThan(0)
      // Every packet that came for the program has been counted once, by what the kernel says of sender and device.
      const shown = [replaced, inPlace].flatMap((counts) => Object.values(counts)).reduce((sum, count) => sum + count)
      expect(told.counted).to.be.within(shown, told.sent)
      expect(told.received - told.counted, 'what IPv6 itself sends on a new device').to.be.within(0, 100)
      expect(text).to.match(/no packet saw a mixture; in place, [1-9][\d,]* did/)
      await nothingLeft(told.mapIds)
    })
  }

  it('ends when it is told to, and leaves nothing behind', async () => {
    const controller = new AbortController()
    const telt = telling(story, {}, (text) => text.includes('Whole maps') && controller.abort(), controller.signal)
    expect(await rejectionOf(telt)).to.include({ name: 'AbortError' })
    await nothingLeft()
  })
})

async function nothingLeft(ids: readonly number[] = []): Promise<void> {
  await eventually(() => programsNamed('live_config') === 0, 'the program is gone')
  await eventually(() => mapIds().every((id) => !ids.includes(id)), 'its maps are gone')
  // The namespaces and what is in them go with the processes that keep them.
  await eventually(() => children().length === 0, 'its processes are gone')
}
