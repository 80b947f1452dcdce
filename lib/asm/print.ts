import { BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL } from '../../syscalls/uapi-prog'
import { LITTLE, SLOT_BYTES, writeInsn } from './decode'
import { helperName } from './helpers'
import type { Insn } from './listing'
import { ALU, ALU64, CALL, EXIT, JA, JCOND, JMP, JMP32, JUMP_TEXT, LD, LDX, LOAD_IMM64, ST, STX, X } from './opcodes'
import { printArithmetic } from './print-arithmetic'
import { printLd, printLoad, printStore, printStoreRegister } from './print-memory'
import { aimsByImmediate } from './resolve'

export type Syntax = 'llvm' | 'kernel'

/** What is known of a program beside its instructions. */
export interface Names {
  label(slot: number): string | undefined
  /** Where the instruction of this index leads, if that is known by a name alone. */
  target?(index: number): string | undefined
  /** What the instruction takes from an object. */
  referent?(insn: Insn): string | undefined
  readonly xlated?: boolean
  readonly numbers?: boolean
}

/** How one instruction is to be printed. */
export interface Style {
  readonly kernel: boolean
  readonly names: Names
  /** Where it leads, in place of a distance. */
  readonly label: string | undefined
}

/** What is printed: text, or why the bytes are no instruction. */
export type Form = string | typeof UNKNOWN | typeof RESERVED

export const UNKNOWN = { reason: 'no instruction has this opcode' } as const
export const RESERVED = { reason: 'bits are set that this instruction does not use' } as const

/** The text, if all that the instruction does not use is 0. */
export function clean(text: string, ...unused: readonly number[]): Form {
  return unused.every((field) => field === 0) ? text : RESERVED
}

/** A number with its sign: +5. */
export const signed = (value: number): string => (value < 0 ? `${value}` : `+${value}`)

/** The slot that a jump, a call or a function's address leads to. */
export function targetOf(insn: Insn, slot: number, xlated = false): number | undefined {
  const { code, src, off, imm } = insn
  if (code === LOAD_IMM64) return insn.wide && src === BPF_PSEUDO_FUNC ? slot + imm + 1 : undefined
  const kind = code & 7
  if ((kind !== JMP && kind !== JMP32) || code === (JMP | EXIT) || code === (JMP | JA | X)) return undefined
  if ((code & 0xf0) === CALL && !(code === (JMP | CALL) && src === BPF_PSEUDO_CALL)) return undefined
  if (xlated && code === (JMP | CALL)) return slot + 1 + off
  return slot + 1 + (aimsByImmediate(code) ? imm : off)
}

export interface Line {
  readonly text: string
  readonly isLabel: boolean
}

export function printAll(insns: readonly Insn[], slots: readonly number[], names: Names, syntax: Syntax): Line[] {
  const lines: Line[] = []
  for (const [i, insn] of insns.entries()) {
    const slot = slots[i] as number
    const own = names.label(slot)
    if (own !== undefined) lines.push({ text: `${own}:`, isLabel: true })
    const target = targetOf(insn, slot, names.xlated)
    const label = names.target?.(i) ?? (target === undefined ? undefined : names.label(target))
    const form = print(insn, { kernel: syntax === 'kernel', names, label })
    const texts = typeof form === 'string' ? [form] : raw(insn, form.reason)
    for (const [n, text] of texts.entries()) {
      const opcode = n === 0 ? ` (${hex(insn.code, 2)})` : ' (00)'
      lines.push({ text: names.numbers === true ? `${slot + n}:${opcode} ${text}` : text, isLabel: false })
    }
  }
  const last = insns.length - 1
  const end = last < 0 ? 0 : (slots[last] as number) + (insns[last]?.wide ? 2 : 1)
  const behind = names.label(end)
  if (behind !== undefined) lines.push({ text: `${behind}:`, isLabel: true })
  return lines
}

const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0')

/** The slots as they are. */
function raw(insn: Insn, reason: string): string[] {
  const view = new DataView(new ArrayBuffer(2 * SLOT_BYTES))
  writeInsn(view, 0, insn)
  view.setInt32(SLOT_BYTES + 4, insn.next, LITTLE)
  const slots = insn.wide ? [0, SLOT_BYTES] : [0]
  return slots.map(
    (at) => `.8byte 0x${hex(view.getBigUint64(at, LITTLE), 16)} // ${at === 0 ? reason : 'its second slot'}`,
  )
}

/** The registers end at r10; the kernel has one more for itself. */
function print(insn: Insn, style: Style): Form {
  const last = style.names.xlated === true ? 11 : 10
  if (insn.dst > last || insn.src > last) return RESERVED
  switch (insn.code & 7) {
    case LD:
      return printLd(insn, style)
    case LDX:
      return printLoad(insn, style)
    case ST:
      return printStore(insn, style)
    case STX:
      return printStoreRegister(insn, style)
    case ALU:
    case ALU64:
      return printArithmetic(insn, style)
    default:
      return printJump(insn, style)
  }
}

function printJump(insn: Insn, style: Style): Form {
  const { code, dst, src, off, imm } = insn
  const to = (distance: number): string => style.label ?? (style.kernel ? `pc${signed(distance)}` : signed(distance))
  switch (code) {
    case JMP | JA:
      return clean(`goto ${to(off)}`, dst, src, imm)
    case JMP32 | JA:
      return clean(`gotol ${to(imm)}`, dst, src, off)
    case JMP | JA | X:
      return clean(`gotox r${dst}`, src, off, imm)
    case JMP | JCOND:
      return clean(`may_goto ${to(off)}`, dst, src, imm)
    case JMP | EXIT:
      return clean('exit', dst, src, off, imm)
    case JMP | CALL:
      return printCall(insn, style, to)
    case JMP | CALL | X:
      return clean(`callx r${dst}`, src, off, imm)
  }
  const comparison = JUMP_TEXT[code >> 4]
  if (comparison === undefined) return UNKNOWN
  const register = (code & 7) === JMP32 ? 'w' : 'r'
  const head = `if ${register}${dst} ${comparison}`
  if ((code & X) !== 0) return clean(`${head} ${register}${src} goto ${to(off)}`, imm)
  // Behind a label the assembler would not see the kernel's hand, and refuse 32 bits without a sign.
  const kernels = style.kernel && (style.label === undefined || style.names.numbers === true || register === 'w')
  return clean(`${head} ${kernels ? `0x${(imm >>> 0).toString(16)}` : imm} goto ${to(off)}`, src)
}

function printCall(insn: Insn, style: Style, to: (distance: number) => string): Form {
  const { dst, src, off, imm } = insn
  // The kernel moves the distance, and has the number of the function in its place (jit_subprogs in verifier.c).
  if (src === BPF_PSEUDO_CALL && style.names.xlated === true) return clean(`call ${to(off)}`, dst)
  if (src === BPF_PSEUDO_CALL) return clean(`call ${to(imm)}`, dst, off)
  if (src === BPF_PSEUDO_KFUNC_CALL) {
    const symbol = style.names.referent?.(insn)
    return clean(`call ${symbol ?? `kernel-function#${imm}${off === 0 ? '' : `@${off}`}`}`, dst)
  }
  const name = helperName(imm)
  if (style.kernel || imm < 0) return clean(`call ${name ?? 'unknown'}#${imm}`, dst, src, off)
  return clean(`call ${name ?? imm}`, dst, src, off)
}
