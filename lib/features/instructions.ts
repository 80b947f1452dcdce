import { LE } from '../../syscalls/attr-common'

/** One struct bpf_insn. */
export interface Instruction {
  readonly code: number
  readonly dst?: number
  readonly src?: number
  readonly off?: number
  readonly imm?: number
}

/** The instructions as the kernel reads them, 8 bytes each. */
export function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [i, { code, dst = 0, src = 0, off = 0, imm = 0 }] of program.entries()) {
    view.setUint8(i * 8, code)
    // Two bit fields of 4 in one byte: dst_reg is the low half where the byte order is little-endian.
    view.setUint8(i * 8 + 1, LE ? (src << 4) | dst : (dst << 4) | src)
    view.setInt16(i * 8 + 2, off, LE)
    view.setInt32(i * 8 + 4, imm, LE)
  }
  return bytes
}

// Opcodes: class | operation | source (Documentation/bpf/standardization/instruction-set.rst).
const ALU64 = 0x07
const JMP32 = 0x06
const ALU = 0x04
const REGISTER = 0x08

/** r0 = value */
export const r0 = (value: number): Instruction => ({ code: 0xb7, dst: 0, imm: value })
/** exit */
export const exit: Instruction = { code: 0x95 }
/** call of a helper */
export const call = (helper: number): Instruction => ({ code: 0x85, imm: helper })
/** call of a kernel function, by its BTF id */
export const callKernel = (btfId: number): Instruction => ({ code: 0x85, src: 2, imm: btfId })

/** r1 = the address of the function that begins so many slots behind this instruction (BPF_PSEUDO_FUNC) */
export const addressOf = (slots: number): readonly Instruction[] => [
  { code: 0x18, dst: 1, src: 4, imm: slots + 1 },
  { code: 0 },
]

/** r0 = 0; exit */
export const trivial: readonly Instruction[] = [r0(0), exit]

/** Counts to ten and back: the jump goes backwards, and the verifier has to follow it. */
export const bounded: readonly Instruction[] = [
  r0(0),
  { code: ALU64 | 0x00, dst: 0, imm: 1 }, // r0 += 1
  { code: 0xa5, dst: 0, imm: 10, off: -2 }, // if r0 < 10 goto back
  r0(0),
  exit,
]

/** r0 = atomic_fetch_or((u64 *)(r10 - 8), r0), and nothing of it is returned */
export const atomic: readonly Instruction[] = [
  r0(0),
  { code: 0x7b, dst: 10, src: 0, off: -8 },
  { code: 0xdb, dst: 10, src: 0, off: -8, imm: 0x41 },
  ...[r0(0), exit],
]

/** A program of each instruction set, as compilers name them (-mcpu), with what is new in it. */
export const INSTRUCTION_SETS = {
  v1: trivial,
  // if r0 < 1 goto +0: comparisons the other way round
  v2: [r0(0), { code: 0xa5, dst: 0, imm: 1, off: 0 }, exit],
  // if w0 == 1 goto +0: 32-bit comparisons
  v3: [r0(0), { code: 0x10 | JMP32, dst: 0, imm: 1, off: 0 }, exit],
  v4: [
    r0(4),
    { code: 0xb0 | ALU64 | REGISTER, dst: 0, src: 0, off: 8 }, // r0 = (s8)r0
    { code: 0x30 | ALU64, dst: 0, imm: 2, off: 1 }, // r0 s/= 2
    { code: 0xd0 | ALU64, dst: 0, imm: 64 }, // r0 = bswap64 r0
    { code: 0xb0 | ALU, dst: 0, imm: 0 }, // w0 = 0
    { code: JMP32, imm: 0 }, // gotol +0
    exit,
  ],
} as const satisfies Record<string, readonly Instruction[]>
