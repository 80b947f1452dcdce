import { isArrayBuffer } from 'node:util/types'
import type { Abi, Watch } from './abi'
import { IS_32_BIT, SYSCALLS } from './numbers'

/**
 * The seam over koffi and libc. Everything that koffi does not do for its callers is done here, once:
 * numbers are checked before they become registers, errno is read in the expression after the call,
 * memory that an asynchronous call uses is held until it is done.
 */

type Koffi = typeof import('koffi')
type Sync3 = (nr: number, a: number, b: number, c: number) => number
type Sync6 = (nr: number, a: number, b: number, c: number, d: number, e: number, f: number) => number
type Async6 = (...args: [...number[], (error: unknown, result: number) => void]) => void

/**
 * libuv has four threads for fs, dns and crypto as well, and koffi throws past 256 calls in flight:
 * two at a time leave half of the pool to the others, more gain nothing where the kernel waits for RCU.
 */
const MAX_ASYNC = 2

/** A register, as far as a number holds one exactly. */
const REGISTER_END = IS_32_BIT ? 2 ** 32 : 2 ** 53

class PlatformError extends Error {
  readonly code = 'ERR_EBPF_PLATFORM'
}

export function loadLibc(): Abi {
  if (process.platform !== 'linux') {
    throw new PlatformError(
      `bpf(2) is a Linux system call, and this is ${process.platform}: ebpf-ts can be imported here, not used`,
    )
  }
  if (SYSCALLS[process.arch] === undefined) {
    throw new PlatformError(
      `no system call numbers for the architecture ${process.arch}: known are ${Object.keys(SYSCALLS).join(', ')}`,
    )
  }
  // Not an import: see abi().
  const koffi = require('koffi') as Koffi
  const libc = koffi.load(null)
  // Fixed types, not variadic: the registers are the same on every ABI of Linux, and a call is 160 ns cheaper.
  // Three arguments of six: bpf(2) has no more, and each one costs some 10 ns.
  const syscall3 = libc.func('syscall', 'long', ['long', 'uintptr_t', 'uintptr_t', 'uintptr_t']) as Sync3
  const syscall6 = libc.func('syscall', 'long', [
    'long',
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
    'uintptr_t',
  ])
  const call6 = syscall6 as Sync6
  const async6 = syscall6.async as Async6
  const errno = koffi.errno as () => number

  let running = 0
  const waiting: (() => void)[] = []

  function startAsync(nr: number, args: readonly number[], keep: readonly object[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args
      // koffi does not keep what an address points at; this set does. One entry a call, whoever else keeps the same.
      const held = { keep }
      const end = () => {
        inFlight.delete(held)
        running--
        waiting.shift()?.()
      }
      const run = () => {
        running++
        inFlight.add(held)
        try {
          async6(nr, a, b, c, d, e, f, (error, result) => {
            // errno of this callback is the call's own; anything that calls into libc would replace it.
            const value = result === -1 ? -errno() : result
            end()
            if (error) reject(error)
            else resolve(value)
          })
        } catch (error) {
          // The next one's turn, or those that wait would wait for ever.
          end()
          reject(error)
        }
      }
      if (running < MAX_ASYNC) run()
      else waiting.push(run)
    })
  }

  return {
    syscall(nr, a, b, c, d, e, f) {
      if (d === undefined) {
        if (!isRegister(a) || !isRegister(b) || !isRegister(c)) throw badArgument([a, b, c])
        const result = syscall3(nr, a, b, c)
        return result === -1 ? -errno() : result
      }
      const [e0, f0] = [e === undefined ? 0 : e, f === undefined ? 0 : f]
      for (const value of [a, b, c, d, e0, f0]) if (!isRegister(value)) throw badArgument([a, b, c, d, e0, f0])
      const result = call6(nr, a, b, c, d, e0, f0)
      return result === -1 ? -errno() : result
    },

    syscallAsync(nr, args, keep) {
      for (const value of args) if (!isRegister(value)) return Promise.reject(badArgument(args))
      return startAsync(nr, args, keep)
    },

    addressOf(buffer) {
      // Not instanceof: a buffer of another context (node:vm, a test runner) is one as well.
      if (!isArrayBuffer(buffer)) throw new TypeError('only an ArrayBuffer has an address for the kernel')
      // koffi answers 0 for both: the kernel would be given NULL.
      if (buffer.byteLength === 0) throw new RangeError('an empty or detached ArrayBuffer has no address')
      if ((buffer as { resizable?: boolean }).resizable === true) {
        throw new RangeError('a resizable ArrayBuffer may shrink under the kernel: copy it into one of fixed length')
      }
      return Number(koffi.address(buffer))
    },

    viewOf(address, length) {
      if (!isRegister(address) || address === 0) throw new RangeError(`${address} is not the address of a mapping`)
      if (!Number.isSafeInteger(length) || length <= 0) throw new RangeError(`${length} is not a length in bytes`)
      return koffi.view(BigInt(address), length)
    },

    watch(epollFd, callback) {
      return startWatch(koffi, epollFd, callback)
    },
  }
}

const inFlight = new Set<object>()

/** What fits a register as koffi takes it: it wraps anything else in silence. */
function isRegister(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < REGISTER_END
}

function badArgument(values: readonly number[]): RangeError {
  const bad = values.find((value) => !isRegister(value))
  return new RangeError(`${String(bad)} cannot be a system call's argument: integers from 0 to ${REGISTER_END - 1} can`)
}

function startWatch(koffi: Koffi, fd: number, callback: () => void): Watch {
  let stopped = false
  let due = false
  const run = () => {
    due = false
    if (!stopped) callback()
  }
  // Later in this same turn of the event loop, and not from here: koffi swallows what its callback throws and never
  // calls it again, and where process.exit() ends a worker thread in it, koffi ends the process.
  const handle = koffi.node.poll(fd, { readable: true }, () => {
    if (due) return
    due = true
    setImmediate(run)
  })
  // A handle that nobody references is collected, and stops.
  watching.add(handle)
  return {
    stop() {
      if (stopped) return
      stopped = true
      watching.delete(handle)
      // stop() or unref() after close() is a segmentation fault: close alone, once.
      handle.close()
    },
    hold(on) {
      if (stopped) return
      if (on) handle.ref()
      else handle.unref()
    },
  }
}

const watching = new Set<object>()
