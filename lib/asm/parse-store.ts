import { bounded, constant, extended32 } from './constant'
import { ADD, AND, ATOMIC, bytesOf, DW, MEM, type MemoryType, OR, ST, STORE_REL, STX, TYPES, W, XOR } from './opcodes'
import type { Parser } from './parser'
import { HALF, type Scanner } from './scanner'

/** A place in memory: a register and an offset in bytes. */
export interface Memory {
  readonly base: number
  readonly off: number
}

/** `(u32 *)` */
export function parseType(parser: Scanner): MemoryType {
  parser.expect('(')
  const start = parser.position
  const type = TYPES.get(parser.word())
  if (type === undefined) {
    parser.position = start
    parser.expected('a type of memory (u8, u16, u32, u64, and s8, s16, s32 in loads)')
  }
  parser.expect('*')
  parser.expect(')')
  return type
}

/** `(r10 - 4)` */
export function parseMemory(parser: Scanner): Memory {
  parser.expect('(')
  const memory = parseAddress(parser)
  parser.expect(')')
  return memory
}

/** `r10 - 4`: the offset may be missing, and its sign where it is interpolated. */
export function parseAddress(parser: Scanner): Memory {
  const base = parser.wholeRegister()
  const at = parser.position
  const signed = parser.next === PLUS || parser.next === MINUS || parser.source.isHole(at)
  return { base, off: signed ? bounded(parser, at, constant(parser), -0x8000, 0x7fff, 'an offset of 16 bits') : 0 }
}

const [PLUS, MINUS] = [43, 45]

/** `*(u32 *)(r10 - 4) = r0`, from the star on. */
export function parseStore(parser: Parser): undefined {
  parser.expect('*')
  const at = parser.position
  const { size, signed } = parseType(parser)
  if (signed) parser.fail('a store has no sign: u8, u16, u32 or u64', at)
  const { base, off } = parseMemory(parser)
  parser.expect('=')
  const valueAt = parser.position
  const src = parser.register()
  if (src >= 0) return parser.emit(STX | MEM | size, base, stored(parser, valueAt, src, size), off, 0)
  const value = constant(parser, bytesOf(size))
  parser.emit(ST | MEM | size, base, 0, off, storedConstant(parser, valueAt, value, size))
}

/** What is stored of wN is its register's lower half, which 64 bits do not fit. */
function stored(parser: Parser, at: number, register: number, size: number): number {
  if (register >= HALF && size === DW) parser.fail(`w${register - HALF} has 32 bits, and 64 are stored`, at)
  return register & (HALF - 1)
}

function storedConstant(parser: Parser, at: number, value: number | bigint, size: number): number {
  if (size === DW) return extended32(parser, at, value, 'load it into a register with ll, and store that')
  const [low, high] = storeBounds(size)
  return bounded(parser, at, value, low, high, `${bytesOf(size) * 8} bits`) | 0
}

/** What an immediate may be that is stored in less than 64 bits: signed or not. */
export function storeBounds(size: number): [number, number] {
  const bits = bytesOf(size) * 8
  return [-(2 ** (bits - 1)), 2 ** bits - 1]
}

const LOCKED: ReadonlyMap<string, number> = new Map([
  ['+=', ADD],
  ['|=', OR],
  ['&=', AND],
  ['^=', XOR],
])

/** `lock *(u64 *)(r1 + 0) += r2` */
export function parseLock(parser: Parser): undefined {
  parser.expect('*')
  const at = parser.position
  const size = atomicSize(parser, at, parseType(parser))
  const { base, off } = parseMemory(parser)
  for (const [text, operation] of LOCKED) {
    if (!parser.take(text)) continue
    return parser.emit(STX | ATOMIC | size, base, atomicRegister(parser, size), off, operation)
  }
  parser.expected('an atomic operation (+=, |=, &= or ^=)')
}

/** Atomic operations know words and double words. */
export function atomicSize(parser: Scanner, at: number, { size, signed }: MemoryType): number {
  if (signed || (size !== W && size !== DW)) parser.fail('atomic operations are done on u32 and u64 alone', at)
  return size
}

/** The register of an atomic operation, which may be called wN where 32 bits are worked on. */
export function atomicRegister(parser: Parser, size: number): number {
  const at = parser.position
  const register = parser.register()
  if (register < 0) parser.expected('a register')
  return stored(parser, at, register, size)
}

/** `store_release((u64 *)(r1 + 0), r2)`. Linux 6.15 */
export function parseStoreRelease(parser: Parser): undefined {
  parser.expect('(')
  const at = parser.position
  const { size, signed } = parseType(parser)
  if (signed) parser.fail('a store has no sign: u8, u16, u32 or u64', at)
  const { base, off } = parseMemory(parser)
  parser.expect(',')
  const src = atomicRegister(parser, size)
  parser.expect(')')
  parser.emit(STX | ATOMIC | size, base, src, off, STORE_REL)
}
