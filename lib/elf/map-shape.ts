import type { MapFlag, MapType } from '../map'
import { flagNames } from '../map/attributes'

export function isOuter(type: MapType): boolean {
  return type === 'ARRAY_OF_MAPS' || type === 'HASH_OF_MAPS'
}

/** Whether a map carries events, so that a type in its definition is theirs (cilium/ebpf has had it so since 2024). */
export function hasEvents(type: MapType): boolean {
  return type === 'RINGBUF' || type === 'USER_RINGBUF' || type === 'PERF_EVENT_ARRAY'
}

/** The names of flags; NUMA_NODE goes with the node. */
export function flagsOf(bits: number, error: (reason: string) => Error): MapFlag[] {
  const names = flagNames(bits)
  const unknown = names.find((name) => typeof name === 'number')
  if (unknown !== undefined) throw error(`flags 0x${bits.toString(16)}: nothing is known of 0x${unknown.toString(16)}`)
  return names.filter((name): name is MapFlag => name !== 'NUMA_NODE')
}
