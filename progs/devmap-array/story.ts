import { setTimeout as pause } from 'node:timers/promises'
import type { DevMap } from '../../lib'
import { table } from '../support/live'
import { OBJECT_OPTION, objectUsage, sourceLine } from '../support/object'
import { defineStory, type Say, StoryError, wholeNumber } from '../support/story'
import { bold, dim, duration } from '../support/terminal'
import { loadDevmapArray, type Routes } from './load'
import { Network, type Out, SIDES, type Side } from './network'
import { ROUTES } from './program'

/** What became of the packets of one step. */
export interface Step {
  readonly sent: number
  /** By the counters of the receivers' devices. */
  readonly out: Out
}

/** What a spec wants to know of a telling. */
export interface Told {
  /** By route: as it was at first, and after the inner maps have changed places. */
  readonly first: readonly Step[]
  readonly swapped: readonly Step[]
  /** Route 0, while its inner map is replaced again and again. */
  readonly traffic: Step & { readonly swaps: number }
  readonly empty: Step
  /** What the receivers' sockets were given in all. */
  readonly delivered: Out
  readonly mapIds: readonly number[]
}

const PACKETS = 100
/** Fewer than veth holds for a device (VETH_RING_SIZE). */
const BURST = 50
/** How long packets may be on their way. */
const SETTLE_MS = 10_000

export const story = defineStory({
  summary: 'an array of DEVMAPs decides which way packets go; swapping an inner map sends them the other way',
  usage: `
A sender, and two receivers with the same address, on wires to a switch: four network namespaces. An XDP program at the
switch redirects each packet through the DEVMAP of its route, an inner map of an ARRAY_OF_MAPS. TypeScript swaps the
inner maps, at rest and under traffic, and each packet is seen to come out where it must, and only there.

  --packets N    how many are sent at each step (${PACKETS}), up to 100000
${objectUsage('devmap-array')}`,
  options: { packets: { type: 'string', default: `${PACKETS}` }, ...OBJECT_OPTION },
  tell(say, { packets, object }, signal) {
    return tell(say, wholeNumber('packets', packets, 2, 100_000), object, signal)
  },
})

async function tell(say: Say, packets: number, object: string | undefined, signal: AbortSignal): Promise<Told> {
  using parts = loadDevmapArray(object)
  const { routes } = parts.maps
  await using network = await Network.create(parts.programs.let_pass)
  using _link = network.attach(parts.programs.devmap_array)
  using left = network.devices(routes.template, 'left')
  using right = network.devices(routes.template, 'right')
  const stage = new Stage(say, network, signal)

  say(bold('An array of DEVMAPs: each route has one, and it names the device that packets leave by'))
  if (object !== undefined) say(dim(sourceLine(object)))
  say(`   sender ── in [switch] left  ── end     ARRAY_OF_MAPS#${routes.id} routes`)
  say(`                         right ── end     DEVMAP#${left.id} left, DEVMAP#${right.id} right`)

  say(bold('\n1. Route 0 leads left, route 1 right'))
  say(dim('   > routes.setMany([[0, left], [1, right]])\n'))
  routes.setMany([
    [0, left],
    [1, right],
  ])
  const first = await stage.sendAll(packets, ['left', 'right'])

  say(bold('\n2. The inner maps change places: one call, and no packet in between meets an empty route'))
  say(dim('   > routes.setMany([[0, right], [1, left]])\n'))
  routes.setMany([
    [0, right],
    [1, left],
  ])
  const swapped = await stage.sendAll(packets, ['right', 'left'])

  say(bold('\n3. Route 0 swapped again and again under traffic'))
  say(dim('   > await routes.setAsync(0, left); await routes.setAsync(0, right)\n'))
  const traffic = await stage.sendWhileSwapping(routes, [left, right], packets * 10)

  say(bold('\n4. A route without an inner map leads nowhere: its packets stay at the switch'))
  say(dim('   > routes.delete(0)\n'))
  routes.delete(0)
  const empty = await stage.step(packets, () => stage.sendPaced(0, packets), { left: 0, right: 0 })
  stage.show([['route 0', empty]])

  const delivered = await network.delivered()
  say(`\n   The receivers' sockets were given ${delivered.left} and ${delivered.right} datagrams.`)
  return { first, swapped, traffic, empty, delivered, mapIds: [routes.id, left.id, right.id] }
}

/** Sends, and sees what comes out. */
class Stage {
  readonly #say: Say
  readonly #network: Network
  readonly #signal: AbortSignal

  constructor(say: Say, network: Network, signal: AbortSignal) {
    this.#say = say
    this.#network = network
    this.#signal = signal
  }

  /** Packets of each route, which must come out on these sides. */
  async sendAll(packets: number, sides: readonly Side[]): Promise<Step[]> {
    const steps: Step[] = []
    for (let route = 0; route < ROUTES; route++) {
      const wanted = { left: 0, right: 0, [sides[route] as Side]: packets }
      steps.push(await this.step(packets, () => this.sendPaced(route, packets), wanted))
    }
    this.show(steps.map((step, route) => [`route ${route}`, step]))
    return steps
  }

  /** Packets of route 0 while its inner map is replaced: none may be lost, and none come out twice. */
  async sendWhileSwapping(routes: Routes, sides: readonly DevMap[], packets: number): Promise<Told['traffic']> {
    const start = performance.now()
    let swaps = 0
    let sending = true
    const step = await this.step(packets, async () => {
      const sent = this.sendPaced(0, packets).finally(() => {
        sending = false
      })
      // Looked at below; until then it must not count as nobody's.
      sent.catch(() => {})
      while (sending) await routes.setAsync(0, sides[swaps++ % sides.length] as DevMap)
      await sent
    })
    this.show([['route 0', step]])
    this.#say(`   ${swaps} times replaced in ${duration(performance.now() - start)}; each packet came out once`)
    return { ...step, swaps }
  }

  /** In bursts that the wires hold. */
  async sendPaced(route: number, packets: number): Promise<void> {
    for (let left = packets; left > 0; left -= BURST) {
      this.#signal.throwIfAborted()
      await this.#network.send(route, Math.min(left, BURST))
    }
  }

  /**
   * Sends so many packets, and sees them come to the switch, and out of it: as wanted, or all on whichever side.
   * Throws StoryError.
   */
  async step(sent: number, send: () => Promise<void>, wanted?: Out): Promise<Step> {
    this.#signal.throwIfAborted()
    const [before, switched] = [this.#network.arrived(), this.#network.switched()]
    await send()
    const deadline = performance.now() + SETTLE_MS
    for (;;) {
      await pause(20)
      const there = this.#network.switched() - switched
      const now = this.#network.arrived()
      const out = { left: now.left - before.left, right: now.right - before.right }
      const fits =
        wanted === undefined ? out.left + out.right === sent : SIDES.every((side) => out[side] === wanted[side])
      if (fits && there === sent) return { sent, out }
      if (performance.now() > deadline) {
        throw new StoryError(
          `Of ${sent} packets ${there} came to the switch, ${out.left} out on the left and ${out.right} on the right.`,
        )
      }
    }
  }

  show(steps: readonly (readonly [string, Step])[]): void {
    const rows = steps.map(([label, { sent, out }]) => [label, sent, out.left, out.right])
    for (const line of table([['', 'sent', 'out left', 'out right'], ...rows])) this.#say(`   ${line}`)
  }
}
