/** The method by which an outer map fills a new inner map, whatever its family. */
export const fill: unique symbol = Symbol('ebpf-ts.fill')

/** A map that can be filled from a list of `E`. */
export interface Fillable<E> {
  /** Writes the entries, in as few calls as the kernel allows. */
  [fill](entries: Iterable<E>): void
}

/** What a map of type M is filled from: `[key, value]` pairs, or values where it has no keys. */
export type ContentOf<M> = M extends Fillable<infer E> ? Iterable<E> : never
