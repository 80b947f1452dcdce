/** Changes that know nothing of what the bytes mean, and the tools of those that do. */
import type { Random } from './random'

/** The edges of things: counts, signs, sizes, limits of what readers take. */
const EDGES: readonly number[] = [
  ...[0, 1, 2, 3, 4, 7, 8, 9, 12, 16, 24, 31, 32, 33, 63, 64, 65, 0x7f, 0x80, 0xff, 0x100, 0x200, 0x1000],
  ...[0x7fff, 0x8000, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000, 0x1000_0000, 0x7fff_ffff, 0x8000_0000],
  ...[0xffff_fff0, 0xffff_fff8, 0xffff_fffe, 0xffff_ffff],
]

/** An edge, a number near a known one, or any. */
export function someNumber(random: Random, known = 0): number {
  switch (random.below(6)) {
    case 0:
      return random.below(2 ** 32)
    case 1:
      return (known + random.below(17) - 8) >>> 0
    case 2:
      return random.below(64)
    default:
      return random.pick(EDGES)
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A word of 4 bytes; 0 past the end, as half a file is also to be changed. */
export function word(bytes: Uint8Array, at: number, little: boolean): number {
  return at >= 0 && at + 4 <= bytes.length ? viewOf(bytes).getUint32(at, little) : 0
}

export function putWord(bytes: Uint8Array, at: number, value: number, little: boolean): void {
  if (at >= 0 && at + 4 <= bytes.length) viewOf(bytes).setUint32(at, value, little)
}

/** An unsigned number of 1, 2, 4 or 8 bytes. */
export function putNumber(bytes: Uint8Array, at: number, size: number, value: number, little: boolean): void {
  if (at < 0 || at + size > bytes.length) return
  const view = viewOf(bytes)
  if (size === 1) view.setUint8(at, value)
  else if (size === 2) view.setUint16(at, value, little)
  else if (size === 4) view.setUint32(at, value, little)
  // Beyond 32 bits: the upper half of large numbers is all ones, so that they are negative, or without end.
  else view.setBigUint64(at, value > 0xffff_ff00 ? BigInt.asUintN(64, BigInt(value | 0)) : BigInt(value), little)
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** One change; `other` is another input of the same kind, to take from. */
export function changeBytes(bytes: Uint8Array, random: Random, other: Uint8Array): [Uint8Array, string] {
  if (bytes.length === 0) return [other.slice(), 'other']
  const at = random.below(bytes.length)
  const length = Math.min(1 + random.below(random.once(4) ? bytes.length : 32), bytes.length - at)
  const changed = bytes.slice()
  switch (random.below(10)) {
    case 0:
      changed[at] = (bytes[at] as number) ^ (1 << random.below(8))
      return [changed, `flip ${at}`]
    case 1:
      changed[at] = random.below(256)
      return [changed, `byte ${at}`]
    case 2:
    case 3:
    case 4: {
      const size = random.pick([1, 2, 4, 8])
      const place = random.once(4) ? at : at - (at % size)
      const value = someNumber(random, word(bytes, place, true))
      putNumber(changed, place, size, value, !random.once(8))
      return [changed, `u${size * 8} ${place} = ${value}`]
    }
    case 5:
      return [bytes.slice(0, at), `cut at ${at}`]
    case 6:
      return [joined(bytes.subarray(0, at), bytes.subarray(at + length)), `drop ${at}+${length}`]
    case 7: {
      const times = random.once(8) ? 1 + random.below(64) : 1
      const copies = Array.from({ length: times }, () => bytes.subarray(at, at + length))
      return [joined(bytes.subarray(0, at), ...copies, bytes.subarray(at)), `repeat ${at}+${length} ×${times}`]
    }
    case 8: {
      const from = random.below(bytes.length)
      changed.copyWithin(at, from, from + length)
      return [changed, `copy ${from}+${length} to ${at}`]
    }
    default: {
      const from = random.below(Math.max(other.length, 1))
      const piece = other.subarray(from, from + length)
      if (random.once(2)) return [joined(bytes.subarray(0, at), other.subarray(from)), `splice ${at} with ${from}`]
      changed.set(piece.subarray(0, bytes.length - at), at)
      return [changed, `take ${from}+${piece.length} to ${at}`]
    }
  }
}
