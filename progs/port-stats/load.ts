import {
  type ArrayOfMaps,
  HashMap,
  PerCpuMaps,
  type PerCpuMapsOptions,
  Program,
  perCpuMaps,
  possibleCpuIds,
  u16be,
} from '../../lib'
import { loadObject, owning, type Parts } from '../support/object'
import { NO_PORT, portProgram, Stats } from './program'

type Ports = HashMap<number, Stats>

/** An inner map for each CPU: by destination port, in the byte order of the wire, so that programs need not swap it. */
export type PortCounters = PerCpuMaps<Ports>

export interface Maps {
  readonly port_stats: PortCounters
}

const MOST_PORTS = 65536

/**
 * From its TypeScript, or from an object of port-stats.bpf.c; the caller owns it. Ports that come after the first `most`
 * count as none.
 */
export function loadPortStats(object?: string, most = MOST_PORTS): Parts<Maps, 'port_stats_xdp'> {
  const parts = object === undefined ? assembled(most) : compiled(object, most)
  try {
    prepare(parts.maps.port_stats)
    return parts
  } catch (error) {
    parts[Symbol.dispose]()
    throw error
  }
}

/** There from the start, so that the program has where to count when a map is full. */
export function prepare(counters: PortCounters): void {
  for (const cpu of counters.cpus) counters.use(cpu, (own) => own.set(NO_PORT, { packets: 0n, bytes: 0n }))
}

function assembled(most: number): Parts<Maps, 'port_stats_xdp'> {
  const options: PerCpuMapsOptions<Ports> = {
    name: 'port_stats',
    // Ports in use are few: memory for those that are seen, beside 1 MiB of buckets a CPU.
    inner: HashMap.spec({ name: 'port_stats', key: u16be, value: Stats, maxEntries: most, flags: ['NO_PREALLOC'] }),
  }
  return owning((own) => {
    const port_stats = own(perCpuMaps(options))
    const code = portProgram(port_stats)
    const port_stats_xdp = own(Program.load({ type: 'xdp', name: 'port_stats_xdp', code }))
    return { maps: { port_stats }, programs: { port_stats_xdp } }
  })
}

function compiled(object: string, most: number): Parts<Maps, 'port_stats_xdp'> {
  return owning((own) => {
    const inner = { type: 'HASH', key: u16be, value: Stats, maxEntries: most } as const
    // The source has room for more CPUs than there are.
    const maxEntries = Math.max(...possibleCpuIds()) + 1
    const maps = { port_stats: { type: 'ARRAY_OF_MAPS', maxEntries, inner } } as const
    const app = own(loadObject<{ port_stats: ArrayOfMaps<Ports> }, 'port_stats_xdp'>(object, maps, ['port_stats_xdp']))
    // The same map, by a handle that knows of CPUs.
    const { id, template } = app.maps.port_stats
    const port_stats = own(PerCpuMaps.fromId<Ports>(id, { inner: template }))
    port_stats.reset()
    return { maps: { port_stats }, programs: app.programs }
  })
}
