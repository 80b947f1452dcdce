import { ADD, AND, ATOMIC, ATOMIC_TEXT, CMPXCHG, DW, FETCH, OR, STX, W, XCHG, XOR } from './opcodes'
import { atomicRegister, atomicSize, parseAddress, parseMemory, parseType } from './parse-store'
import type { Parser } from './parser'
import { HALF } from './scanner'

/** Atomic operations that give the old value back, under LLVM's names and the kernel's. */
export interface Atomic {
  readonly operation: number
  /** Where the name tells it; the type of the memory does else. */
  readonly size: number | undefined
  /** LLVM writes the place of an exchange without type and parentheses. */
  readonly bare: boolean
}

const ATOMICS: ReadonlyMap<string, Atomic> = new Map([
  ...[ADD, OR, AND, XOR].flatMap((operation) => both(`fetch_${ATOMIC_TEXT[operation]}`, operation | FETCH)),
  ...both('xchg', XCHG),
  ...both('cmpxchg', CMPXCHG),
  ['xchg_64', { operation: XCHG, size: DW, bare: true }],
  ['xchg32_32', { operation: XCHG, size: W, bare: true }],
  ['cmpxchg_64', { operation: CMPXCHG, size: DW, bare: true }],
  ['cmpxchg32_32', { operation: CMPXCHG, size: W, bare: true }],
])

function both(name: string, operation: number): [string, Atomic][] {
  return [
    [`atomic_${name}`, { operation, size: undefined, bare: false }],
    [`atomic64_${name}`, { operation, size: DW, bare: false }],
  ]
}

export function atomicOf(word: string): Atomic | undefined {
  return ATOMICS.get(word)
}

/** `r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)`, `r0 = cmpxchg_64(r1 + 0, r0, r2)`, behind the name. */
export function parseAtomic(parser: Parser, dst: number, { operation, size: told, bare }: Atomic): undefined {
  parser.expect('(')
  const typeAt = parser.position
  const size = bare ? (told as number) : atomicSize(parser, typeAt, parseType(parser))
  if (told !== undefined && size !== told) parser.fail('this operation is done on u64', typeAt)
  const { base, off } = bare ? parseAddress(parser) : parseMemory(parser)
  if (operation === CMPXCHG) {
    parser.expect(',')
    expectRegister(parser, size, 0, 'what is compared with is')
  }
  parser.expect(',')
  const sourceAt = parser.position
  const src = atomicRegister(parser, size)
  parser.expect(')')
  const result = operation === CMPXCHG ? 0 : src
  if ((dst & 15) !== result || (dst >= HALF && size === DW)) {
    const where = operation === CMPXCHG ? 'in r0' : 'in the register that was given'
    const at = operation === CMPXCHG || dst >= HALF ? parser.start : sourceAt
    parser.fail(`the old value comes back ${where}: this is r${result} on both sides`, at)
  }
  parser.emit(STX | ATOMIC | size, base, src, off, operation)
}

function expectRegister(parser: Parser, size: number, wanted: number, what: string): undefined {
  const at = parser.position
  if (atomicRegister(parser, size) !== wanted) parser.fail(`${what} always in r${wanted}`, at)
}
