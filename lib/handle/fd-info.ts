import { readFileSync } from 'node:fs'

/** What /proc tells of a map's fd and OBJ_GET_INFO_BY_FD does not (bpf_map_show_fdinfo in kernel/bpf/syscall.c). */
export interface FdInfo {
  /** Whether user space may read and write through this fd. */
  readonly access: 'read-write' | 'read-only' | 'write-only'
  /** Bytes of kernel memory that the map is charged for; undefined where the kernel does not say. */
  readonly memlock: number | undefined
  readonly frozen: boolean
}

const ACCESS = ['read-only', 'write-only', 'read-write', 'read-write'] as const

/** Reads /proc/self/fdinfo; undefined where it cannot be read: no /proc, no right to it, no fd left for it. */
export function readFdInfo(fd: number): FdInfo | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
  } catch {
    // It is asked for when something else has failed already: that is what has to be told.
    return undefined
  }
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(text)?.[1]
  const memlock = field('memlock')
  return {
    // Octal, as open(2) has it; the two lowest bits are O_RDONLY 0, O_WRONLY 1, O_RDWR 2.
    access: ACCESS[Number.parseInt(field('flags') ?? '2', 8) & 3] ?? 'read-write',
    memlock: memlock === undefined ? undefined : Number(memlock),
    frozen: field('frozen') === '1',
  }
}
