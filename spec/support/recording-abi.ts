/** An Abi that writes down what goes through it, and may answer in the kernel's place. */
import { type Abi, abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'

/** A system call as it was made. */
export interface Sent {
  readonly nr: number
  readonly args: readonly number[]
  /** Of bpf(2): the command, and a copy of the attr's bytes from before the call. */
  readonly command: number | undefined
  readonly attr: Uint8Array | undefined
  readonly async: boolean
  readonly keep: readonly object[]
  /** What the caller was told; unset while an asynchronous call runs. */
  result: number | undefined
}

export interface Recording {
  readonly abi: Abi
  readonly calls: Sent[]
  /** The bpf(2) calls with this command, or all of them. */
  bpf(command?: number): Sent[]
  /** The bytes behind an address that went through addressOf, as they are now. */
  bytesAt(address: number, length: number): Uint8Array
  /** What went through addressOf, in its order. */
  buffers(): ArrayBuffer[]
}

/** A number answers in the kernel's place: >= 0, or -errno. */
export type Answer = (call: Sent, recording: Recording) => number | undefined

/** Wraps the implementation in use. Every buffer is held, so that an address stays that buffer's. */
export function record(answer: Answer = () => undefined): Recording {
  const inner = abi()
  const buffers = new Map<number, ArrayBuffer>()
  const calls: Sent[] = []

  const bytesAt = (address: number, length: number): Uint8Array => {
    for (const [start, buffer] of buffers) {
      const offset = address - start
      if (offset >= 0 && offset + length <= buffer.byteLength) return new Uint8Array(buffer, offset, length)
    }
    throw new Error(`no buffer that went through addressOf has ${length} bytes at ${address}`)
  }

  const note = (nr: number, args: readonly number[], isAsync: boolean, keep: readonly object[]): Sent => {
    const isBpf = nr === NR.bpf
    const call: Sent = {
      nr,
      args,
      command: isBpf ? args[0] : undefined,
      attr: isBpf ? bytesAt(args[1] ?? 0, args[2] ?? 0).slice() : undefined,
      async: isAsync,
      keep,
      result: undefined,
    }
    calls.push(call)
    return call
  }

  const recording: Recording = {
    calls,
    bytesAt,
    buffers: () => [...buffers.values()],
    bpf: (command) => calls.filter((c) => c.nr === NR.bpf && (command === undefined || c.command === command)),
    abi: {
      syscall(nr, ...args) {
        const call = note(nr, args as number[], false, [])
        call.result = answer(call, recording) ?? inner.syscall(nr, ...args)
        return call.result
      },
      async syscallAsync(nr, args, keep) {
        const call = note(nr, args, true, keep)
        call.result = answer(call, recording) ?? (await inner.syscallAsync(nr, args, keep))
        return call.result
      },
      addressOf(buffer) {
        const address = inner.addressOf(buffer)
        buffers.set(address, buffer)
        return address
      },
      viewOf: (address, length) => inner.viewOf(address, length),
      watch: (fd, callback) => inner.watch(fd, callback),
    },
  }
  return recording
}

/** Runs `use` with the recording in the place of the implementation, which is put back also when it fails. */
export function recorded<T>(use: (recording: Recording) => T, answer?: Answer): T {
  const recording = record(answer)
  const before = setAbi(recording.abi)
  const back = () => setAbi(before)
  let result: T
  try {
    result = use(recording)
  } catch (error) {
    back()
    throw error
  }
  if (result instanceof Promise) return result.finally(back) as T
  back()
  return result
}
