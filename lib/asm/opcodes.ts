/**
 * The instruction set: Documentation/bpf/standardization/instruction-set.rst and include/uapi/linux/bpf.h, and how
 * kernel/bpf/disasm.c and LLVM's BPF target write it.
 */

// The class: bits 0 to 2 of an opcode.
export const LD = 0x00
export const LDX = 0x01
export const ST = 0x02
export const STX = 0x03
export const ALU = 0x04
export const JMP = 0x05
export const JMP32 = 0x06
export const ALU64 = 0x07

// The mode of a load or store: bits 5 to 7.
export const IMM = 0x00
export const ABS = 0x20
export const IND = 0x40
export const MEM = 0x60
export const MEMSX = 0x80
export const ATOMIC = 0xc0

// The size: bits 3 and 4.
export const W = 0x00
export const H = 0x08
export const B = 0x10
export const DW = 0x18

/** The second operand is a register, not the immediate: bit 3 of arithmetic and jumps. */
export const X = 0x08

// Operations of arithmetic: bits 4 to 7.
export const ADD = 0x00
export const DIV = 0x30
export const OR = 0x40
export const AND = 0x50
export const NEG = 0x80
export const MOD = 0x90
export const XOR = 0xa0
export const MOV = 0xb0
export const END = 0xd0

// Operations of jumps.
export const JA = 0x00
export const JSET = 0x40
export const CALL = 0x80
export const EXIT = 0x90
export const JCOND = 0xe0

// The immediate of an atomic operation: beside these ADD, OR, AND, XOR, alone or with FETCH.
export const FETCH = 0x01
export const XCHG = 0xe0 | FETCH
export const CMPXCHG = 0xf0 | FETCH
export const LOAD_ACQ = 0x100
export const STORE_REL = 0x110

/** `r1 = value ll`, the one instruction that takes two slots. */
export const LOAD_IMM64 = LD | IMM | DW

/** The offset of a move that is a cast between address spaces (BPF_ADDR_SPACE_CAST). */
export const ADDR_SPACE_CAST = 1

/** The offset of a division or modulo that is signed. */
export const SIGNED = 1

/** An operator of arithmetic, by its operation. */
export const ALU_TEXT: readonly (string | undefined)[] = [
  ...['+=', '-=', '*=', '/=', '|=', '&=', '<<=', '>>='],
  ...[undefined, '%=', '^=', '=', 's>>='],
]

/** A comparison, by its operation. */
export const JUMP_TEXT: readonly (string | undefined)[] = [
  ...[undefined, '==', '>', '>=', '&', '!=', 's>', 's>='],
  ...[undefined, undefined, '<', '<=', 's<', 's<='],
]

/** The sizes as types, by bits 3 and 4. */
export const TYPE_TEXT = ['u32', 'u16', 'u8', 'u64'] as const

/** What an atomic operation without a result is called, by its bits 4 to 7. */
export const ATOMIC_TEXT: Readonly<Record<number, string>> = { [ADD]: 'add', [OR]: 'or', [AND]: 'and', [XOR]: 'xor' }

/** A type of memory: its size, and whether a load extends its sign. */
export interface MemoryType {
  readonly size: number
  readonly signed: boolean
}

export const TYPES: ReadonlyMap<string, MemoryType> = new Map(
  TYPE_TEXT.flatMap((name, at): [string, MemoryType][] => [
    [name, { size: at << 3, signed: false }],
    [name.replace('u', 's'), { size: at << 3, signed: true }],
  ]),
)

/** Bytes of a size. */
export function bytesOf(size: number): 1 | 2 | 4 | 8 {
  return size === B ? 1 : size === H ? 2 : size === W ? 4 : 8
}
