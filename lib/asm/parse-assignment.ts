import { bounded, constant, extended32, immediate32, isConstantNext, LOAD_FIRST } from './constant'
import {
  ABS,
  ADDR_SPACE_CAST,
  ALU,
  ALU_TEXT,
  ALU64,
  ATOMIC,
  DIV,
  DW,
  END,
  IND,
  LD,
  LDX,
  LOAD_ACQ,
  LOAD_IMM64,
  MEM,
  MEMSX,
  MOD,
  MOV,
  NEG,
  SIGNED,
  STX,
  X,
} from './opcodes'
import { atomicOf, parseAtomic } from './parse-atomic'
import { parseMemory, parseType } from './parse-store'
import { parseNamed, parseWide } from './parse-wide'
import type { Parser } from './parser'
import { ASSIGNING, HALF } from './scanner'

/** What an operator stands for. */
interface Operator {
  readonly operation: number
  readonly off: number
}

/** `r1 += r2` and the like. */
const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ...ALU_TEXT.flatMap((text, at): [string, Operator][] =>
    text === undefined || at << 4 === MOV ? [] : [[text, { operation: at << 4, off: 0 }]],
  ),
  ['s/=', { operation: DIV, off: SIGNED }],
  ['s%=', { operation: MOD, off: SIGNED }],
])

const [EQUALS, STAR, MINUS, PARENTHESIS] = [61, 42, 45, 40]

/** Whatever begins with a register. */
export function parseAssignment(parser: Parser, dst: number): undefined {
  if (parser.next === EQUALS && !parser.source.text.startsWith('==', parser.position)) {
    parser.take('=')
    return parseValue(parser, dst)
  }
  const text = parser.operator(ASSIGNING)
  const operator = OPERATORS.get(text)
  if (operator === undefined) return parser.expected(`an assignment (= ${[...OPERATORS.keys()].join(' ')})`)
  parser.take(text)
  parseOperand(parser, dst, operator.operation, operator.off)
}

/** The right side of `r1 += `: a register or an immediate. */
function parseOperand(parser: Parser, dst: number, operation: number, off: number): undefined {
  const at = parser.position
  const src = parser.register()
  if (src >= 0) return emitRegister(parser, at, dst, src, operation, off)
  const value = constant(parser)
  const imm = dst >= HALF ? immediate32(parser, at, value) : extended32(parser, at, value, LOAD_FIRST)
  parser.emit(classOf(dst) | operation, dst & 15, 0, off, imm)
}

const classOf = (register: number): number => (register >= HALF ? ALU : ALU64)

function emitRegister(parser: Parser, at: number, dst: number, src: number, operation: number, off: number): undefined {
  if (src >= HALF !== dst >= HALF) {
    parser.fail('32 bits (wN) and 64 bits (rN) in one instruction: both registers are r, or both are w', at)
  }
  parser.emit(classOf(dst) | operation | X, dst & 15, src & 15, off, 0)
}

/** The right side of `r1 = `. */
function parseValue(parser: Parser, dst: number): undefined {
  const next = parser.next
  if (next === STAR) return parseLoad(parser, dst)
  if (next === PARENTHESIS) return parseSignExtension(parser, dst)
  const at = parser.position
  if (next === MINUS && parseNegation(parser, dst)) return
  // Registers are most of what comes: asked for before any word.
  const src = parser.register()
  if (src >= 0) return emitRegister(parser, at, dst, src, MOV, 0)
  if (isConstantNext(parser)) return parseImmediate(parser, dst)
  if (parser.source.isHole(at) && typeof parser.source.valueAt(at) !== 'string')
    return parseWide(parser, whole(parser, dst))
  const word = parser.word()
  if (word === '') parser.expected('a register, a number, a load or a label')
  const swap = SWAP.exec(word)
  if (swap !== null) return parseSwap(parser, dst, swap[1] as string, Number(swap[2]))
  const atomic = atomicOf(word)
  if (atomic !== undefined) return parseAtomic(parser, dst, atomic)
  if (word === 'load_acquire') return parseLoadAcquire(parser, dst)
  if (word === 'addr_space_cast') return parseCast(parser, whole(parser, dst))
  parseNamed(parser, whole(parser, dst), word, at)
}

/** The register that 64 bits go to. */
function whole(parser: Parser, dst: number): number {
  if (dst >= HALF) parser.fail(`w${dst - HALF} has 32 bits: r${dst - HALF} takes this`, parser.start)
  return dst
}

/** `r1 = -r1`; false where a negative number stands. */
function parseNegation(parser: Parser, dst: number): boolean {
  const start = parser.position
  parser.take('-')
  const at = parser.position
  if (parser.register() < 0) {
    parser.position = start
    return false
  }
  parser.position = at
  sameRegister(parser, dst, 'is negated in place')
  parser.emit(classOf(dst) | NEG, dst & 15, 0, 0, 0)
  return true
}

function sameRegister(parser: Parser, dst: number, what: string): undefined {
  const at = parser.position
  const src = parser.register()
  const name = `${dst >= HALF ? 'w' : 'r'}${dst & 15}`
  if (src < 0) parser.expected(name)
  if (src !== dst) parser.fail(`a register ${what}: this must be ${name}`, at)
}

