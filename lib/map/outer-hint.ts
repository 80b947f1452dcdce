import type { BpfMap } from './bpf-map'

/** The likely cause of what the kernel refuses a map of maps. */
export function outerHint(outer: BpfMap, command: string, code: string): string | undefined {
  if (command === 'BPF_MAP_GET_FD_BY_ID' && code === 'EPERM') {
    return 'an outer map gives back ids, and opening by id needs CAP_SYS_ADMIN, which this process lacks; { hold: true } keeps what it installs open, and a pin opens without it'
  }
  if (code === 'E2BIG') {
    return outer.type === 'HASH_OF_MAPS'
      ? `the outer map is full: maxEntries is ${outer.maxEntries}`
      : `the index is past the end: there are ${outer.maxEntries} slots, from 0`
  }
  if (code === 'EINVAL' && /UPDATE/.test(command)) return "the inner map is not like the outer map's template"
  if (code === 'EBADF' && /UPDATE/.test(command)) return "the inner map's fd is not open, or is no map"
  return undefined
}
