import { setTimeout as pause } from 'node:timers/promises'
import { attachXdp } from '../../lib'
import { interfaceIndex } from '../../syscalls/interface'
import { Live, table } from '../support/live'
import { OBJECT_OPTION, objectUsage, sourceLine } from '../support/object'
import { defineStory, type Say, StoryError, UsageError, wholeNumber } from '../support/story'
import { bold, dim } from '../support/terminal'
import { difference, type Verdict, verdicts } from './check'
import { loadPortStats, type PortCounters } from './load'
import type { Stats } from './program'
import { type Reading, size, sum, tableOf } from './table'
import { DEVICE, type Sent, Traffic } from './traffic'

/** What a spec wants to know of a telling. */
export interface Told {
  /** By port, all CPUs as one. */
  readonly counts: ReadonlyMap<number, Stats>
  /** CPUs that have counted something. */
  readonly cpus: readonly number[]
  /** Empty where the traffic is not the story's own. */
  readonly verdicts: readonly Verdict[]
  readonly mapId: number
}

const SECONDS = 5
const LONGEST = 1_000_000
/** How long the last packets may be on their way. */
const SETTLE_MS = 10_000

export const story = defineStory({
  summary: 'packets and bytes by destination port, counted by each CPU for itself, without locks',
  usage: `
An XDP program finds the destination port of each packet (IPv4 with options, IPv6 with extension headers, up to two VLAN
tags; TCP, UDP, SCTP) and adds to the hash map of its own CPU: an ARRAY_OF_MAPS has one inner map for each, so nobody
waits for anybody. TypeScript reads them while that goes on, CPU by CPU and as one.

Without --iface the story makes two network namespaces and a wire between them, sends itself traffic from a process on
each of up to four CPUs, and checks in the end that each packet was counted once.

  --iface NAME    watch what comes in at this interface instead, until Ctrl-C; nothing is sent
  --seconds N     how long (${SECONDS}; with --iface, until Ctrl-C)
${objectUsage('port-stats')}

Under "none" is what has no port: ARP, ICMP, later fragments, tunnels, what is encrypted or broken.`,
  options: { iface: { type: 'string' }, seconds: { type: 'string' }, ...OBJECT_OPTION },
  tell(say, { iface, seconds, object }, signal) {
    const asked = { object, seconds: seconds === undefined ? undefined : wholeNumber('seconds', seconds, 1, LONGEST) }
    return iface === undefined ? tellOwn(say, asked, signal) : tellOf(say, iface, asked, signal)
  },
})

interface Asked {
  readonly seconds: number | undefined
  readonly object: string | undefined
}

/** The story with traffic of its own. */
async function tellOwn(say: Say, { seconds = SECONDS, object }: Asked, signal: AbortSignal): Promise<Told> {
  using parts = loadPortStats(object)
  const { port_stats: counters } = parts.maps
  await using traffic = await Traffic.create(() => attachXdp(parts.programs.port_stats_xdp, DEVICE))
  introduce(say, counters, `${DEVICE}, in a network namespace of its own`, object)
  await traffic.start()
  await watch(say, counters, seconds, signal)

  const sent = await traffic.stop()
  const { counts, all, wrong } = await settled(counters, traffic, sent)
  say(bold('\nWhat was sent, and what was counted'))
  for (const line of comparison(all)) say(`   ${line}`)
  if (wrong !== undefined) throw new StoryError(wrong)
  const { packets } = sum(counts.values())
  say(`   Each of ${packets.toLocaleString('en')} packets that the device has received was counted once.`)
  return { counts, cpus: busyCpus(counters), verdicts: all, mapId: counters.id }
}

/** The story of a device that is there: nothing is sent. */
async function tellOf(
  say: Say,
  device: string,
  { seconds = LONGEST, object }: Asked,
  signal: AbortSignal,
): Promise<Told> {
  checkName(device)
  using parts = loadPortStats(object)
  const { port_stats: counters } = parts.maps
  using _link = attachXdp(parts.programs.port_stats_xdp, device)
  introduce(say, counters, device, object)
  try {
    await watch(say, counters, seconds, signal)
  } catch (error) {
    // Ctrl-C is how it is meant to end.
    if (!signal.aborted) throw error
  }
  return { counts: counters.merge(), cpus: busyCpus(counters), verdicts: [], mapId: counters.id }
}

/** Of what no device can be called, the library says so by a RangeError. */
function checkName(device: string): void {
  try {
    interfaceIndex(device)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new UsageError(`--iface: ${error.message}`)
  }
}

function introduce(say: Say, counters: PortCounters, device: string, object: string | undefined): void {
  say(bold(`Packets by destination port, at ${device}`))
  const made = '   > perCpuMaps({ inner: HashMap.spec({ key: u16be, value: Stats, ... }) })'
  say(dim(object === undefined ? made : sourceLine(object)))
  say(`   ${counters.cpus.length} inner maps, one a CPU, in ARRAY_OF_MAPS#${counters.id}\n`)
}

/** A table a second. */
async function watch(say: Say, counters: PortCounters, seconds: number, signal: AbortSignal): Promise<void> {
  const live = new Live(say)
  let before = read(counters)
  for (let second = 1; second <= seconds; second++) {
    await pause(1000, undefined, { signal })
    const now = read(counters)
    live.draw(tableOf(now, before), second === seconds)
    before = now
  }
}

function read(counters: PortCounters): Reading {
  return { at: performance.now(), cpus: counters.snapshot() }
}

interface Outcome {
  readonly counts: Map<number, Stats>
  readonly all: readonly Verdict[]
  /** In words; undefined where all is as it must be. */
  readonly wrong: string | undefined
}

/** What was counted, once the last packets have come. */
async function settled(counters: PortCounters, traffic: Traffic, sent: readonly Sent[]): Promise<Outcome> {
  const deadline = performance.now() + SETTLE_MS
  for (;;) {
    const segments = traffic.tcpSegments()
    const counts = counters.merge()
    const all = verdicts(counts, sent, segments.again)
    const wrong = difference(counts, all, traffic.to.received(DEVICE), segments)
    if (wrong === undefined || performance.now() > deadline) return { counts, all, wrong }
    await pause(20)
  }
}

function comparison(all: readonly Verdict[]): string[] {
  const rows = all.map(({ port, protocol, payload, counted, carried, holds }) => [
    `${port} ${protocol}`,
    size(BigInt(payload)),
    Number(counted.packets),
    size(counted.bytes),
    size(carried),
    holds ? 'yes' : 'NO',
  ])
  return table([['port', 'payload sent', 'packets', 'bytes', 'payload counted', 'the same'], ...rows])
}

function busyCpus(counters: PortCounters): number[] {
  return [...counters.snapshot()].filter(([, own]) => sum(own.values()).packets > 0n).map(([cpu]) => cpu)
}
