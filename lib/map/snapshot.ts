import type { BpfMap, MapInfo } from './bpf-map'

/** The plain data of an inner map: what its `snapshot()` gives, or its info where it cannot be read. */
export type SnapshotOf<M> = M extends { snapshot(): infer S } ? S : MapInfo

export function snapshotOf<M extends BpfMap>(inner: M): SnapshotOf<M> {
  const readable = inner as { snapshot?: () => SnapshotOf<M> }
  return readable.snapshot === undefined ? (inner.info() as SnapshotOf<M>) : readable.snapshot()
}
