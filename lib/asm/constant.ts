import { LITTLE } from './decode'
import type { Scanner } from './scanner'

/** Numbers in text, and whether they fit where they stand. */

/** A whole number: a bigint where a number would not be exact. */
export type Constant = number | bigint

const NUMBER = /(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9]\d*|0)(?![\w.])/y
const CHARACTER = /'(\\x[0-9a-fA-F]{2}|\\.|[^'\\\n])'/y
const STRING = /"((?:\\x[0-9a-fA-F]{2}|\\.|[^"\\\n])*)"/y

/** A constant: terms with + and - between them. `bytes` is the room for a string constant: text of so many bytes. */
export function constant(scanner: Scanner, bytes = 0): Constant {
  let value = term(scanner, bytes)
  for (;;) {
    if (scanner.take('+')) value = add(value, term(scanner, 0))
    else if (scanner.take('-')) value = add(value, negative(term(scanner, 0)))
    else return value
  }
}

/** Whether a constant can begin here. */
export function isConstantNext(scanner: Scanner): boolean {
  const c = scanner.next
  const value = scanner.source.isHole(scanner.position) ? scanner.source.valueAt(scanner.position) : undefined
  if (typeof value === 'number' || typeof value === 'bigint') return true
  return (c >= 48 && c <= 57) || c === 45 || c === 43 || c === 126 || c === 39 || c === 34
}

const [MINUS, PLUS, TILDE] = [45, 43, 126]
/** In front of one number: nobody writes as many. */
const MOST_SIGNS = 64

function term(scanner: Scanner, bytes: number): Constant {
  let signs = ''
  for (let c = scanner.next; c === MINUS || c === PLUS || c === TILDE; c = scanner.next) {
    if (signs.length === MOST_SIGNS) scanner.fail(`a number has ${MOST_SIGNS} signs at most`)
    signs += advance(scanner, 1, String.fromCharCode(c))
  }
  let value = unsigned(scanner, signs === '' ? bytes : 0)
  for (let i = signs.length - 1; i >= 0; i--) {
    if (signs[i] !== '+') value = signs[i] === '-' ? negative(value) : add(negative(value), -1)
  }
  return value
}

function unsigned(scanner: Scanner, bytes: number): Constant {
  if (scanner.source.isHole(scanner.position)) return interpolated(scanner)
  const { text } = scanner.source
  const c = scanner.next
  if (c === 34) return stringConstant(scanner, bytes)
  if (c === 39) {
    CHARACTER.lastIndex = scanner.position
    const found = CHARACTER.exec(text)
    if (found === null) scanner.expected("a character between quotes ('a', '\\n')")
    checkQuoted(scanner, found[0])
    const codes = unescaped(scanner, found[1] as string)
    if (codes.length !== 1) scanner.fail('a character constant is one byte')
    return advance(scanner, found[0].length, codes[0] as number)
  }
  const short = shortNumber(text, scanner.position)
  if (short !== undefined) return advance(scanner, short.length, short.value)
  NUMBER.lastIndex = scanner.position
  const digits = NUMBER.exec(text)?.[0]
  if (digits === undefined) return scanner.expected('a number')
  // A leading 0 is octal, as in C and in LLVM.
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
  return advance(scanner, digits.length, exact(value))
}

/** Decimal numbers of up to nine digits: nearly all there are. */
function shortNumber(text: string, start: number): { value: number; length: number } | undefined {
  let value = 0
  let at = start
  for (; ; at++) {
    const code = text.charCodeAt(at)
    if (code < 48 || code > 57) {
      const isWord = code === 46 || code === 95 || ((code | 32) >= 97 && (code | 32) <= 122)
      if (isWord || at === start) return undefined
      break
    }
    value = value * 10 + code - 48
  }
  const length = at - start
  if (length > 9 || (length > 1 && text.charCodeAt(start) === 48)) return undefined
  return { value, length }
}

function advance<T>(scanner: Scanner, length: number, value: T): T {
  scanner.position += length
  scanner.blanks()
  return value
}

function interpolated(scanner: Scanner): Constant {
  const value = scanner.source.valueAt(scanner.position)
  if (typeof value === 'bigint') return advance(scanner, 1, exact(value))
  if (typeof value !== 'number') return scanner.expected('a number')
  if (!Number.isInteger(value)) scanner.fail(`${value} is not a whole number`)
  if (!Number.isSafeInteger(value))
    scanner.fail(`${value} is past 2^53, where numbers are not exact: give it as a bigint`)
  return advance(scanner, 1, value)
}

