import type { BpfMap } from './bpf-map'

/** The inner maps that an outer map holds open itself, by the bytes of their keys, so that nobody needs to open them by id. */
export class HeldMaps<M extends BpfMap> {
  readonly #byKey = new Map<string, M>()
  #closed = false

  /** Takes an inner map over, and closes the one that it replaces. */
  put(key: string, inner: M): void {
    this.drop(key)
    // An asynchronous write may be done after the outer map was closed.
    if (this.#closed) inner.close()
    else this.#byKey.set(key, inner)
  }

  /** The inner map under a key, if it is still the one that the kernel has there. */
  get(key: string, id: number): M | undefined {
    const inner = this.#byKey.get(key)
    if (inner === undefined) return undefined
    if (inner.id === id) return inner
    // Somebody else has replaced the entry: what is held here keeps a map alive that nobody reaches.
    this.drop(key)
    return undefined
  }

  drop(key: string): void {
    const inner = this.#byKey.get(key)
    if (inner === undefined) return
    this.#byKey.delete(key)
    inner.close()
  }

  close(): void {
    this.#closed = true
    for (const key of [...this.#byKey.keys()]) this.drop(key)
  }

  get size(): number {
    return this.#byKey.size
  }
}
