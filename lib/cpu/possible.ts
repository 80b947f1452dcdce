import { readFileSync } from 'node:fs'

let ids: readonly number[] | undefined

/**
 * The numbers of the CPUs that this kernel may ever have, in ascending order: those that per-CPU maps have values for,
 * one after the other. More than `os.cpus()` where some are offline or can be plugged in; seldom with gaps.
 * Source: /sys/devices/system/cpu/possible, as libbpf's libbpf_num_possible_cpus.
 */
export function possibleCpuIds(): readonly number[] {
  ids ??= parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim())
  return ids
}

/** How many CPUs this kernel may ever have: how many values a per-CPU map has under each key. */
export function possibleCpus(): number {
  return possibleCpuIds().length
}

/** The CPUs that a list such as `0-3,8` names. */
export function parseCpuList(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range)
    const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
    if (match === null || last < first) {
      throw new Error(`/sys/devices/system/cpu/possible reads ${JSON.stringify(list)}: no list of CPUs`)
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}