function parseImmediate(parser: Parser, dst: number): undefined {
  const at = parser.position
  const value = constant(parser, 8)
  // In a dump the opcode tells that there are 64 bits, and the kernel writes no ll.
  const isWide = parser.takeWord('ll') || parser.opcode === LOAD_IMM64
  if (isWide) return parseWide(parser, whole(parser, dst), { value, at })
  if (parser.source.text.charCodeAt(at) === QUOTE)
    parser.fail('a string constant in a register takes 64 bits: add ll', at)
  const half = dst >= HALF
  const imm = half
    ? immediate32(parser, at, value)
    : extended32(parser, at, value, 'write ll behind it for a constant of 64 bits')
  parser.emit(classOf(dst) | MOV, dst & 15, 0, 0, imm)
}

const QUOTE = 34
const SWAP = /^(be|le|bswap)(16|32|64)$/

/** `r1 = be16 r1` */
function parseSwap(parser: Parser, dst: number, kind: string, bits: number): undefined {
  sameRegister(parser, whole(parser, dst), 'is swapped in place')
  const code = kind === 'bswap' ? ALU64 | END : kind === 'be' ? ALU | END | X : ALU | END
  parser.emit(code, dst, 0, 0, bits)
}

/** `r1 = (s8)r2`, from the parenthesis on. */
function parseSignExtension(parser: Parser, dst: number): undefined {
  parser.take('(')
  const typeAt = parser.position
  const bits = /^s(8|16|32)$/.exec(parser.word())?.[1]
  if (bits === undefined) {
    parser.position = typeAt
    parser.expected('a signed type (s8, s16 or s32)')
  }
  if (bits === '32' && dst >= HALF) parser.fail('32 bits extended to 32 are what they were: r takes (s32)', typeAt)
  parser.expect(')')
  const at = parser.position
  const src = parser.register()
  if (src < 0) parser.expected('a register')
  emitRegister(parser, at, dst, src, MOV, Number(bits))
}

/** `r1 = *(u32 *)(r2 + 4)`, and `r0 = *(u16 *)skb[12]`, from the star on. */
function parseLoad(parser: Parser, dst: number): undefined {
  parser.take('*')
  const typeAt = parser.position
  const { size, signed } = parseType(parser)
  if (parser.takeWord('skb')) {
    if (signed || size === DW) parser.fail('packet loads are of u8, u16 or u32', typeAt)
    if ((dst & 15) !== 0) parser.fail('packet loads put their result into r0', parser.start)
    return parsePacketLoad(parser, size)
  }
  if (signed && size === DW) parser.fail('64 bits have no sign to extend: u64', typeAt)
  if (signed) whole(parser, dst)
  const register = loaded(parser, dst, size)
  const { base, off } = parseMemory(parser)
  parser.emit(LDX | (signed ? MEMSX : MEM) | size, register, base, off, 0)
}

/** Loads of up to 32 bits clear the upper half: wN and rN are the same there. */
function loaded(parser: Parser, dst: number, size: number): number {
  return size === DW ? whole(parser, dst) : dst & 15
}

/** The old packet access: `skb[12]`, `skb[r1 + 2]`, in network byte order. */
function parsePacketLoad(parser: Parser, size: number): undefined {
  parser.expect('[')
  const at = parser.position
  const src = parser.register()
  const signed = parser.next === 43 || parser.next === MINUS || parser.source.isHole(parser.position)
  const value = src < 0 || signed ? constant(parser) : 0
  const imm = bounded(parser, at, value, -(2 ** 31), 2 ** 31 - 1, 'an offset of 32 bits')
  parser.expect(']')
  if (src < 0) parser.emit(LD | ABS | size, 0, 0, 0, imm)
  else parser.emit(LD | IND | size, 0, src & 15, 0, imm)
}

/** `r0 = load_acquire((u64 *)(r1 + 0))`. Linux 6.15 */
function parseLoadAcquire(parser: Parser, dst: number): undefined {
  parser.expect('(')
  const at = parser.position
  const { size, signed } = parseType(parser)
  if (signed) parser.fail('load_acquire extends no sign: u8, u16, u32 or u64', at)
  const register = loaded(parser, dst, size)
  const { base, off } = parseMemory(parser)
  parser.expect(')')
  parser.emit(STX | ATOMIC | size, register, base, off, LOAD_ACQ)
}

/** `r1 = addr_space_cast(r2, 0, 1)`: to and from an arena. Linux 6.9 */
function parseCast(parser: Parser, dst: number): undefined {
  parser.expect('(')
  const src = parser.wholeRegister()
  const spaces = [0, 0].map(() => {
    parser.expect(',')
    return bounded(parser, parser.position, constant(parser), 0, 0xffff, 'an address space')
  })
  parser.expect(')')
  const [to, from] = spaces as [number, number]
  parser.emit(ALU64 | MOV | X, dst, src, ADDR_SPACE_CAST, (to << 16) | from)
}
