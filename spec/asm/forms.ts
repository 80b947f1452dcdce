/**
 * Every form of instruction there is, with random operands, as struct bpf_insn says it: codes are written out by hand
 * from instruction-set.rst, so that the assembler's own tables are not asked.
 */
import fc from 'fast-check'
import { insn } from '../support/programs'

export interface Form {
  readonly name: string
  /** One instruction: 8 bytes, or 16. */
  readonly bytes: fc.Arbitrary<number[]>
  /** The first LLVM whose assembler takes the text that this is printed as; none does where there is none. */
  readonly llvm?: number
}

const register = fc.integer({ min: 0, max: 10 })
const s16 = fc.oneof(fc.integer({ min: -0x8000, max: 0x7fff }), fc.constantFrom(0, 1, -1, -0x8000, 0x7fff))
const edges = [0, 1, -1, 255, -128, 0x7fffffff, -0x80000000]
const s32 = fc.oneof(fc.integer({ min: -0x80000000, max: 0x7fffffff }), fc.constantFrom(...edges))
const zero = fc.constant(0)

type Numbers = fc.Arbitrary<number>

function make(code: Numbers, dst: Numbers, src: Numbers, off: Numbers, imm: Numbers): fc.Arbitrary<number[]> {
  return fc.tuple(code, dst, src, off, imm).map((fields) => insn(...fields))
}

const codes = (...all: number[]): Numbers => fc.constantFrom(...all)

/** Arithmetic: add, sub, mul, div, or, and, lsh, rsh, mod, xor, mov, arsh. */
const OPERATIONS = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0]
const BOTH = [0x07, 0x04]
const COMPARISONS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0]
/** u32, u16, u8, u64 */
const SIZES = [0x00, 0x08, 0x10, 0x18]

const each = (bases: readonly number[], more: readonly number[], bit = 0): number[] =>
  bases.flatMap((base) => more.map((other) => base | other | bit))

function wide(src: number, next: Numbers, imm: Numbers = s32): fc.Arbitrary<number[]> {
  return fc
    .tuple(register, imm, next)
    .map(([dst, low, high]) => [...insn(0x18, dst, src, 0, low), ...insn(0, 0, 0, 0, high)])
}

const atomic = (sizes: readonly number[], ...operations: number[]): fc.Arbitrary<number[]> =>
  make(codes(...each([0xc3], sizes)), register, register, s16, codes(...operations))

