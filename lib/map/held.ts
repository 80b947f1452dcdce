import type { BpfMap } from './bpf-map'

/** The inner maps that an outer map holds open itself, by the bytes of their keys, so that nobody needs to open them by id. */
export class HeldMaps<M extends BpfMap> {
  readonly #byKey = new Map<string, M>()
  /** Asynchronous writes that are under way, and the keys written or deleted by others of this object meanwhile. */
  #underWay = 0
  readonly #disputed = new Set<string>()
  #closed = false

  /** Takes an inner map over, and closes the one that it replaces. */
  put(key: string, inner: M): void {
    this.#dispute(key)
    this.#replace(key, inner)
  }

  /** An asynchronous write has begun: `end()` comes when what it has installed was put here. */
  begin(): void {
    this.#underWay++
  }

  end(): void {
    if (--this.#underWay === 0) this.#disputed.clear()
  }

  /**
   * Takes over what an asynchronous write has installed; false where it is no longer there. Which of two writes the kernel
   * saw last only the kernel knows: it is asked where there were two.
   */
  putLate(key: string, inner: M, idNow: () => number | undefined): boolean {
    if (!this.#closed && this.#disputed.has(key) && idNow() !== inner.id) return false
    this.#replace(key, inner)
    return true
  }

  #dispute(key: string): void {
    if (this.#underWay > 0) this.#disputed.add(key)
  }

  #replace(key: string, inner: M): void {
    this.#remove(key)
    // An asynchronous write may be done after the outer map was closed.
    if (this.#closed) inner.close()
    else this.#byKey.set(key, inner)
  }

  #remove(key: string): void {
    const inner = this.#byKey.get(key)
    if (inner === undefined) return
    this.#byKey.delete(key)
    inner.close()
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
    this.#dispute(key)
    this.#remove(key)
  }

  close(): void {
    this.#closed = true
    for (const key of [...this.#byKey.keys()]) this.#remove(key)
  }
}
