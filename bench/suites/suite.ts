import type { Benchmark } from '../harness'
import type { NpmBpf } from '../peers/npm-bpf'
import type { RawPeer } from '../peers/raw'

/** The others, each itself or the reason why it cannot take part. */
export interface Peers {
  raw: RawPeer | string
  npmBpf: NpmBpf | string
}

/** Benchmarks that share what they work on; it is made before the first and gone after the last. */
export interface Suite {
  /** Of its benchmarks: what is not asked for is not set up. */
  names: readonly string[]
  benchmarks(peers: Peers): AsyncGenerator<Benchmark>
}
