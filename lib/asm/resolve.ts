import { AssemblyError } from './error'
import type { Insn, Reference } from './listing'
import { CALL, JA, JMP, JMP32, LOAD_IMM64 } from './opcodes'

const CALL_INSN = JMP | CALL
const GOTOL = JMP32 | JA
const GOTO = JMP | JA

/** Whether the instruction says where it goes in its immediate: calls, gotol, and the address of a function. */
export function aimsByImmediate(code: number): boolean {
  return code === CALL_INSN || code === GOTOL || code === LOAD_IMM64
}

/** The instruction at `slot`, aimed at the slot of its target. */
export function aim(insn: Insn, slot: number, target: number, { source, position }: Reference): Insn {
  const distance = target - slot - 1
  if (aimsByImmediate(insn.code)) return insn.aimed(0, distance)
  if (distance < -0x8000 || distance > 0x7fff) {
    const remedy = insn.code === GOTO ? ': gotol goes farther' : ': jump to a gotol that goes on from near here'
    throw new AssemblyError(`${distance} instructions are too far for a jump of 16 bits${remedy}`, source, position)
  }
  return insn.aimed(distance, insn.imm)
}
