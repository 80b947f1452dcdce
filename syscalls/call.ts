import { type Abi, abi, keepAlive } from './abi'
import { ATTR_SIZE } from './attr-common'
import { AttrView } from './attr-view'
import { errnoName, type Subject, throwKernelError } from './errno'
import { tryWithMemlock } from './memlock'
import { NR } from './numbers'
import { commandName } from './uapi-cmd-name'

/** How often a call is made again that the kernel ended with EAGAIN or EINTR. */
export const MAX_TRIES = 8

/** bpf(2) itself, the one way in: a result >= 0, or -errno. EAGAIN and EINTR are retried, a bounded number of times. */
export function bpf(seam: Abi, command: number, attrAddress: number, size: number): number {
  let result = seam.syscall(NR.bpf, command, attrAddress, size)
  if (result >= 0) return result
  for (let tries = 1; tries < MAX_TRIES && isTransient(result); tries++) {
    result = seam.syscall(NR.bpf, command, attrAddress, size)
  }
  return result
}

/** The same on the thread pool; `keep` holds the attr and whatever it points at. */
export async function bpfAsync(
  seam: Abi,
  command: number,
  attrAddress: number,
  size: number,
  keep: readonly object[],
): Promise<number> {
  let result = await seam.syscallAsync(NR.bpf, [command, attrAddress, size], keep)
  for (let tries = 1; tries < MAX_TRIES && isTransient(result); tries++) {
    result = await seam.syscallAsync(NR.bpf, [command, attrAddress, size], keep)
  }
  return result
}

/** EAGAIN and EINTR: the only answers that are worth the same question again. */
export function isTransient(result: number): boolean {
  if (result >= 0) return false
  const code = errnoName(-result)
  return code === 'EAGAIN' || code === 'EINTR'
}

/** What a command answered. */
export interface Reply {
  /** >= 0, or -errno where the caller asked for `mayFail`. */
  readonly result: number
  /** The attr after the call, for the fields that the kernel writes back. */
  readonly attr: DataView
}

export interface CallOptions {
  /** What it is done to, for messages. */
  readonly subject?: Subject | undefined
  /** Codes that are answers, not failures: the reply's result is then negative. */
  readonly mayFail?: readonly string[] | 'any'
  /** The buffers whose addresses are among the fields. */
  readonly keep?: unknown
}

/** The attr of all cold calls of this thread: no two of them overlap, and what one answers is read before the next. */
const scratch = new ArrayBuffer(ATTR_SIZE)
const scratchBytes = new Uint8Array(scratch)

/**
 * Packs and makes one call; for everything that is not a map's hot path. Throws KernelError. The reply's attr holds
 * until the next call.
 */
export function call<Fields>(
  command: number,
  pack: (attr: DataView, fields: Fields) => number,
  fields: Fields,
  options: CallOptions = {},
): Reply {
  const seam = abi()
  scratchBytes.fill(0)
  const attr = new AttrView(scratch, fields)
  const size = pack(attr, fields)
  const once = () => bpf(seam, command, seam.addressOf(scratch), size)
  const first = once()
  const result = first < 0 ? tryWithMemlock(seam, command, first, once) : first
  keepAlive(options.keep)
  return answered(command, result, attr, options)
}

/**
 * The same on the thread pool, with an attr of its own, for what takes milliseconds. A refusal that RLIMIT_MEMLOCK may be
 * the cause of is tried again on this thread: that can happen only before Linux 5.11, and once.
 */
export async function callAsync<Fields>(
  command: number,
  pack: (attr: DataView, fields: Fields) => number,
  fields: Fields,
  options: CallOptions = {},
): Promise<Reply> {
  const seam = abi()
  const block = new ArrayBuffer(ATTR_SIZE)
  const attr = new AttrView(block, fields)
  const size = pack(attr, fields)
  const address = seam.addressOf(block)
  const keep = { block, more: options.keep }
  const first = await bpfAsync(seam, command, address, size, [keep])
  const again = () => bpf(seam, command, address, size)
  const result = first < 0 ? tryWithMemlock(seam, command, first, again) : first
  keepAlive(keep)
  return answered(command, result, attr, options)
}

function answered(command: number, result: number, attr: DataView, { mayFail, subject }: CallOptions): Reply {
  if (result < 0 && mayFail !== 'any' && mayFail?.includes(errnoName(-result)) !== true) {
    throwKernelError(-result, { command: commandName(command), subject })
  }
  return { result, attr }
}
