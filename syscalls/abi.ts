/**
 * The seam: the few functions that everything above needs from the machine.
 *
 * It speaks the kernel's own convention and the bytes of the real `union bpf_attr`, so that something other than
 * this machine's libc can stand behind it: a recording one in specs, a fault-injecting one, another FFI.
 */
export interface Abi {
  /**
   * A system call: a result >= 0, or -errno. Arguments are integers; addresses come from `addressOf`.
   * Whoever calls keeps the buffers behind those addresses alive until after the call (see `keepAlive`).
   */
  syscall(nr: number, a: number, b: number, c: number, d?: number, e?: number, f?: number): number

  /**
   * The same on libuv's thread pool, a few at a time, for what takes milliseconds; never for waiting.
   * `keep` are the objects whose memory the kernel reads or writes: they are held until the call is done.
   */
  syscallAsync(nr: number, args: readonly number[], keep: readonly object[]): Promise<number>

  /** Where the bytes of a buffer are: a number, as user addresses are below 2^53. Refuses empty and detached ones. */
  addressOf(buffer: ArrayBuffer): number

  /** The `length` bytes at an address that the kernel gave (mmap) as an ArrayBuffer that does not own them. */
  viewOf(address: number, length: number): ArrayBuffer

  /** Calls back from the event loop whenever `fd`, an epoll fd, is readable. Nothing else may be given to it. */
  watch(epollFd: number, callback: () => void): Watch
}

/** A running `watch`. */
export interface Watch {
  /** Ends it; must come before the fd is closed. May be called twice. */
  stop(): void
  /** Whether it keeps the process alive. */
  hold(on: boolean): void
}

let current: Abi | undefined

/** The seam in use; libc's, loaded by the first call that needs it. */
export function abi(): Abi {
  if (current === undefined) {
    // Not an import: loading the package must load neither koffi nor libc.
    const libc = require('./libc') as typeof import('./libc')
    current = libc.loadLibc()
  }
  return current
}

/**
 * Puts another implementation behind the seam and returns the one before. For specs and experiments:
 * objects made under one implementation keep it, so replace it before making any.
 */
export function setAbi(replacement: Abi | undefined): Abi | undefined {
  const before = current
  current = replacement
  return before
}

/** What `keepAlive` was last given. Exported only so that the store to it is never dead. */
export let kept: unknown

/**
 * A use of its argument that no optimiser may move before the call that came first.
 *
 * V8 collects an object after its last use, not at the end of its scope: without a use after the call, a buffer
 * whose address was taken can be freed and given away while the kernel still writes to it.
 */
export function keepAlive(object: unknown): void {
  kept = object
}