const exact = (value: bigint): Constant =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value

const negative = (value: Constant): Constant => (typeof value === 'bigint' ? exact(-value) : 0 - value)

function add(a: Constant, b: Constant): Constant {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a + b)) return a + b
  return exact(BigInt(a) + BigInt(b))
}

const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, 0: 0, '\\': 92, "'": 39, '"': 34 }

function unescaped(scanner: Scanner, text: string): number[] {
  const bytes: number[] = []
  for (const [piece] of text.matchAll(/\\x..|\\.|[^\\]+/g)) {
    if (!piece.startsWith('\\')) {
      bytes.push(...Buffer.from(piece))
      continue
    }
    const code = piece.length === 4 ? Number.parseInt(piece.slice(2), 16) : ESCAPES[piece[1] as string]
    if (code === undefined) scanner.fail(`there is no ${piece}: \\n, \\t, \\r, \\0, \\\\, \\', \\" and \\x41 there are`)
    bytes.push(code)
  }
  return bytes
}

/** What is interpolated between quotes would be taken for the character that stands for it. */
function checkQuoted(scanner: Scanner, quoted: string): void {
  for (let i = 0; i < quoted.length; i++) {
    const at = scanner.position + i
    if (!scanner.source.isHole(at)) continue
    scanner.fail('between quotes nothing is interpolated: put the text itself there, or its bytes as a number', at)
  }
}

/** The bytes of a string as the number that has them in memory, in their order, with zeros behind. */
function stringConstant(scanner: Scanner, room: number): Constant {
  STRING.lastIndex = scanner.position
  const found = STRING.exec(scanner.source.text)
  if (found === null) scanner.fail('this string has no end on its line')
  if (room === 0)
    scanner.fail('a string constant stands where bytes are stored: *(u32 *)(r10 - 4) = "abc", r1 = "abc" ll')
  checkQuoted(scanner, found[0])
  const bytes = unescaped(scanner, found[1] as string)
  if (bytes.length > room) scanner.fail(`${bytes.length} bytes of text do not fit into ${room}`)
  while (bytes.length < room) bytes.push(0)
  if (LITTLE) bytes.reverse()
  return advance(
    scanner,
    found[0].length,
    bytes.reduce<Constant>((sum, byte) => exact(BigInt(sum) * 256n + BigInt(byte)), 0),
  )
}

/** A constant between two bounds. */
export function bounded(
  scanner: Scanner,
  at: number,
  value: Constant,
  low: number,
  high: number,
  what: string,
): number {
  if (typeof value === 'number' && !Number.isInteger(value)) scanner.fail(`${value} is not a whole number`, at)
  if (value >= low && value <= high) return Number(value)
  return scanner.fail(`${show(value)} does not fit ${what}: it is from ${low} to ${high}`, at)
}

/** An immediate of 32 bits that is taken as such: signed or unsigned, the bits are the same. */
export function immediate32(scanner: Scanner, at: number, value: Constant): number {
  return bounded(scanner, at, value, -(2 ** 31), 2 ** 32 - 1, '32 bits') | 0
}

/** What to do about a constant that is no immediate. */
export const LOAD_FIRST = 'load it into a register with ll first'

/**
 * An immediate of 32 bits that the machine extends to 64 by its sign: 0xffffffff would come out as -1, and is refused.
 * `remedy` tells what to write instead.
 */
export function extended32(scanner: Scanner, at: number, value: Constant, remedy: string): number {
  if (value >= -(2 ** 31) && value < 2 ** 31) return Number(value)
  const why = value >= 2 ** 31 && value < 2 ** 32 ? ' (its upper bit would be taken for a sign)' : ''
  return scanner.fail(`${show(value)} does not fit a signed immediate of 32 bits${why}: ${remedy}`, at)
}

/** The lower and the upper half of a constant of 64 bits, signed or unsigned. */
export function halves(scanner: Scanner, at: number, value: Constant): { low: number; high: number } {
  if (typeof value === 'number') return { low: value | 0, high: Math.floor(value / 2 ** 32) | 0 }
  if (value < -(1n << 63n) || value >= 1n << 64n) scanner.fail(`${show(value)} does not fit 64 bits`, at)
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) }
}

function show(value: Constant): string {
  return value > 0xffff_ffff ? `0x${value.toString(16)}` : `${value}`
}
