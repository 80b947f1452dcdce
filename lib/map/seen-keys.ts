import type { Subject } from '../../syscalls/errno'

/** A walk that others made begin again too often without anything new. */
export class IterationError extends Error {
  override readonly name: string = 'IterationError'
  readonly code = 'ERR_EBPF_ITERATION'
}

/** Times that a walk may pass over all it has given already before it gives up. */
const MAX_RESTARTS = 64

/** The keys that a walk has given, so that beginning again gives none twice; and the bound on beginning again. */
export class SeenKeys {
  readonly #seen = new Set<string>()
  readonly #subject: Subject
  readonly #keyBytes: number
  /** Keys passed over since the last new one. */
  #fruitless = 0

  constructor(subject: Subject, keyBytes: number) {
    this.#subject = subject
    this.#keyBytes = keyBytes
  }

  /** Whether the key at this place is new. */
  add(view: DataView, offset: number): boolean {
    const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + offset, this.#keyBytes)
    const before = this.#seen.size
    this.#seen.add(bytes.toString('latin1'))
    if (this.#seen.size > before) {
      this.#fruitless = 0
      return true
    }
    if (++this.#fruitless > MAX_RESTARTS * (before + 16)) {
      throw new IterationError(
        `${this.#subject.description}: others delete keys so fast that the walk began again ${MAX_RESTARTS} times without a new one`,
      )
    }
    return false
  }
}
