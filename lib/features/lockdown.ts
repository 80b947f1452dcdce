import { readFileSync } from 'node:fs'
import type { HelperName } from '../../syscalls/uapi-names'

/** Under lockdown the kernel says of these that no program may call them (kernel/trace/bpf_trace.c, bpf_base_func_proto). */
export const LOCKED_DOWN: ReadonlySet<HelperName> = new Set<HelperName>([
  'bpf_probe_write_user',
  'bpf_probe_read',
  'bpf_probe_read_str',
  'bpf_probe_read_kernel',
  'bpf_probe_read_kernel_str',
])

/** Whether the kernel is locked down; undefined where that is not told: the file system is mounted by few. */
export function isLockedDown(): boolean | undefined {
  try {
    return !readFileSync('/sys/kernel/security/lockdown', 'latin1').includes('[none]')
  } catch {
    return undefined
  }
}
