import { readFileSync } from 'node:fs'

let count: number | undefined

/**
 * How many CPUs this kernel may ever have: what per-CPU maps have values for. More than `os.cpus().length` where some
 * are offline or can be plugged in. Source: /sys/devices/system/cpu/possible, as libbpf's libbpf_num_possible_cpus.
 */
export function possibleCpus(): number {
  count ??= parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim())
  return count
}

/** How many CPUs a list such as `0-3,8` names. */
export function parseCpuList(list: string): number {
  let total = 0
  for (const range of list.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range)
    if (match === null)
      throw new Error(`/sys/devices/system/cpu/possible reads ${JSON.stringify(list)}: no list of CPUs`)
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])]
    if (last < first) throw new Error(`/sys/devices/system/cpu/possible reads ${JSON.stringify(list)}: no list of CPUs`)
    total += last - first + 1
  }
  return total
}
