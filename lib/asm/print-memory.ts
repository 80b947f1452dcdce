import {
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
} from '../../syscalls/uapi-prog'
import type { Insn } from './listing'
import {
  ABS,
  ALU_TEXT,
  ATOMIC,
  ATOMIC_TEXT,
  B,
  CMPXCHG,
  DW,
  FETCH,
  H,
  IMM,
  IND,
  LOAD_ACQ,
  MEM,
  MEMSX,
  STORE_REL,
  TYPE_TEXT,
  W,
  XCHG,
} from './opcodes'
import { storeBounds } from './parse-store'
import { clean, type Form, RESERVED, type Style, signed, UNKNOWN } from './print'

/** A store that only the kernel writes: a barrier against speculation. */
const NO_SPECULATION = 0xc2

const typeOf = (code: number): string => TYPE_TEXT[(code & DW) >> 3] as string

/** `r10 - 4`, and as the kernel writes it `r10 -4`. */
function address(base: number, off: number, style: Style): string {
  if (style.kernel) return `r${base} ${signed(off)}`
  return `r${base} ${off < 0 ? '-' : '+'} ${Math.abs(off)}`
}

function place(code: number, base: number, off: number, style: Style): string {
  return `*(${typeOf(code)} *)(${address(base, off, style)})`
}

export function printLoad({ code, dst, src, off, imm }: Insn, style: Style): Form {
  const text = `r${dst} = ${place(code, src, off, style)}`
  const mode = code & 0xe0
  if (mode === MEM) return clean(text, imm)
  if (mode === MEMSX && (code & DW) !== DW) return clean(text.replace('*(u', '*(s'), imm)
  return UNKNOWN
}

export function printStore({ code, dst, src, off, imm }: Insn, style: Style): Form {
  if (code === NO_SPECULATION && style.names.xlated === true) return clean('nospec', dst, src, off, imm)
  if ((code & 0xe0) !== MEM) return UNKNOWN
  const size = code & DW
  const [low, high] = storeBounds(size)
  // The kernel takes the lower bits of any number.
  if ((size === B || size === H) && (imm < low || imm > high)) return RESERVED
  return clean(`${place(code, dst, off, style)} = ${imm}`, src)
}

export function printStoreRegister(insn: Insn, style: Style): Form {
  const { code, dst, src, off, imm } = insn
  const mode = code & 0xe0
  if (mode === MEM) return clean(`${place(code, dst, off, style)} = r${src}`, imm)
  if (mode !== ATOMIC) return UNKNOWN
  const typed = (base: number) => `(${typeOf(code)} *)(${address(base, off, style)})`
  if (imm === LOAD_ACQ) return `r${dst} = load_acquire(${typed(src)})`
  if (imm === STORE_REL) return `store_release(${typed(dst)}, r${src})`
  const size = code & DW
  if (size !== W && size !== DW) return UNKNOWN
  return style.kernel ? printKernelAtomic(insn, typed(dst), size) : printAtomic(insn, typed(dst), size, style)
}

/** As LLVM writes it: 32 bits are worked on in the lower halves. */
function printAtomic({ dst, src, off, imm }: Insn, typed: string, size: number, style: Style): Form {
  const r = size === DW ? 'r' : 'w'
  const suffix = size === DW ? '_64' : '32_32'
  if (imm === XCHG) return `${r}${src} = xchg${suffix}(${address(dst, off, style)}, ${r}${src})`
  if (imm === CMPXCHG) return `${r}0 = cmpxchg${suffix}(${address(dst, off, style)}, ${r}0, ${r}${src})`
  const name = ATOMIC_TEXT[imm & ~FETCH]
  if (name === undefined) return RESERVED
  if ((imm & FETCH) !== 0) return `${r}${src} = atomic_fetch_${name}(${typed}, ${r}${src})`
  return `lock *${typed} ${ALU_TEXT[imm >> 4]} ${r}${src}`
}

function printKernelAtomic({ src, imm }: Insn, typed: string, size: number): Form {
  const atomic = size === DW ? 'atomic64' : 'atomic'
  if (imm === XCHG) return `r${src} = ${atomic}_xchg(${typed}, r${src})`
  if (imm === CMPXCHG) return `r0 = ${atomic}_cmpxchg(${typed}, r0, r${src})`
  const name = ATOMIC_TEXT[imm & ~FETCH]
  if (name === undefined) return RESERVED
  if ((imm & FETCH) !== 0) return `r${src} = ${atomic}_fetch_${name}(${typed}, r${src})`
  return `lock *${typed} ${ALU_TEXT[imm >> 4]} r${src}`
}

/** The class of the packet loads, and of constants of 64 bits. */
export function printLd(insn: Insn, style: Style): Form {
  const { code, dst, src, off, imm } = insn
  const mode = code & 0xe0
  const size = code & DW
  if (mode === IMM && size === DW) return insn.wide ? printWide(insn, style) : RESERVED
  if (size === DW) return UNKNOWN
  if (mode === ABS) return clean(`r0 = *(${typeOf(code)} *)skb[${imm}]`, dst, src, off)
  if (mode !== IND) return UNKNOWN
  const offset = style.kernel ? ` + ${imm}` : imm === 0 ? '' : ` ${imm < 0 ? '-' : '+'} ${Math.abs(imm)}`
  return clean(`r0 = *(${typeOf(code)} *)skb[r${src}${offset}]`, dst, off)
}

function printWide(insn: Insn, style: Style): Form {
  const { dst, src, off, imm, next } = insn
  const head = `r${dst} = `
  // With the opcode before it the kernel's own text is enough: it has no ll.
  const bare = style.kernel && style.names.numbers === true
  const referent = style.names.referent?.(insn)
  if (referent !== undefined) return `${head}${referent} ll`
  if (src === 0) {
    const value = (BigInt(next >>> 0) << 32n) | BigInt(imm >>> 0)
    return clean(`${head}0x${value.toString(16)}${bare ? '' : ' ll'}`, off)
  }
  const xlated = style.names.xlated === true
  if (src === BPF_PSEUDO_FUNC && style.label !== undefined) {
    return clean(`${head}${style.label} ll`, off, xlated ? 0 : next)
  }
  const object = printObject(insn, xlated)
  return object === undefined ? RESERVED : clean(`${head}${object}${bare ? '' : ' ll'}`, off)
}

/** What a constant of 64 bits stands for; undefined where its upper half has no meaning. */
function printObject({ src, imm, next }: Insn, xlated: boolean): string | undefined {
  const kind = xlated ? 'id' : 'fd'
  switch (src) {
    case BPF_PSEUDO_MAP_FD:
      return next === 0 ? `map[${kind}:${imm}]` : undefined
    case BPF_PSEUDO_MAP_VALUE:
      return `map[${kind}:${imm}][0]+${next >>> 0}`
    case BPF_PSEUDO_MAP_IDX:
      return next === 0 ? `map[idx:${imm}]` : undefined
    case BPF_PSEUDO_MAP_IDX_VALUE:
      return `map[idx:${imm}][0]+${next >>> 0}`
    case BPF_PSEUDO_BTF_ID:
      return `btf[id:${imm}${next === 0 ? '' : `,fd:${next}`}]`
    case BPF_PSEUDO_FUNC:
      // The kernel puts the number of the function into the upper half.
      return next === 0 || xlated ? `subprog[${signed(imm)}]` : undefined
    default:
      return undefined
  }
}
