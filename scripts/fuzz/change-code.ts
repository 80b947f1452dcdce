/** Changes to BPF instructions: their opcodes, registers and numbers, and their order. */
import { changeBytes, joined, putNumber, someNumber } from './bytes'
import type { Random } from './random'

/** Calls, loads of 64-bit constants, and of everything else one. */
const OPCODES = [
  0x85, 0x18, 0xb7, 0x07, 0xbf, 0x61, 0x79, 0x63, 0x7b, 0x62, 0xdb, 0xc3, 0x05, 0x06, 0x15, 0x95, 0xdc, 0xe5,
]

const SLOT = 8

/** One change. */
export function changeCode(bytes: Uint8Array, random: Random, other: Uint8Array): [Uint8Array, string] {
  const slots = Math.floor(bytes.length / SLOT)
  if (slots === 0 || random.once(10)) return changeBytes(bytes, random, other)
  const slot = random.below(slots)
  const at = slot * SLOT
  const changed = bytes.slice()
  switch (random.below(7)) {
    case 0:
    case 1:
      changed[at] = random.once(3) ? random.below(256) : random.pick(OPCODES)
      return [changed, `slot ${slot} opcode ${changed[at]}`]
    case 2:
      changed[at + 1] = random.once(2) ? random.below(256) : (random.below(7) << 4) | ((bytes[at + 1] as number) & 15)
      return [changed, `slot ${slot} registers ${changed[at + 1]}`]
    case 3:
      putNumber(changed, at + 2, 2, someNumber(random) & 0xffff, true)
      return [changed, `slot ${slot} off`]
    case 4: {
      const value = random.once(2) ? someNumber(random) : random.below(slots + 2) - slot - 1
      putNumber(changed, at + 4, 4, value >>> 0, true)
      return [changed, `slot ${slot} imm ${value}`]
    }
    case 5: {
      const from = random.below(slots) * SLOT
      changed.copyWithin(at, from, from + SLOT * (1 + random.below(2)))
      return [changed, `slot ${from / SLOT} again at ${slot}`]
    }
    default:
      return random.once(2)
        ? [joined(bytes.subarray(0, at), bytes.subarray(at + SLOT)), `without slot ${slot}`]
        : [joined(bytes.subarray(0, at), bytes.subarray(at, at + SLOT), bytes.subarray(at)), `slot ${slot} twice`]
  }
}
