/** Pieces of programs that hook what everybody does, and act for the specs alone. */
import { Code } from '../outer-program'

// enum bpf_func_id
const GET_CURRENT_PID_TGID = 14
const GET_ATTACH_COOKIE = 174

/** Where keys are put on the stack. */
const OUTER_KEY = -4
const INNER_KEY = -8
const INDEX = -12

/** No error is above (MAX_ERRNO of include/linux/err.h). */
const MAX_ERRNO = 4095

/**
 * A program whose context stays in r6, and whose 'out' returns 0, or what `end` is given. r7 to r9 are free; the rest
 * does not outlast any of these.
 */
export class HookCode extends Code {
  constructor() {
    super()
    this.add(0xbf, 6, 1) // r6 = r1
  }

  call(helper: number): this {
    return this.add(0x85, 0, 0, 0, helper)
  }

  /** r0 = the process, as user space numbers them */
  process(): this {
    return this.call(GET_CURRENT_PID_TGID).add(0x77, 0, 0, 0, 32) // r0 >>= 32
  }

  /** Of all other processes nothing is done. */
  onlyProcess(pid = process.pid): this {
    return this.process().add(0x55, 0, 0, 0, pid, 'out') // if r0 != pid
  }

  /**
   * dst = the int that is the context's word of this number: an argument of the traced function, or after the last what
   * it returned. Its upper half is cut off: trampolines save whole registers, and callers leave there what they like.
   */
  argument(dst: number, index: number): this {
    return this.add(0x79, dst, 6, index * 8).add(0xbc, dst, dst) // w = w
  }

  /** dst = *(u32 *)(context + offset) */
  field(dst: number, offset: number): this {
    return this.add(0x61, dst, 6, offset)
  }

  /** counters[index] += 1 */
  count(counters: number, index = 0): this {
    return this.add(0x62, 10, 0, INDEX, index).#counted(counters)
  }

  /** counters[the cookie of this attachment] += 1 */
  countByCookie(counters: number): this {
    return this.add(0xbf, 1, 6).call(GET_ATTACH_COOKIE).add(0x63, 10, 0, INDEX).#counted(counters)
  }

  #counted(counters: number): this {
    return this.#slot(counters, 2).add(0xb7, 1, 0, 0, 1).add(0xdb, 0, 1, 0, 0) // lock *(u64 *)(r0 + 0) += 1
  }

  /** counters[index] = the register */
  record(counters: number, index: number, register: number): this {
    return this.add(0x62, 10, 0, INDEX, index).#slot(counters, 1).add(0x7b, 0, register, 0)
  }

  /** r0 = the counter, or on past the next instructions */
  #slot(counters: number, skip: number): this {
    return this.map(1, counters).lookup(INDEX).add(0x15, 0, 0, skip, 0) // if r0 == 0
  }

  /**
   * r7 = outer[this process, or 0][the register's u32], or 0 where there is no such entry: what TypeScript has decided,
   * in an inner map that it may replace at any time.
   */
  verdict(outer: number, register: number, of: 'process' | 'all' = 'process'): this {
    if (of === 'process') this.process().add(0x63, 10, 0, OUTER_KEY)
    else this.add(0x62, 10, 0, OUTER_KEY, 0)
    return this.add(0x63, 10, register, INNER_KEY)
      .add(0xb7, 7, 0, 0, 0)
      .map(1, outer)
      .lookup(OUTER_KEY)
      .add(0x15, 0, 0, 0, 0, 'decided')
      .add(0xbf, 1, 0)
      .lookup(INNER_KEY)
      .add(0x15, 0, 0, 0, 0, 'decided')
      .add(0x61, 7, 0, 0) // r7 = *(u32 *)(r0 + 0)
      .label('decided')
  }

  /** return -r7 */
  endWithError(): this {
    return this.add(0x25, 7, 0, 0, MAX_ERRNO, 'out') // if r7 > 4095
      .add(0xb7, 0, 0, 0, 0)
      .add(0x1f, 0, 7) // r0 -= r7
      .add(0x95)
      .end()
  }

  /** return the register */
  endWith(register: number): this {
    return this.add(0xbf, 0, register).add(0x95)
  }

  end(result = 0): this {
    return this.label('out').add(0xb7, 0, 0, 0, result).add(0x95)
  }
}
