import { LITTLE, readInsn, SLOT_BYTES, writeInsn } from '../asm/decode'
import { ALU, ALU64, B, bytesOf, CALL, DW, H, JMP, LD, LDX, LOAD_IMM64, ST, STX, W, X } from '../asm/opcodes'
import { Refusal } from './error'
import type { Answer } from './value'

/** "bad relo": no helper has this number. What libbpf puts there, too, so that people find it by its number. */
export const POISON = 0xbad2310

const CLASS = 0x07
const MODE = 0xe0
const SIZE = 0x18

const SIZES: Readonly<Record<number, number>> = { 1: B, 2: H, 4: W, 8: DW }

/** Makes an instruction one that the verifier refuses if it is ever reached. */
export function poison(view: DataView, slot: number): void {
  const at = slot * SLOT_BYTES
  const slots = view.getUint8(at) === LOAD_IMM64 ? 2 : 1
  if (at + slots * SLOT_BYTES > view.byteLength) throw cutOff()
  for (let i = 0; i < slots; i++) {
    writeInsn(view, at + i * SLOT_BYTES, { code: JMP | CALL, dst: 0, src: 0, off: 0, imm: POISON })
  }
}

/**
 * Puts what the target answers where the program's own answer is (bpf_core_patch_insn of libbpf): into an immediate, or
 * into the offset of a load or store. Returns why that would load something else; undefined where it is done.
 */
export function patch(view: DataView, slot: number, own: Answer, target: Answer): string | undefined {
  const at = slot * SLOT_BYTES
  const { code } = readInsn(view, at)
  switch (code & CLASS) {
    case ALU:
    case ALU64:
      patchArithmetic(view, at, own, target)
      return undefined
    case LDX:
    case ST:
    case STX:
      return patchMemory(view, at, own, target)
    case LD:
      patchConstant(view, at, own, target)
      return undefined
    default:
      throw new Refusal(`its instruction (opcode 0x${hex(code)}) is no arithmetic, load, store or constant`)
  }
}

function patchArithmetic(view: DataView, at: number, own: Answer, target: Answer): void {
  const insn = readInsn(view, at)
  if ((insn.code & X) !== 0) throw new Refusal(`its instruction (opcode 0x${hex(insn.code)}) has no immediate`)
  check('immediate', BigInt(insn.imm), own)
  // 64-bit arithmetic extends the sign of an immediate.
  const bits = (insn.code & CLASS) === ALU64 ? 31 : 32
  if (target.value >> BigInt(bits) !== 0n) {
    throw new Refusal(`${target.value} is too large for the immediate of its instruction`)
  }
  writeInsn(view, at, { ...insn, imm: Number(BigInt.asIntN(32, target.value)) })
}

function patchMemory(view: DataView, at: number, own: Answer, target: Answer): string | undefined {
  const insn = readInsn(view, at)
  check('offset', BigInt(insn.off), own)
  if (target.value > 0x7fffn) {
    throw new Refusal(`the offset is ${target.value} now, and that of a load or store is at most 32767`)
  }
  const misfit = widthMisfit(own, target)
  if (misfit !== undefined) return misfit
  let { code } = insn
  const [before, after] = [own.loaded?.size ?? 0, target.loaded?.size ?? 0]
  if (before !== after) {
    const width = bytesOf(code & SIZE)
    if (width !== before)
      throw new Refusal(`its instruction has ${width} bytes in hand, and the program's field ${before}`)
    const size = SIZES[after]
    if (size === undefined) throw new Refusal(`the field has ${after} bytes now, which no load or store has`)
    code = (code & (MODE | CLASS)) | size
  }
  writeInsn(view, at, { ...insn, code, off: Number(target.value) })
  return undefined
}

/** What has another size is the same value only where it is extended by zeros. */
function widthMisfit({ loaded: own }: Answer, { loaded: target }: Answer): string | undefined {
  if (own?.size === target?.size) return undefined
  if (own?.stretches !== undefined && own.stretches === target?.stretches) return undefined
  const said = (size: number | undefined) => (size === undefined ? 'a bit field' : `${size} bytes`)
  const [is, was] = [said(target?.size), said(own?.size)]
  return `it is ${is} and the program has ${was}: only pointers and integers without a sign may change in a load or store`
}

function patchConstant(view: DataView, at: number, own: Answer, target: Answer): void {
  const insn = readInsn(view, at)
  if (at + 2 * SLOT_BYTES > view.byteLength) throw cutOff()
  const second = at + SLOT_BYTES
  if (insn.code !== LOAD_IMM64 || insn.src !== 0 || insn.off !== 0 || view.getUint32(second, LITTLE) !== 0) {
    throw new Refusal('its instruction is no plain constant of 64 bits')
  }
  const imm = (BigInt(view.getUint32(second + 4, LITTLE)) << 32n) | BigInt(view.getUint32(at + 4, LITTLE))
  // The BTF of clang before 15, and of Linux before 6.0, does not tell negative values from large ones: the constant does.
  const negative = own.signUnknown && imm === extended(own.value)
  if (!negative) check('constant', imm, own)
  const isNegative = target.signUnknown && (negative || own.value >> 63n === 1n)
  const value = isNegative ? extended(target.value) : target.value
  view.setUint32(at + 4, Number(value & 0xffff_ffffn), LITTLE)
  view.setUint32(second + 4, Number(value >> 32n), LITTLE)
}

/** 32 bits with a sign as 64 bits. */
function extended(value: bigint): bigint {
  return BigInt.asUintN(64, BigInt.asIntN(32, value))
}

/** An instruction that does not have what the compiler put there is not the one that is meant. */
function check(what: string, has: bigint, { value, certain }: Answer): void {
  if (!certain || BigInt.asUintN(64, has) === value) return
  throw new Refusal(`the ${what} of its instruction is ${has}, and the program's own types make it ${value}`)
}

function cutOff(): Refusal {
  return new Refusal('its instruction is a constant of 64 bits whose second half is not there')
}

function hex(code: number): string {
  return code.toString(16).padStart(2, '0')
}
