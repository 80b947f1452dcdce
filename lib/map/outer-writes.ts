import { KernelError, type Subject } from '../../syscalls/errno'
import { BPF_ANY } from '../../syscalls/uapi-map'
import { withPath } from '../codec'
import type { Handle, Lease } from '../handle/handle'
import type { BpfMap } from './bpf-map'
import { checkEntry, chunks } from './bulk'
import type { Target } from './keyed-map'
import type { InnerChanges, InnerContent } from './outer'
import { type Write, WriteQueue } from './write-queue'

/** What writing many inner maps needs of the outer map. */
export interface OuterWriter<K, M extends BpfMap> {
  readonly handle: Handle
  readonly keyBytes: number
  readonly subject: Subject
  readonly target: Target<K, number>
  encode(key: K): Uint8Array
  /** The map to install, and what of it is ours: to be held once it is installed, else to be closed. */
  prepare(content: InnerContent<M>, changes: InnerChanges): { readonly inner: M; readonly own: M | undefined }
  /** Told of each inner map that is installed; whether it was taken over, and so must not be closed. */
  hold(key: K, own: M | undefined): boolean
  explain(error: unknown, inner: BpfMap): unknown
}

/** An inner map on its way into the outer map. */
interface Install<K, M> {
  readonly key: K
  readonly inner: M
  readonly own: M | undefined
}

/** Inner maps that are made before one call installs them: each needs an fd until then. */
const CHUNK = 4096

/** The writes of many inner maps at once, in this thread or off the event loop. */
export class OuterWrites<K, M extends BpfMap> {
  readonly #outer: OuterWriter<K, M>
  #queue: WriteQueue | undefined

  constructor(outer: OuterWriter<K, M>) {
    this.#outer = outer
  }

  /** Makes, fills and installs; `write` is the call that installs what is ready, and gives how many it did. */
  setMany(
    entries: Iterable<readonly [K, InnerContent<M>]>,
    write: (installs: readonly Install<K, M>[]) => number,
  ): number {
    let done = 0
    for (const chunk of chunks(entries, CHUNK)) {
      let from = 0
      while (from < chunk.length) {
        const installs = this.#make(chunk, from, {}, done)
        this.#install(installs, done, () => write(installs))
        from += installs.length
        done += installs.length
      }
    }
    return done
  }

  /** The same through the queue. All inner maps are made before this returns its promise. */
  async setAsync(
    entries: readonly (readonly [K, InnerContent<M>])[],
    flags: number,
    changes: InnerChanges,
  ): Promise<number> {
    let done = 0
    while (done < entries.length) {
      const installs = this.#make(entries, done, changes, done)
      const before = done
      const leases: Lease[] = []
      let answered = 0
      try {
        const writes = installs.map(({ key, inner }): Write => {
          const lease = inner.handle.retain()
          leases.push(lease)
          return { key: this.#outer.encode(key), fd: lease.fd }
        })
        answered = await this.#queued().add('set', writes, flags, this.#outer.handle.retain())
      } catch (error) {
        answered = error instanceof KernelError ? (error.done ?? 0) : 0
        throw this.#counted(error, installs[answered]?.inner, before, entries.length > 1)
      } finally {
        for (const lease of leases) lease.release()
        this.#settle(installs, answered)
      }
      done += installs.length
    }
    return done
  }

  /** Deletes through the queue: how many of the keys were there. */
  async deleteAsync(keys: readonly K[]): Promise<number> {
    if (keys.length === 0) return 0
    const writes = keys.map((key): Write => ({ key: this.#outer.encode(key), fd: undefined }))
    return this.#queued().add('delete', writes, BPF_ANY, this.#outer.handle.retain())
  }

  #queued(): WriteQueue {
    const { keyBytes, subject, target } = this.#outer
    this.#queue ??= new WriteQueue({
      keyBytes,
      subject,
      lacks: (command) => target.lacks(command),
      setLacks: (command) => target.setLacks(command),
    })
    return this.#queue
  }

  /**
   * Makes the inner maps from entry `from` on: all of them, or as many as there are fds for. Where one cannot be made,
   * none is installed and none is left behind.
   */
  #make(
    entries: readonly (readonly [K, InnerContent<M>])[],
    from: number,
    changes: InnerChanges,
    before: number,
  ): Install<K, M>[] {
    const installs: Install<K, M>[] = []
    try {
      for (let i = from; i < entries.length; i++) {
        const entry = entries[i]
        checkEntry(entry, before + i - from)
        const [key, content] = entry as readonly [K, InnerContent<M>]
        try {
          installs.push({ key, ...this.#outer.prepare(content, changes) })
        } catch (error) {
          // Out of fds: install what is ready, which gives theirs back.
          if (error instanceof KernelError && error.code === 'EMFILE' && installs.length > 0) break
          throw error instanceof KernelError ? error.withDone(before) : withPath(before + i - from, error)
        }
      }
      return installs
    } catch (error) {
      this.#settle(installs, 0)
      throw error
    }
  }

  #install(installs: readonly Install<K, M>[], before: number, write: () => number): void {
    let done = 0
    try {
      done = write()
    } catch (error) {
      done = error instanceof KernelError ? (error.done ?? 0) : 0
      throw this.#counted(error, installs[done]?.inner, before, true)
    } finally {
      this.#settle(installs, done)
    }
  }

  /** The first `done` are installed; all that nobody took over are closed. */
  #settle(installs: readonly Install<K, M>[], done: number): void {
    for (const [i, { key, own }] of installs.entries()) {
      const taken = i < done && this.#outer.hold(key, own)
      if (!taken) own?.close()
    }
  }

  #counted(error: unknown, inner: M | undefined, before: number, many: boolean): unknown {
    if (!(error instanceof KernelError)) return error
    const explained = inner === undefined ? error : this.#outer.explain(error, inner)
    if (!many || !(explained instanceof KernelError)) return explained
    return explained.withDone(before + (error.done ?? 0))
  }
}
