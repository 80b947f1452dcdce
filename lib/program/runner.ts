import type { TestRunCalls } from '../../syscalls/test-run-calls'
import type { Handle } from '../handle/handle'
import { outgrown, type Prepared, runOnce } from './run'

/**
 * A run that is prepared once, for measuring and for many packets alike: `run()` allocates nothing. It uses the program,
 * and ends with it.
 */
export class ProgramRunner {
  readonly #handle: Handle
  readonly #prepared: Prepared
  readonly #calls: TestRunCalls

  /** @internal */
  constructor(handle: Handle, prepared: Prepared) {
    this.#handle = handle
    this.#prepared = prepared
    this.#calls = prepared.calls
  }

  /** The packet that the next run is given: to be written between runs. */
  get data(): Uint8Array {
    return this.#calls.dataIn
  }

  /** The context that the next run is given. A `syscall` program writes to it. */
  get ctx(): Uint8Array {
    return this.#calls.ctxIn
  }

  /**
   * Runs it, and gives what it returned, a u32. Errors: as `program.run`; RangeError where the packet has grown beyond
   * `dataOutSize`, after the run.
   */
  run(): number {
    const calls = this.#calls
    if (runOnce(this.#prepared, this.#handle.fd)) return calls.retval
    throw outgrown(calls)
  }

  /** Nanoseconds a run took, on average of the last `run()`. */
  get duration(): number {
    return this.#calls.duration
  }

  /** The packet after the last run: its memory is that of the next. */
  get dataOut(): Uint8Array {
    return this.#calls.dataOut
  }

  /** The context after the last run; its memory is that of the next. Empty where it is written back to `ctx`, or none. */
  get ctxOut(): Uint8Array {
    return this.#calls.ctxOut.subarray(0, this.#calls.ctxSizeOut)
  }
}
