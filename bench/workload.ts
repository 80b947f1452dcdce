/** The data that all sides work on. The numbers are also in peers/raw.c. */

/** Entries of the shared map: HASH u32 -> u64, all present but while a `delete` round runs. */
export const ENTRIES = 100_000

export const INNER_MAX_ENTRIES = 10
export const OUTER_MAX_ENTRIES = 256

/** Of the packet that a program is run on. */
export const PACKET_BYTES = 64

/** Instructions of the program that is loaded. */
export const LOAD_INSNS = 100

/** Coprime to ENTRIES: visits every entry, neighbours in time never neighbours in memory. */
const STRIDE = 61_803

/**
 * The keys in the order in which they are asked for. An odd factor makes them distinct; 31 bits make them small
 * integers for V8, so that the caller's own loop allocates nothing.
 */
export const probes: readonly number[] = Array.from(
  { length: ENTRIES },
  (_, i) => Math.imul((i * STRIDE) % ENTRIES, 0x9e3779b1) & 0x7fffffff,
)

/** The value of each, at the same index. */
export const values: readonly bigint[] = Array.from({ length: ENTRIES }, (_, i) => BigInt(i))

/** Walks round and round through the indices, across rounds. */
export class Cursor {
  at = 0

  next(): number {
    const at = this.at
    this.at = at + 1 === ENTRIES ? 0 : at + 1
    return at
  }
}
