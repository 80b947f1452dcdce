import type { Input } from './targets'

/** Attempts for one finding. */
const MOST_ATTEMPTS = 1500

/**
 * The least that is still wrong in the same way: first the bytes that differ from what it was made of are put back, then
 * the end is cut off, then bytes become zeros.
 */
export function minimised(input: Input, origin: Input, isSame: (input: Input) => boolean): Input {
  let attempts = 0
  let best = input
  const attempt = (next: Input): boolean => {
    if (++attempts > MOST_ATTEMPTS || !isSame(next)) return false
    best = next
    return true
  }
  for (const [i, part] of input.entries()) {
    const withPart = (bytes: Uint8Array): Input => best.map((each, j) => (j === i ? bytes : each))
    const from = origin[i]
    if (from !== undefined && from.length === part.length) {
      for (let size = part.length; size >= 1; size = Math.floor(size / 2)) {
        for (let at = 0; at < part.length; at += size) {
          const now = best[i] as Uint8Array
          const piece = from.subarray(at, at + size)
          if (Buffer.compare(piece, now.subarray(at, at + size)) === 0) continue
          const next = now.slice()
          next.set(piece, at)
          attempt(withPart(next))
        }
      }
    } else {
      for (let size = part.length >> 1; size >= 1; size = Math.floor(size / 2)) {
        for (;;) {
          const now = best[i] as Uint8Array
          if (now.length < size || !attempt(withPart(now.slice(0, now.length - size)))) break
        }
      }
      for (let size = 256; size >= 4; size = Math.floor(size / 2)) {
        for (let at = 0; at < (best[i] as Uint8Array).length; at += size) {
          const now = best[i] as Uint8Array
          if (now.subarray(at, at + size).every((byte) => byte === 0)) continue
          const next = now.slice()
          next.fill(0, at, at + size)
          attempt(withPart(next))
        }
      }
    }
  }
  return best
}

/** A finding in few words: what differs from the seed, or the bytes. */
export function recipe(input: Input, origin: Input): string {
  return input
    .map((part, i) => {
      const from = origin[i]
      if (from === undefined || from.length !== part.length) {
        return part.length > 2048 ? `${part.length} bytes` : Buffer.from(part).toString('hex')
      }
      const changes: string[] = []
      for (let at = 0; at < part.length; at++) {
        if (part[at] !== from[at]) changes.push(`${at}: 0x${(part[at] as number).toString(16)}`)
      }
      return `{ ${changes.join(', ')} }`
    })
    .join(' | ')
}
