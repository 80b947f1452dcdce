/**
 * A codec knows how many bytes a value takes, how it is aligned, and how to write and read it at an offset.
 *
 * The contract, for the codecs of this folder and for those that users bring:
 * - `write` writes exactly `size` bytes, the padding as zero: the kernel compares hash keys as bytes,
 *   and the buffer that it is given still holds the bytes of an earlier call.
 * - `write` throws a TypeError or a RangeError for a value that does not fit, before the kernel is asked.
 * - `read` copies: what it returns must not change when the buffer is used again.
 */
export interface Codec<T> {
  /** What messages and `util.inspect` call it: `u32`, `struct { packets: u64 }`. */
  readonly name: string
  /** Bytes that a value takes; always the same. */
  readonly size: number
  /** Alignment in bytes inside a `struct`: 1, 2, 4 or 8 (16 for __int128). */
  readonly align: number
  write(view: DataView, offset: number, value: T): void
  read(view: DataView, offset: number): T
}

/** The JavaScript type that a codec reads and writes. */
export type Infer<C> = C extends Codec<infer T> ? T : never
