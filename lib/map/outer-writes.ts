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
  encode(key: K): Buffer
  /** Whether there is such a key; true where that cannot be told. */
  mayHave(key: Uint8Array): boolean
  /** The map to install, and what of it is ours: to be held once it is installed, else to be closed. */
  prepare(content: InnerContent<M>, changes: InnerChanges): { readonly inner: M; readonly own: M | undefined }
  /** Told of each inner map that is installed; whether it was taken over, and so must not be closed. */
  hold(key: K, own: M | undefined): boolean
  /** The same of one installed by an asynchronous write, between these two: others may have written its entry since. */
  holdLate(key: Buffer, own: M | undefined): boolean
  begin(): void
  end(): void
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
        const installs = this.#make(chunk, from, {}, done, true)
        this.#install(installs, done, () => write(installs))
        from += installs.length
        done += installs.length
      }
    }
    return done
  }

  /** The same through the queue. All inner maps are made before this returns its promise. `many` counts in errors. */
  async setAsync(
    entries: readonly (readonly [K, InnerContent<M>])[],
    flags: number,
    changes: InnerChanges,
    many: boolean,
  ): Promise<number> {
    let done = 0
    while (done < entries.length) {
      const installs = this.#make(entries, done, changes, done, many)
      const before = done
      const leases: Lease[] = []
      // Now: by the time that the write is done, the caller may have other bytes in what the key was read from.
      const keys: Buffer[] = []
      let answered = 0
      this.#outer.begin()
      try {
        const writes = installs.map(({ key, inner }, i): Write => {
          const lease = inner.handle.retain()
          leases.push(lease)
          const bytes = this.#encode(key, many ? before + i : undefined)
          keys.push(bytes)
          return { key: bytes, fd: lease.fd }
        })
        answered = await this.#queued().add('set', writes, flags, this.#outer.handle.retain())
      } catch (error) {
        answered = error instanceof KernelError ? (error.done ?? 0) : 0
        throw this.#counted(error, installs[answered]?.inner, before, many)
      } finally {
        for (const lease of leases) lease.release()
        this.#settle(installs, answered, (i, own) => this.#outer.holdLate(keys[i] as Buffer, own))
        this.#outer.end()
      }
      done += installs.length
    }
    return done
  }

  /** Deletes through the queue: how many of the keys were there. */
  async deleteAsync(keys: readonly Uint8Array[]): Promise<number> {
    if (keys.length === 0) return 0
    const writes = keys.map((key): Write => ({ key, fd: undefined }))
    return this.#queued().add('delete', writes, BPF_ANY, this.#outer.handle.retain())
  }

  #encode(key: K, number: number | undefined): Buffer {
    try {
      return this.#outer.encode(key)
    } catch (error) {
      throw number === undefined ? error : withPath(number, error)
    }
  }

  #queued(): WriteQueue {
    const { keyBytes, subject, target } = this.#outer
    this.#queue ??= new WriteQueue({
      keyBytes,
      subject,
      lacks: (command) => target.lacks(command),
      setLacks: (command) => target.setLacks(command),
      mayHave: (key) => this.#outer.mayHave(key),
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
    many: boolean,
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
          if (!many) throw error
          throw error instanceof KernelError ? error.withDone(before) : withPath(before + i - from, error)
        }
      }
      return installs
    } catch (error) {
      for (const { own } of installs) own?.close()
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
      this.#settle(installs, done, (i, own) => this.#outer.hold((installs[i] as Install<K, M>).key, own))
    }
  }

  /** The first `done` are installed; all that nobody took over are closed. */
  #settle(installs: readonly Install<K, M>[], done: number, hold: (i: number, own: M | undefined) => boolean): void {
    for (const [i, { own }] of installs.entries()) {
      const taken = i < done && hold(i, own)
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
