/** What compiled maps and bpftool's reading of them come to, for the specs of maps that are read by their BTF. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { types } from 'node:util'

const OBJECT = join(__dirname, '../btf/fixtures/typed.bpf.o')

/** Loads the object by bpftool: its maps are then pinned in the folder that is given back. */
export function loadTyped(bpffs: string): string {
  const [programs, maps] = [join(bpffs, 'programs'), join(bpffs, 'maps')]
  execFileSync('bpftool', ['prog', 'loadall', OBJECT, programs, 'pinmaps', maps], { stdio: ['ignore', 'pipe', 'pipe'] })
  return maps
}

/** An entry as `bpftool map dump` formats it by BTF; integers of 16 digits or more, which a number may not hold, are strings. */
export interface Formatted {
  readonly key: unknown
  readonly value?: unknown
  readonly values?: readonly { readonly cpu: number; readonly value: unknown }[]
}

/** What bpftool reads in a map by its BTF; the members of anonymous structs and unions are among those around them. */
export function formattedDump(map: { readonly id: number }): Formatted[] {
  const text = execFileSync('bpftool', ['-j', 'map', 'dump', 'id', `${map.id}`], { encoding: 'utf8' })
  const exact = text.replaceAll(/([:[,])(-?\d{16,})/g, '$1"$2"')
  const entries = JSON.parse(exact) as { formatted?: Formatted }[]
  return entries.map(({ formatted }) => flattened(formatted) as Formatted)
}

function flattened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(flattened)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).flatMap(([name, inner]) => {
    const flat = flattened(inner)
    return name === '' ? Object.entries(flat as object) : [[name, flat] as const]
  })
  return Object.fromEntries(members)
}

/** A value as JSON has it: bytes are lists, bigints numbers, or strings from 16 digits on. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return /\d{16}/.test(`${value}`) ? `${value}` : Number(value)
  if (types.isUint8Array(value)) return [...value]
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

/** The bit fields of struct flow, and how many bits they have: bpftool prints those, as they are, in hexadecimal. */
const BITS = { syn: 1, window: 17, skew: 5, inner: 5, total: 40, seen: 1 } as const
const PROTO: Readonly<Record<string, number>> = { PROTO_ANY: 0, PROTO_TCP: 6, PROTO_UDP: 17 }

/** A struct flow as bpftool prints it. */
export function flowAsPrinted(value: unknown): unknown {
  const flow = { ...(value as Record<string, unknown>) }
  for (const [name, bits] of Object.entries(BITS)) {
    const its = flow[name]
    const number = typeof its === 'string' ? (PROTO[its] as number) : (its as number | bigint | boolean)
    flow[name] = `0x${BigInt.asUintN(bits, BigInt(number)).toString(16)}`
  }
  // It takes enums for signed, which clang 14 cannot say; and one byte for signed, also that of an enum without negative values.
  if (typeof flow.trend === 'number') flow.trend |= 0
  if (typeof flow.verdict === 'number') flow.verdict = (flow.verdict << 24) >> 24
  if (flow.verdict === 'REDIRECT') flow.verdict = -56
  return plain(flow)
}
