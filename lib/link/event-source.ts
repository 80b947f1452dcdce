import { readFileSync } from 'node:fs'
import { throwKernelError } from '../../syscalls/errno'
import { unsupportedOr } from '../features/unsupported'

/** Where the kernel tells the numbers that perf_event_open(2) knows kinds of events by, as probes have no fixed ones. */
const DEVICES = '/sys/bus/event_source/devices'

export interface ProbeSource {
  /** perf_event_attr.type */
  readonly type: number
  /** The bit of perf_event_attr.config that means: at the function's return. */
  readonly atReturn: number
}

/** How probes are asked for. Errors: UnsupportedError (the kernel was built without), ENOENT (sysfs is not mounted). */
export function probeSource(kind: 'kprobe' | 'uprobe'): ProbeSource {
  try {
    const type = Number(read(`${DEVICES}/${kind}/type`))
    // 'config:0'
    const bit = /^config:(\d+)$/.exec(read(`${DEVICES}/${kind}/format/retprobe`))?.[1]
    if (bit === undefined) throw new Error(`${DEVICES}/${kind}/format/retprobe names no bit`)
    return { type, atReturn: 2 ** Number(bit) }
  } catch (error) {
    throw unsupportedOr(error, () => [['attach', kind]], MISSING)
  }
}

const MISSING: ReadonlySet<string> = new Set(['ENOENT'])

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (typeof errno !== 'number') throw error
    throwKernelError(-errno, { syscall: 'open', command: 'open', subject: { description: path } })
  }
}
