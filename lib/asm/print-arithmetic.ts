import type { Insn } from './listing'
import { ADDR_SPACE_CAST, ALU_TEXT, ALU64, DIV, END, MOD, MOV, NEG, SIGNED, X } from './opcodes'
import { clean, type Form, RESERVED, type Style, UNKNOWN } from './print'

/** The offset of a move that only the kernel writes: the address of this CPU's part of a variable. */
const PER_CPU_ADDRESS = -1

export function printArithmetic(insn: Insn, style: Style): Form {
  const { code, dst, src, off, imm } = insn
  const operation = code & 0xf0
  const is64 = (code & 7) === ALU64
  const r = is64 ? 'r' : 'w'
  if (operation === END) return printSwap(insn, is64)
  if (operation === NEG) return (code & X) === 0 ? clean(`${r}${dst} = -${r}${dst}`, src, off, imm) : UNKNOWN
  const text = ALU_TEXT[operation >> 4]
  if (text === undefined) return UNKNOWN
  if (operation === MOV && (code & X) !== 0 && off !== 0) return printMove(insn, style, is64)
  const signs = (operation === DIV || operation === MOD) && off === SIGNED
  const operator = signs ? `s${text}` : text
  const reserved = signs ? 0 : off
  if ((code & X) !== 0) return clean(`${r}${dst} ${operator} ${r}${src}`, reserved, imm)
  return clean(`${r}${dst} ${operator} ${imm}`, reserved, src)
}

function printSwap({ code, dst, src, off, imm }: Insn, is64: boolean): Form {
  if (is64 && (code & X) !== 0) return UNKNOWN
  if (imm !== 16 && imm !== 32 && imm !== 64) return RESERVED
  const kind = is64 ? 'bswap' : (code & X) !== 0 ? 'be' : 'le'
  return clean(`r${dst} = ${kind}${imm} r${dst}`, src, off)
}

/** A move with an offset: it extends a sign, or casts between address spaces. */
function printMove({ dst, src, off, imm }: Insn, style: Style, is64: boolean): Form {
  const r = is64 ? 'r' : 'w'
  if (off === 8 || off === 16 || (off === 32 && is64)) return clean(`${r}${dst} = (s${off})${r}${src}`, imm)
  if (!is64) return RESERVED
  if (off === ADDR_SPACE_CAST) return `r${dst} = addr_space_cast(r${src}, ${imm >>> 16}, ${imm & 0xffff})`
  if (off === PER_CPU_ADDRESS && style.names.xlated === true) return clean(`r${dst} = &(void __percpu *)(r${src})`, imm)
  return RESERVED
}
