import { table } from '../support/live'
import { bar, bold, dim } from '../support/terminal'
import { NO_PORT, type Stats } from './program'

/** Of one CPU, or of all: by port. */
export type Counts = ReadonlyMap<number, Stats>
/** By CPU. */
export type Snapshot = ReadonlyMap<number, Counts>

/** What was counted by a time, in milliseconds. */
export interface Reading {
  readonly at: number
  readonly cpus: Snapshot
}

const NOTHING: Stats = { packets: 0n, bytes: 0n }

/** More do not fit into a terminal. */
const MOST_PORTS = 10
const MOST_CPUS = 8
/** Up to so many CPUs the busiest ports of each are shown as well. */
const CPUS_WITH_PORTS = 2
const PORTS_OF_CPU = 5

const BAR = 12

/** All CPUs as one. */
export function merged(cpus: Snapshot): Map<number, Stats> {
  const all = new Map<number, Stats>()
  for (const counts of cpus.values()) {
    for (const [port, stats] of counts) all.set(port, sum([all.get(port) ?? NOTHING, stats]))
  }
  return all
}

export function sum(many: Iterable<Stats>): Stats {
  let { packets, bytes } = NOTHING
  for (const each of many) {
    packets += each.packets
    bytes += each.bytes
  }
  return { packets, bytes }
}

/** The lines of a table: ports and CPUs, with what came since the reading before. */
export function tableOf(now: Reading, before: Reading): string[] {
  const seconds = Math.max(now.at - before.at, 1) / 1000
  const ports = merged(now.cpus)
  const all = sum(ports.values())
  const row = (label: string, is: Stats, was: Stats = NOTHING) => [
    label,
    is.packets.toLocaleString('en'),
    size(is.bytes),
    rate(is.packets - was.packets, seconds).toLocaleString('en'),
    `${size(BigInt(rate(is.bytes - was.bytes, seconds)))}/s`,
    bar(share(is.bytes, all.bytes), BAR),
  ]
  const earlier = merged(before.cpus)
  const rows = [['port', 'packets', 'bytes', 'packets/s', 'rate', 'share of bytes']]
  for (const [port, stats] of busiest(ports, MOST_PORTS)) rows.push(row(portName(port), stats, earlier.get(port)))
  rows.push(row('all', all, sum(earlier.values())))
  rows.push(['', '', '', '', '', ''])
  const cpus = [...now.cpus].filter(([, counts]) => sum(counts.values()).packets > 0n)
  for (const [cpu, counts] of cpus.slice(0, MOST_CPUS)) {
    const was = before.cpus.get(cpu) ?? new Map<number, Stats>()
    rows.push(row(`CPU ${cpu}`, sum(counts.values()), sum(was.values())))
    if (cpus.length > CPUS_WITH_PORTS) continue
    for (const [port, stats] of busiest(counts, PORTS_OF_CPU)) {
      rows.push(row(`  ${portName(port)}`, stats, was.get(port)))
    }
  }
  const lines = table(aligned(rows))
  if (cpus.length > MOST_CPUS) lines.push(`and ${cpus.length - MOST_CPUS} CPUs more`)
  return lines.map((line) => (/^(port|all) /.test(line) ? bold(line) : line.startsWith('  ') ? dim(line) : line))
}

/** Ports with traffic, those with the most bytes first. */
function busiest(counts: Counts, most: number): [number, Stats][] {
  const seen = [...counts].filter(([, { packets }]) => packets > 0n)
  return seen.sort(([, a], [, b]) => Number(b.bytes - a.bytes)).slice(0, most)
}

/** Figures end under each other: all columns but the first and the last. */
function aligned(rows: readonly string[][]): string[][] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 || i === row.length - 1 ? cell : cell.padStart(widths[i] ?? 0))),
  )
}

function portName(port: number): string {
  return port === NO_PORT ? 'none' : `${port}`
}

function rate(more: bigint, seconds: number): number {
  return Math.round(Number(more) / seconds)
}

function share(part: bigint, all: bigint): number {
  return all === 0n ? 0 : Number(part) / Number(all)
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** 90 B, 628 kB, 2.09 MB. */
export function size(bytes: bigint): string {
  let value = Number(bytes)
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`
}
