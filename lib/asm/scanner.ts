import { AssemblyError } from './error'
import { brief, HOLE_CODE, type Source } from './source'

/** r0 to r10 are 0 to 10; the same registers as 32 bits, w0 to w10, are these and 16. */
export const HALF = 16

const [TAB, NEWLINE, RETURN, SPACE, HASH, SLASH, STAR, SEMICOLON] = [9, 10, 13, 32, 35, 47, 42, 59]
const [LETTER_R, LETTER_S, LETTER_W, DIGIT_0, DIGIT_9] = [114, 115, 119, 48, 57]

/** By char code: 1 begins a word, 2 goes on with one. */
const WORD = new Uint8Array(128)
for (const c of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.$') WORD[c.charCodeAt(0)] = 3
for (const c of '0123456789') WORD[c.charCodeAt(0)] = 2

const [GOES_ON, ENDS] = [1, 2]

function operatorTable(goesOn: string, ends: string): Uint8Array {
  const table = new Uint8Array(128)
  for (const c of goesOn) table[c.charCodeAt(0)] = GOES_ON
  for (const c of ends) table[c.charCodeAt(0)] = ENDS
  return table
}

export const COMPARING = operatorTable('=<>!&', '')
export const ASSIGNING = operatorTable('+-*/%|&^<>', '=')

const isDigit = (code: number): boolean => code >= DIGIT_0 && code <= DIGIT_9

/** Reads a source piece by piece. Each piece takes the blanks and block comments behind it along. */
export class Scanner {
  protected readonly text: string

  constructor(
    readonly source: Source,
    public position = 0,
  ) {
    this.text = source.text
  }

  /** What is next, as a char code; -1 behind the last line. */
  get next(): number {
    return this.position < this.text.length ? this.text.charCodeAt(this.position) : -1
  }

  fail(reason: string, position = this.position): never {
    throw new AssemblyError(reason, this.source, position)
  }

  /** Fails, and says what stands here in place of what was expected. */
  expected(what: string): never {
    return this.fail(`expected ${what}, found ${this.found()}`)
  }

  /** What stands here, for a message. */
  found(): string {
    if (this.source.isHole(this.position)) return `\${${brief(this.source.valueAt(this.position))}}`
    if (this.atLineEnd()) return 'the end of the line'
    const rest = this.text.slice(this.position, this.position + 40)
    return `'${/^(?:[\w.$]+|\\.|[^\w\s])/.exec(rest)?.[0] ?? rest[0]}'`
  }

  /** Passes blanks, and comments between slash and star. */
  blanks(): void {
    for (;;) {
      const code = this.next
      if (code === SPACE || code === TAB || code === RETURN) this.position++
      else if (code === SLASH && this.text.charCodeAt(this.position + 1) === STAR) this.#blockComment()
      else return
    }
  }

  #blockComment(): void {
    const end = this.text.indexOf('*/', this.position + 2)
    if (end < 0) this.fail('this comment has no end')
    this.position = end + 2
  }

  atLineEnd(): boolean {
    const code = this.next
    if (code === SLASH) return this.text.charCodeAt(this.position + 1) === SLASH
    return code === NEWLINE || code === SEMICOLON || code === HASH || code < 0
  }

  /** Takes the punctuation if it is next. */
  take(punctuation: string): boolean {
    if (!this.text.startsWith(punctuation, this.position)) return false
    this.position += punctuation.length
    this.blanks()
    return true
  }

  expect(punctuation: string): void {
    if (!this.take(punctuation)) this.expected(`'${punctuation}'`)
  }

  /** The operator that is next: of a comparison, or of an assignment, which ends at its =. It is not taken. */
  operator(table: Uint8Array): string {
    const start = this.position
    let end = this.text.charCodeAt(start) === LETTER_S ? start + 1 : start
    let kind = table[this.text.charCodeAt(end)]
    while (kind === GOES_ON) kind = table[this.text.charCodeAt(++end)]
    return this.text.slice(start, kind === ENDS ? end + 1 : end)
  }

  /** The word that is next, '' where there is none. Interpolated strings and numbers become part of it. */
  word(): string {
    const start = this.position
    let end = start
    let code = this.text.charCodeAt(end)
    if (code < 128 ? WORD[code] !== 3 : code !== HOLE_CODE) return ''
    while (code < 128 ? (WORD[code] as number) > 1 : code === HOLE_CODE) {
      if (code === HOLE_CODE) return this.#joinedWord()
      code = this.text.charCodeAt(++end)
    }
    this.position = end
    this.blanks()
    return this.text.slice(start, end)
  }

  #joinedWord(): string {
    let word = ''
    for (;;) {
      const code = this.next
      if (this.source.isHole(this.position)) {
        const piece = wordPiece(this.source.valueAt(this.position), word === '')
        if (piece === undefined) break
        word += piece
      } else if (code < 128 && (WORD[code] as number) > 1) word += this.text[this.position]
      else break
      this.position++
    }
    if (word !== '') this.blanks()
    return word
  }

  /** Takes the word if it is next; another one stays. */
  takeWord(wanted: string): boolean {
    const start = this.position
    if (this.word() === wanted) return true
    this.position = start
    return false
  }

  /** The register that is next, as 0 to 10, or as 16 to 26 for w0 to w10; -1 where there is none. */
  register(): number {
    const start = this.position
    const first = this.next
    if (first === HOLE_CODE) return this.#joinedRegister()
    if (first !== LETTER_R && first !== LETTER_W) return -1
    let number = this.text.charCodeAt(start + 1) - DIGIT_0
    if (!(number >= 0 && number <= 9))
      return this.text.charCodeAt(start + 1) === HOLE_CODE ? this.#joinedRegister() : -1
    let end = start + 2
    let after = this.text.charCodeAt(end)
    if (isDigit(after)) {
      number = number * 10 + after - DIGIT_0
      after = this.text.charCodeAt(++end)
    }
    if (after < 128 ? (WORD[after] as number) > 1 : after === HOLE_CODE) return this.#joinedRegister()
    if (number > 10) this.fail(`there is no register ${this.text.slice(start, end)}: they end at ${this.text[start]}10`)
    this.position = end
    this.blanks()
    return first === LETTER_W ? number + HALF : number
  }

  #joinedRegister(): number {
    const start = this.position
    const parts = /^([rw])(\d+)$/.exec(this.word())
    if (parts === null) {
      this.position = start
      return -1
    }
    if (Number(parts[2]) > 10) this.fail(`there is no register ${parts[0]}: they end at ${parts[1]}10`, start)
    return Number(parts[2]) + (parts[1] === 'w' ? HALF : 0)
  }

  /** A register of 64 bits, as its number. */
  wholeRegister(what = 'a register (r0 to r10)'): number {
    const start = this.position
    const register = this.register()
    if (register < 0) this.expected(what)
    if (register >= HALF) this.fail(`w${register - HALF} is the lower half of a register: here it is r0 to r10`, start)
    return register
  }

  /** Passes what ends a line: a comment, and the line's end. Anything else is an error. */
  protected passLineEnd(): void {
    if (!this.atLineEnd()) this.expected('the end of the line')
    const end = this.text.indexOf('\n', this.position)
    this.position = end < 0 ? this.text.length : end + 1
  }
}

/** A value as a piece of a word: a string that is one, or, behind letters, a number. */
function wordPiece(value: unknown, first: boolean): string | undefined {
  if (typeof value === 'string') return (first ? /^[a-z_.$][\w.$]*$/i : /^[\w.$]+$/).test(value) ? value : undefined
  return !first && Number.isSafeInteger(value) && (value as number) >= 0 ? `${value}` : undefined
}
