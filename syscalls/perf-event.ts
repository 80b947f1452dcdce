import { abi, keepAlive } from './abi'
import { LE, put64 } from './attr-common'
import { addressOfBytes, cstring } from './buffer'
import { settleFd } from './fd'
import { NR } from './numbers'

/** perf_event_open(2), as far as BPF programs are attached to what it opens. */

/** enum perf_type_id of include/uapi/linux/perf_event.h; kprobes and uprobes have types that sysfs tells. */
export const PERF_TYPE_SOFTWARE = 1
export const PERF_TYPE_TRACEPOINT = 2

/** enum perf_sw_ids */
export const PERF_COUNT_SW_DUMMY = 9

/** PERF_ATTR_SIZE_VER1: up to config2. */
const ATTR_BYTES = 72
const CONFIG1 = 56
const CONFIG2 = 64
/** attr.disabled */
const DISABLED = 1n
const PERF_FLAG_FD_CLOEXEC = 8

/** Some fields of struct perf_event_attr, of an event that is not counting yet. */
export interface PerfEventFields {
  readonly type: number
  readonly config?: number | undefined
  /** attr.kprobe_func or attr.uprobe_path */
  readonly name?: string | undefined
  /** attr.probe_offset */
  readonly offset?: number | undefined
  /** 0 is the calling thread, -1 all */
  readonly pid: number
  /** -1 is any */
  readonly cpu: number
}

/** An event's fd, which the caller owns, or -errno: refusals are answers. */
export function tryPerfEventOpen(fields: PerfEventFields): number {
  const attr = new ArrayBuffer(ATTR_BYTES)
  const view = new DataView(attr)
  const name = fields.name === undefined ? undefined : cstring(fields.name, 'name')
  view.setUint32(0, fields.type, LE)
  view.setUint32(4, ATTR_BYTES, LE)
  put64(view, 8, fields.config ?? 0)
  view.setBigUint64(40, LE ? DISABLED : DISABLED << 63n, LE)
  if (name !== undefined) put64(view, CONFIG1, addressOfBytes(name, 'name'))
  put64(view, CONFIG2, fields.offset ?? 0)
  const address = addressOfBytes(attr, 'attr')
  // A register holds -1 as the machine's word has it; the kernel looks at the low 32 bits of pid, cpu and group_fd.
  const result = abi().syscall(
    NR.perf_event_open,
    address,
    fields.pid >>> 0,
    fields.cpu >>> 0,
    NO_GROUP,
    PERF_FLAG_FD_CLOEXEC,
  )
  keepAlive([attr, name])
  return result < 0 ? result : settleFd(result)
}

const NO_GROUP = -1 >>> 0