export const FORMS: readonly Form[] = [
  {
    name: 'arithmetic with a register',
    bytes: make(codes(...each(OPERATIONS, BOTH, 8)), register, register, zero, zero),
    llvm: 14,
  },
  {
    name: 'arithmetic with an immediate',
    bytes: make(codes(...each(OPERATIONS, BOTH)), register, zero, zero, s32),
    llvm: 14,
  },
  {
    name: 'signed division by a register',
    bytes: make(codes(...each([0x30, 0x90], BOTH, 8)), register, register, codes(1), zero),
    llvm: 18,
  },
  {
    name: 'signed division by an immediate',
    bytes: make(codes(...each([0x30, 0x90], BOTH)), register, zero, codes(1), s32),
    llvm: 18,
  },
  { name: 'negation', bytes: make(codes(0x87, 0x84), register, zero, zero, zero), llvm: 14 },
  {
    name: 'moves that extend a sign to 64 bits',
    bytes: make(codes(0xbf), register, register, codes(8, 16, 32), zero),
    llvm: 18,
  },
  {
    name: 'moves that extend a sign to 32 bits',
    bytes: make(codes(0xbc), register, register, codes(8, 16), zero),
    llvm: 18,
  },
  { name: 'casts between address spaces', bytes: make(codes(0xbf), register, register, codes(1), s32), llvm: 19 },
  { name: 'byte order', bytes: make(codes(0xd4, 0xdc), register, zero, zero, codes(16, 32, 64)), llvm: 14 },
  { name: 'byte swaps', bytes: make(codes(0xd7), register, zero, zero, codes(16, 32, 64)), llvm: 18 },
  { name: 'loads', bytes: make(codes(...each([0x61], SIZES)), register, register, s16, zero), llvm: 14 },
  { name: 'loads that extend a sign', bytes: make(codes(0x81, 0x89, 0x91), register, register, s16, zero), llvm: 18 },
  { name: 'stores of a register', bytes: make(codes(...each([0x63], SIZES)), register, register, s16, zero), llvm: 14 },
  {
    name: 'stores of 4 and 8 bytes of an immediate',
    bytes: make(codes(0x62, 0x7a), register, zero, s16, s32),
    llvm: 18,
  },
  {
    name: 'stores of 2 bytes of an immediate',
    bytes: make(codes(0x6a), register, zero, s16, fc.integer({ min: -0x8000, max: 0xffff })),
    llvm: 18,
  },
  {
    name: 'stores of a byte of an immediate',
    bytes: make(codes(0x72), register, zero, s16, fc.integer({ min: -128, max: 255 })),
    llvm: 18,
  },
  { name: 'atomic operations without a result', bytes: atomic([0x00, 0x18], 0x00, 0x40, 0x50, 0xa0), llvm: 14 },
  { name: 'atomic operations with the old value', bytes: atomic([0x00, 0x18], 0x01, 0x41, 0x51, 0xa1), llvm: 14 },
  { name: 'atomic exchanges', bytes: atomic([0x00, 0x18], 0xe1, 0xf1), llvm: 14 },
  { name: 'load-acquire and store-release', bytes: atomic(SIZES, 0x100, 0x110) },
  {
    name: 'comparisons of registers',
    bytes: make(codes(...each(COMPARISONS, [0x05, 0x06], 8)), register, register, s16, zero),
    llvm: 18,
  },
  {
    name: 'comparisons with an immediate',
    bytes: make(codes(...each(COMPARISONS, [0x05, 0x06])), register, zero, s16, s32),
    llvm: 18,
  },
  { name: 'goto', bytes: make(codes(0x05), zero, zero, s16, zero), llvm: 14 },
  // LLVM takes 32 bits for a label alone.
  { name: 'gotol', bytes: make(codes(0x06), zero, zero, zero, s16), llvm: 18 },
  { name: 'gotol, far', bytes: make(codes(0x06), zero, zero, zero, s32) },
  { name: 'may_goto', bytes: make(codes(0xe5), zero, zero, s16, zero), llvm: 19 },
  { name: 'gotox', bytes: make(codes(0x0d), register, zero, zero, zero) },
  { name: 'calls of helpers', bytes: make(codes(0x85), zero, zero, zero, fc.integer({ min: 0, max: 300 })), llvm: 14 },
  {
    name: 'calls of what no helper is',
    bytes: make(codes(0x85), zero, zero, zero, fc.integer({ min: -0x80000000, max: -1 })),
  },
  { name: 'calls of functions', bytes: make(codes(0x85), zero, codes(1), zero, s32) },
  { name: 'calls of kernel functions', bytes: make(codes(0x85), zero, codes(2), fc.oneof(zero, s16), s32) },
  { name: 'callx', bytes: make(codes(0x8d), register, zero, zero, zero), llvm: 19 },
  { name: 'exit', bytes: make(codes(0x95), zero, zero, zero, zero), llvm: 14 },
  { name: 'constants of 64 bits', bytes: wide(0, s32), llvm: 14 },
  { name: 'maps', bytes: wide(1, zero) },
  { name: 'map values', bytes: wide(2, s32) },
  { name: 'kernel variables', bytes: wide(3, fc.oneof(zero, s32)) },
  { name: 'addresses of functions', bytes: wide(4, zero) },
  { name: 'maps by place', bytes: wide(5, zero) },
  { name: 'map values by place', bytes: wide(6, s32) },
  { name: 'packet loads', bytes: make(codes(0x20, 0x28, 0x30), zero, zero, zero, s32), llvm: 14 },
  { name: 'packet loads with a register', bytes: make(codes(0x40, 0x48, 0x50), zero, register, zero, s32) },
]

/** Instructions of all forms, or of those that the filter leaves. */
export function programs(wanted: (form: Form) => boolean = () => true, maxLength = 30): fc.Arbitrary<Uint8Array> {
  const one = fc.oneof(...FORMS.filter(wanted).map(({ bytes }) => bytes))
  return fc.array(one, { maxLength }).map((all) => Uint8Array.from(all.flat()))
}

/** Jumps and calls that lead to an instruction of the program itself, near one another, so that labels are needed. */
export const knotted: fc.Arbitrary<Uint8Array> = fc
  .array(fc.nat(11), { minLength: 1, maxLength: 24 })
  .chain((kinds) => {
    const length = kinds.reduce((sum, kind) => sum + (kind === 9 || kind === 10 ? 2 : 1), 0)
    return fc.array(fc.nat(length - 1), { minLength: kinds.length, maxLength: kinds.length }).map((targets) => {
      let slot = 0
      const all = kinds.map((kind, i) => {
        const to = (targets[i] as number) - slot - 1
        slot += kind === 9 || kind === 10 ? 2 : 1
        if (kind === 0) return insn(0x05, 0, 0, to, 0)
        if (kind === 1) return insn(0x06, 0, 0, 0, to)
        if (kind === 2) return insn(0x15, 1, 0, to, -5)
        if (kind === 3) return insn(0x66, 1, 0, to, -5)
        if (kind === 4) return insn(0x2d, 1, 2, to, 0)
        if (kind === 5) return insn(0xe5, 0, 0, to, 0)
        if (kind === 6) return insn(0x85, 0, 1, 0, to)
        if (kind === 9) return [...insn(0x18, 2, 4, 0, to), ...insn(0, 0, 0, 0, 0)]
        if (kind === 10) return [...insn(0x18, 2, 0, 0, to), ...insn(0, 0, 0, 0, 7)]
        return insn(0x95, 0, 0, 0, 0)
      })
      return Uint8Array.from(all.flat())
    })
  })
