import { setImmediate as turn } from 'node:timers/promises'
import { type ArrayMap, attachXdp } from '../../lib'
import { Live, table } from '../support/live'
import { OBJECT_OPTION, objectUsage, sourceLine } from '../support/object'
import { defineStory, type Say, StoryError, wholeNumber } from '../support/story'
import { bold, dim, duration } from '../support/terminal'
import { loadLiveConfig } from './load'
import { TENANTS } from './packets'
import { type ConfigMaps, SETTINGS, type Setting, VERDICTS, type Verdict } from './program'
import { DEVICE, Traffic } from './traffic'

export type Counts = Readonly<Record<Verdict, number>>

/** What a spec wants to know of a telling. */
export interface Told {
  /** What the packets found while whole maps were replaced, and while maps were changed in place. */
  readonly replaced: Counts
  readonly inPlace: Counts
  /** How many configurations were replaced. */
  readonly swaps: number
  /** How many packets the program has counted in all, from the first to the last. */
  readonly counted: number
  /** Datagrams sent, and packets that the device has let in, as the kernel counts them. */
  readonly sent: number
  readonly received: number
  readonly mapIds: readonly number[]
}

export const story = defineStory({
  summary: 'replaces whole configurations under a flood of packets: none sees a half of two',
  usage: `
A wire between two network namespaces, and a flood of packets on it. An XDP program reads ${SETTINGS} settings for each packet: the
configuration of one of ${TENANTS} tenants, an inner map. TypeScript replaces the configurations of all tenants, again and again,
and the program counts whether what it read belongs together. Then the same by changing the maps in place.

  --rounds N    how often all ${TENANTS} configurations are replaced (100)
${objectUsage('live-config')}`,
  options: { rounds: { type: 'string', default: '100' }, ...OBJECT_OPTION },
  tell(say, { rounds, object }, signal) {
    return tell(say, wholeNumber('rounds', rounds, 1, 100_000), object, signal)
  },
})

async function tell(say: Say, rounds: number, object: string | undefined, signal: AbortSignal): Promise<Told> {
  using parts = loadLiveConfig(object)
  const { maps } = parts
  const control = new Control(maps)
  await control.replaceAll()
  await using traffic = await Traffic.create()
  using _link = traffic.to.inside(() => attachXdp(parts.programs.live_config, DEVICE))
  await using flood = await traffic.flood()
  say(bold('A flood of packets, and an XDP program that reads a whole configuration for each'))
  if (object !== undefined) say(dim(sourceLine(object)))
  say(`   ${TENANTS} tenants, each with an inner map of ${SETTINGS} settings that belong together`)

  say(bold('\nWhole maps replaced: those of all tenants in one call, and one wait of the kernel'))
  say(dim(`   > await configs.setManyAsync(${TENANTS} configurations)\n`))
  const first = await phase(say, maps, rounds, signal, () => control.replaceAll())
  if (first.counts.mixed + first.counts.stale + first.counts.missing > 0) {
    throw new StoryError('A packet saw what it must not: see the table.')
  }

  say(bold('\nThe same maps changed in place, setting by setting'))
  say(dim('   > settings.set(i, { generation, value })\n'))
  using inners = control.open()
  const second = await phase(say, maps, rounds, signal, () => inners.changeAll(), first.ms)
  await flood.close()
  say(`\n   Replaced, no packet saw a mixture; in place, ${second.counts.mixed.toLocaleString('en')} did.`)
  return {
    replaced: first.counts,
    inPlace: second.counts,
    swaps: first.rounds * TENANTS,
    counted: sum(countsOf(maps)),
    sent: traffic.sent(),
    received: traffic.to.received(DEVICE).packets,
    mapIds: [maps.configs.id, maps.progress.id, maps.verdicts.id],
  }
}

/** Puts configurations in place, each of a new generation. */
class Control {
  readonly #maps: ConfigMaps
  #generation = 0

  constructor(maps: ConfigMaps) {
    this.#maps = maps
  }

  /** Those of all tenants by new maps: filled, then made visible, in one call. */
  replaceAll(): Promise<void> {
    return this.#next(async (settings) => {
      const tenants = Array.from({ length: TENANTS }, (_, tenant) => [tenant, settings] as const)
      await this.#maps.configs.setManyAsync(tenants)
    })
  }

  /** Opens all inner maps, for changing them in place. */
  open(): { changeAll(): Promise<void> } & Disposable {
    const inners: ArrayMap<Setting>[] = []
    const close = () => {
      for (const inner of inners) inner.close()
    }
    try {
      for (const tenant of this.#maps.configs.keys()) inners.push(this.#maps.configs.open(tenant) as ArrayMap<Setting>)
    } catch (error) {
      close()
      throw error
    }
    const changeAll = () =>
      this.#next(async (settings) => {
        for (const inner of inners) for (const [i, setting] of settings) inner.set(i, setting)
        await turn()
      })
    return { changeAll, [Symbol.dispose]: close }
  }

  async #next(put: (settings: readonly [number, Setting][]) => Promise<void>): Promise<void> {
    const finished = this.#generation
    const generation = ++this.#generation
    this.#maps.progress.set(0, { begun: generation, finished })
    await put(Array.from({ length: SETTINGS }, (_, i) => [i, { generation, value: generation * SETTINGS + i }]))
    this.#maps.progress.set(0, { begun: generation, finished: generation })
  }
}

interface Phase {
  readonly counts: Counts
  readonly rounds: number
  readonly ms: number
}

/** Runs the rounds, and more where they are over in less than this time; shows what packets have found meanwhile. */
async function phase(
  say: Say,
  maps: ConfigMaps,
  rounds: number,
  signal: AbortSignal,
  change: () => Promise<void>,
  leastMs = 0,
): Promise<Phase> {
  const live = new Live(say)
  const before = countsOf(maps)
  const start = performance.now()
  const state = (done: number): Phase => {
    return { counts: difference(countsOf(maps), before), rounds: done, ms: performance.now() - start }
  }
  for (let done = 0; ; done++) {
    signal.throwIfAborted()
    const now = state(done)
    const over = done >= rounds && now.ms >= leastMs
    // Not with every round: there are thousands where nothing waits.
    if (over || done % Math.ceil(rounds / 10) === 0) live.draw(drawn(now), over)
    if (over) return now
    await change()
  }
}

function countsOf({ verdicts }: ConfigMaps): Counts {
  return mapped((verdict) => verdicts.sum(VERDICTS[verdict]) ?? 0)
}

function difference(counts: Counts, before: Counts): Counts {
  return mapped((verdict) => counts[verdict] - before[verdict])
}

function mapped(of: (verdict: Verdict) => number): Counts {
  return Object.fromEntries(Object.keys(VERDICTS).map((key) => [key, of(key as Verdict)])) as Counts
}

function drawn({ counts, rounds, ms }: Phase): string[] {
  const verdicts = Object.keys(VERDICTS) as Verdict[]
  const head = ['changed', 'in', 'packets', ...verdicts]
  const cells = [rounds * TENANTS, duration(ms), sum(counts), ...verdicts.map((verdict) => counts[verdict])]
  return table([head, cells]).map((line) => `   ${line}`)
}

function sum(counts: Counts): number {
  return Object.values(counts).reduce((all, count) => all + count, 0)
}
