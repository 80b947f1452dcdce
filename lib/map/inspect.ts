import { inspect, types } from 'node:util'

/** One entry as a line below a map's header: `443 → 1n`. */
export function entryLine(key: unknown, value: unknown): string {
  return `${brief(key)} → ${brief(value)}`
}

/** A value on one line; bytes in hexadecimal. */
export function brief(value: unknown): string {
  if (types.isUint8Array(value)) return hex(value)
  return inspect(value, { depth: 3, breakLength: Number.POSITIVE_INFINITY, compact: true, maxArrayLength: 8 })
}

/** Bytes that are shown of a value. */
const SHOWN_BYTES = 32

function hex(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, '0'))
  if (bytes.length > SHOWN_BYTES) shown.push(`... ${bytes.length - SHOWN_BYTES} more`)
  return `<${shown.join(' ')}>`
}

/** Entries that are counted for a header before it says "more than". */
const COUNT_LIMIT = 4096

/**
 * The size and, where they are few, the lines of a map's entries. Bounded: printing a map of a million entries at a
 * prompt must not read them all.
 */
export function summarize<T>(
  few: number,
  count: (limit: number) => number,
  entries: () => Iterable<T>,
  line: (entry: T) => string,
): { size: string; lines: string[] } {
  const size = count(COUNT_LIMIT)
  if (size >= COUNT_LIMIT) return { size: `>${COUNT_LIMIT - 1}`, lines: [] }
  if (size > few) return { size: `${size}`, lines: [] }
  const lines: string[] = []
  for (const entry of entries()) {
    lines.push(line(entry))
    if (lines.length === few) break
  }
  return { size: `${size}`, lines }
}
