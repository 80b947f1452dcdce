import { readFileSync } from 'node:fs'

/** Whether the kernel is locked down; undefined where that is not told: the file system is mounted by few. */
export function isLockedDown(): boolean | undefined {
  try {
    return !readFileSync('/sys/kernel/security/lockdown', 'latin1').includes('[none]')
  } catch {
    return undefined
  }
}
