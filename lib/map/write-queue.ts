import { BatchCalls } from '../../syscalls/batch'
import { ElementCalls } from '../../syscalls/element'
import { errnoName, KernelError, type Subject } from '../../syscalls/errno'
import { BPF_ANY } from '../../syscalls/uapi-map'
import { u32 } from '../codec'
import type { Lease } from '../handle/handle'

/**
 * Writes to an outer map off the event loop, in the order in which they were asked for.
 *
 * Each call that writes to an outer map waits for an RCU grace period, however many entries it writes. So whatever is
 * asked for while one call waits goes out together in the next: a thousand `setAsync` cost two waits, not a thousand.
 */
export interface Write {
  readonly key: Uint8Array
  /** The inner map's fd to install; undefined deletes. */
  readonly fd: number | undefined
}

/** Writes that belong together: the first failure ends them. */
interface Unit {
  readonly kind: 'set' | 'delete'
  writes: readonly Write[]
  readonly flags: number
  /** How many of the writes have been dealt with. */
  next: number
  /** Deletes: how many of the keys were there. */
  there: number
  readonly lease: Lease
  resolve(done: number): void
  reject(error: unknown): void
}

export interface QueueTarget {
  readonly keyBytes: number
  readonly subject: Subject
  lacks(command: string): boolean
  setLacks(command: string): void
  /** Whether there is such a key; true where that cannot be told. */
  mayHave(key: Uint8Array): boolean
}

/** Writes that one batch call may take. */
const MAX_BATCH = 4096

const COMMANDS = {
  set: { one: 'BPF_MAP_UPDATE_ELEM', many: 'BPF_MAP_UPDATE_BATCH' },
  delete: { one: 'BPF_MAP_DELETE_ELEM', many: 'BPF_MAP_DELETE_BATCH' },
} as const

export class WriteQueue {
  readonly #target: QueueTarget
  readonly #units: Unit[] = []
  #running = false

  constructor(target: QueueTarget) {
    this.#target = target
  }

  /**
   * Asks for writes; the lease keeps the outer map's fd until they are done. Resolves with how many were written, or,
   * for deletes, how many of the keys were there.
   */
  add(kind: 'set' | 'delete', writes: readonly Write[], flags: number, lease: Lease): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      this.#units.push({ kind, writes, flags, next: 0, there: 0, lease, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    try {
      // One turn later: what is asked for in the same turn goes out in the same call.
      await Promise.resolve()
      for (let first = this.#units[0]; first !== undefined; first = this.#units[0]) await this.#step(first)
    } finally {
      this.#running = false
    }
  }

  /** One call to the kernel, and what follows from its answer. */
  async #step(first: Unit): Promise<void> {
    try {
      if (first.next >= first.writes.length) this.#end(first)
      else if (first.flags !== BPF_ANY || this.#target.lacks(COMMANDS[first.kind].many)) await this.#single(first)
      else await this.#batch(first)
    } catch (error) {
      // Not a refusal by the kernel, those are answers below: what was asked cannot be done at all.
      this.#fail(first, error)
    }
  }

  /** As many writes of the same kind as stand at the front of the queue. */
  async #batch(first: Unit): Promise<void> {
    const { kind } = first
    const { keyBytes } = this.#target
    const parts: { unit: Unit; count: number }[] = []
    let count = 0
    for (const unit of this.#units) {
      const room = MAX_BATCH - count
      if (unit.kind !== kind || unit.flags !== BPF_ANY || room === 0) break
      const taken = Math.min(room, unit.writes.length - unit.next)
      parts.push({ unit, count: taken })
      count += taken
    }
    const calls = new BatchCalls(count, keyBytes, kind === 'set' ? 4 : 0)
    let i = 0
    for (const { unit, count: taken } of parts) {
      for (const write of unit.writes.slice(unit.next, unit.next + taken)) {
        new Uint8Array(calls.view.buffer, calls.keysAt + i * keyBytes, keyBytes).set(write.key)
        if (write.fd !== undefined) u32.write(calls.view, calls.valuesAt + i * 4, write.fd)
        i++
      }
    }
    const { fd } = first.lease
    const answer = await (kind === 'set' ? calls.updateAsync(fd, count) : calls.deleteAsync(fd, count))
    if (answer.code === 'ENOTSUPP') {
      this.#target.setLacks(COMMANDS[kind].many)
      return
    }
    let left = answer.code === '' ? count : answer.count
    for (const { unit, count: taken } of parts) {
      const done = Math.min(left, taken)
      unit.next += done
      unit.there += done
      left -= done
      if (done < taken) {
        this.#refused(unit, COMMANDS[kind].many, answer.errno)
        return
      }
      if (unit.next >= unit.writes.length) this.#end(unit)
    }
  }

  /** One write with a condition, or one of many in a kernel without batches for outer maps (5.10). */
  async #single(unit: Unit): Promise<void> {
    const write = unit.writes[unit.next] as Write
    const { keyBytes, subject } = this.#target
    const calls = new ElementCalls(unit.lease.fd, keyBytes, 4, subject)
    new Uint8Array(calls.view.buffer, calls.keyAt, keyBytes).set(write.key)
    if (write.fd !== undefined) u32.write(calls.view, calls.valueAt, write.fd)
    const errno = await (unit.kind === 'set' ? calls.updateAsync(unit.flags) : calls.deleteAsync())
    calls.close()
    if (errno !== 0) {
      this.#refused(unit, COMMANDS[unit.kind].one, errno)
      return
    }
    unit.next++
    unit.there++
  }

  /** The kernel refused the next write of a unit. */
  #refused(unit: Unit, command: string, errno: number): void {
    if (unit.kind === 'delete' && errnoName(errno) === 'ENOENT') {
      unit.next++ // It was not there: on behind it.
      this.#dropAbsent()
      return
    }
    const done = unit.writes.length > 1 ? unit.next : undefined
    this.#fail(unit, new KernelError(errno, { command, subject: this.#target.subject, done }))
  }

  /** Each call that ends at a key which is not there waits as the others do: those of that kind are looked for first. */
  #dropAbsent(): void {
    for (const unit of this.#units) {
      if (unit.kind !== 'delete') return
      const left = unit.writes.slice(unit.next).filter(({ key }) => this.#target.mayHave(key))
      unit.writes = [...unit.writes.slice(0, unit.next), ...left]
    }
  }

  #end(unit: Unit): void {
    this.#remove(unit)
    unit.resolve(unit.kind === 'delete' ? unit.there : unit.next)
  }

  #fail(unit: Unit, error: unknown): void {
    unit.reject(error)
    this.#remove(unit)
  }

  /** Must not throw: the promises of the others hang on it. */
  #remove(unit: Unit): void {
    const at = this.#units.indexOf(unit)
    // Ended before: -1 would take the last one out in its place.
    if (at < 0) return
    this.#units.splice(at, 1)
    try {
      unit.lease.release()
    } catch (error) {
      // close() was put off until now, and somebody else has closed the fd meanwhile.
      unit.reject(error)
    }
  }
}
