import { expect } from 'chai'
import { DevMap, DevMapHash, MapMismatchError, type Program } from '../../lib'
import { loadDevmapArray, type Routes } from '../../progs/devmap-array/load'
import { FIRST_PORT } from '../../progs/devmap-array/program'
import { story } from '../../progs/devmap-array/story'
import { eventually, mapIds, requireRoot } from '../support/kernel'
import { nothingLeft, requireNamespaces, whereabouts } from '../support/namespaces'
import { given, requireSource, sources, telling } from '../support/stories'
import { ETHERTYPE, ethernet, type Ipv4, ipv4, PROTOCOL, packet, udp } from './packets'

const [XDP_DROP, XDP_PASS, XDP_REDIRECT] = [1, 2, 4]
/** The loopback interface is number 1 in every network namespace. */
const LO = 1

for (const source of sources('devmap-array')) {
  describe(`the program of devmap-array, from ${source.from}`, () => {
    let parts: ReturnType<typeof loadDevmapArray>
    let routes: Routes
    let program: Program

    before(function () {
      requireRoot(this)
      requireSource(this, source)
      parts = loadDevmapArray(source.object)
      routes = parts.maps.routes
      program = parts.programs.devmap_array
    })
    after(() => parts?.[Symbol.dispose]())

    const sent = (port: number, more?: Ipv4) => packet(ethernet(ETHERTYPE.ipv4), ipv4(udp(port), more))
    const verdict = (data: Uint8Array) => program.run({ data }).retval

    it('redirects by the inner map of the route, drops where that names no device, passes where there is none', () => {
      routes.clear()
      expect(verdict(sent(FIRST_PORT))).to.equal(XDP_PASS)
      using devices = routes.createInner()
      routes.set(0, devices)
      expect(verdict(sent(FIRST_PORT))).to.equal(XDP_DROP)
      devices.set(0, LO)
      expect([verdict(sent(FIRST_PORT)), verdict(sent(FIRST_PORT + 1))]).to.deep.equal([XDP_REDIRECT, XDP_PASS])
      routes.set(1, [[0, LO]])
      expect(verdict(sent(FIRST_PORT + 1))).to.equal(XDP_REDIRECT)
      routes.delete(0)
      expect([verdict(sent(FIRST_PORT)), verdict(sent(FIRST_PORT + 1))]).to.deep.equal([XDP_PASS, XDP_REDIRECT])
    })

    it('lets everything pass that is no packet of a route', () => {
      routes.setMany([
        [0, [[0, LO]]],
        [1, [[0, LO]]],
      ])
      const whole = sent(FIRST_PORT)
      expect(verdict(whole)).to.equal(XDP_REDIRECT)
      const others = [
        sent(FIRST_PORT - 1),
        sent(FIRST_PORT + 2),
        sent(FIRST_PORT, { options: 4 }),
        sent(FIRST_PORT, { protocol: PROTOCOL.tcp }),
        sent(FIRST_PORT, { fragment: 1 }),
        sent(FIRST_PORT, { more: true }),
        sent(FIRST_PORT, { version: 6 }),
        packet(ethernet(ETHERTYPE.arp), ipv4(udp(FIRST_PORT))),
        whole.subarray(0, 41),
      ]
      expect(others.map(verdict)).to.deep.equal(others.map(() => XDP_PASS))
    })

    it('sends no checksum on, and changes nothing else', () => {
      routes.set(0, [[0, LO]])
      const data = sent(FIRST_PORT)
      data.set([0xab, 0xcd], 40)
      const { data: after } = program.run({ data })
      data.set([0, 0], 40)
      expect(Buffer.from(after)).to.deep.equal(Buffer.from(data))
    })

    it('takes DEVMAPs alone for inner maps, of any size', () => {
      using larger = DevMap.create({ maxEntries: 2 })
      expect(routes.set(0, larger).idOf(0)).to.equal(larger.id)
      using hash = DevMapHash.create({ maxEntries: 1 })
      expect(() => routes.set(0, hash as never)).to.throw(MapMismatchError)
      expect(routes.idOf(0)).to.equal(larger.id)
    })
  })
}

describe('the story devmap-array', function () {
  this.timeout(300_000)

  before(function () {
    requireNamespaces(this)
  })

  for (const source of sources('devmap-array')) {
    it(`sends packets the way of the inner map, and leaves nothing behind: from ${source.from}`, async function () {
      requireSource(this, source)
      const before = whereabouts()
      const { told, text } = await telling(story, given(source))
      const [left, right] = [
        { left: 100, right: 0 },
        { left: 0, right: 100 },
      ]
      expect(told.first.map(({ out }) => out)).to.deep.equal([left, right])
      expect(told.swapped.map(({ out }) => out)).to.deep.equal([right, left])
      expect(told.empty).to.deep.equal({ sent: 100, out: { left: 0, right: 0 } })
      const { sent, out, swaps } = told.traffic
      expect(out.left + out.right).to.equal(sent)
      expect(swaps).to.be.greaterThan(0)
      // By sockets behind the devices, not by the devices' counters.
      expect(told.delivered).to.deep.equal({ left: 200 + out.left, right: 200 + out.right })
      expect(text)
        .to.match(/^ +route 0 +100 +100 +0$/m)
        .and.to.match(/^ +route 0 +100 +0 +100$/m)
      await nothingLeft(before, told.mapIds)
    })
  }

  it('leaves nothing behind when it is interrupted', async () => {
    const before = whereabouts()
    const controller = new AbortController()
    const ids: number[] = []
    const telling = story.tell(
      (text) => {
        ids.push(...[...text.matchAll(/#(\d+)/g)].map(([, id]) => Number(id)))
        if (text.includes('3. ')) controller.abort()
      },
      { packets: '100' },
      controller.signal,
    )
    const error = await telling.then(
      () => undefined,
      (error: Error) => error,
    )
    expect(error?.name).to.equal('AbortError')
    expect(ids.length).to.equal(3)
    await nothingLeft(before, ids)
    await eventually(() => mapIds().every((id) => !ids.includes(id)), 'no map is left')
  })
})
