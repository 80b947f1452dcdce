import { readFileSync } from 'node:fs'
import { parseCpuList } from './possible'

/** The numbers of the CPUs that are at work now; others may come and go. Source: /sys/devices/system/cpu/online. */
export function onlineCpuIds(): readonly number[] {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1').trim())
}
