import { closeFd, duplicateFd } from '../../syscalls/fd'

/** What the registry and the list of a worker know of an open fd; never the handle itself, or it would never be collected. */
interface Owned {
  fd: number
  what: string
  readonly openedAt: string | undefined
}

/** Whether handles know where they were opened: asked with the first one, as looking into the environment takes time. */
let traced: boolean | undefined

/** An fd that stays open until `release()`. */
export interface Lease {
  readonly fd: number
  release(): void
}

/** Use of a handle after its end. */
export class ClosedError extends Error {
  override readonly name: string = 'ClosedError'
  readonly code = 'ERR_EBPF_CLOSED'
}

/** The message of a ClosedError. */
export function closedText(what: string, lent?: string): string {
  return `${what} is closed${lent === undefined ? ' (`using` ends with its block, at a prompt with its line)' : `: ${lent}`}`
}

/**
 * The one owner of an fd. `close()` ends it, or `using`, or, as a last resort and with a warning, the garbage collector.
 *
 * An operation on the thread pool looks its fd up some time after it was asked for. `retain()` puts the real close off
 * until such operations are done: else the number could by then belong to something else.
 */
export class Handle implements Disposable {
  readonly #owned: Owned
  /** Who else than its holder closes it, and how to get one to keep: for messages. */
  lent: string | undefined
  #closed = false
  #users = 0

  /** Takes the fd over. `what` names it in messages: "HashMap 'ports'". */
  constructor(fd: number, what: string) {
    traced ??= process.env.EBPF_TRACE_HANDLES === '1'
    const openedAt = traced ? (new Error().stack ?? '') : undefined
    this.#owned = { fd, what, openedAt }
    collected.register(this, this.#owned, this)
    rememberInWorker(this.#owned)
  }

  /** The file descriptor; throws ClosedError after `close()`. */
  get fd(): number {
    if (this.#closed) throw new ClosedError(closedText(this.#owned.what, this.lent))
    return this.#owned.fd
  }

  get closed(): boolean {
    return this.#closed
  }

  /** What messages call it. */
  get what(): string {
    return this.#owned.what
  }

  set what(what: string) {
    this.#owned.what = what
  }

  /** A second handle of the same object, with its own end. Errors: EMFILE. */
  duplicate(): Handle {
    return new Handle(duplicateFd(this.fd), this.#owned.what)
  }

  /** Keeps the fd open until the lease is released, also when `close()` comes first. */
  retain(): Lease {
    const fd = this.fd
    this.#users++
    let released = false
    return {
      fd,
      release: () => {
        if (released) return
        released = true
        this.#users--
        if (this.#closed && this.#users === 0) this.#release()
      },
    }
  }

  /** Ends the handle. May be called twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#users === 0) this.#release()
  }

  /** Ends the handle and leaves the fd open: for an fd that was the caller's, and stays so. */
  disown(): number {
    const fd = this.fd
    this.#closed = true
    this.#forget()
    return fd
  }

  #release(): void {
    this.#forget()
    closeFd(this.#owned.fd)
  }

  #forget(): void {
    collected.unregister(this)
    ofThisWorker?.delete(this.#owned)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const collected = new FinalizationRegistry<Owned>((owned) => {
  ofThisWorker?.delete(owned)
  closeFd(owned.fd)
  const where =
    owned.openedAt === undefined
      ? 'EBPF_TRACE_HANDLES=1 shows where it was opened'
      : `it was opened at\n${owned.openedAt.split('\n').slice(2).join('\n')}`
  process.emitWarning(
    `${owned.what} (fd ${owned.fd}) was collected open; close it, or declare it with "using": ${where}`,
    {
      type: 'EbpfLeakWarning',
      code: 'EBPF_LEAK',
    },
  )
})

/** The process outlives its workers, and so would their fds: a worker closes what it still has when it ends. */
let ofThisWorker: Set<Owned> | undefined
/** Asked with the first handle: importing the library shall not load what it may not need. */
let isWorker: boolean | undefined

function rememberInWorker(owned: Owned): void {
  isWorker ??= !process.getBuiltinModule('node:worker_threads').isMainThread
  if (!isWorker) return
  if (ofThisWorker === undefined) {
    const mine = new Set<Owned>()
    ofThisWorker = mine
    process.on('exit', () => {
      for (const { fd } of mine) closeFd(fd)
      mine.clear()
    })
  }
  ofThisWorker.add(owned)
}
