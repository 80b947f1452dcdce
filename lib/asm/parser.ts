import { nearest } from '../text/nearest'
import { AssemblyError } from './error'
import { helperNumber, unknownCall } from './helpers'
import { Insn, isCode, type Listing, listing, type Mark, type Reference, type Referent } from './listing'
import { insteadOf } from './mnemonics'
import { CALL, EXIT, JA, JMP, LOAD_IMM64 } from './opcodes'
import { parseAssignment } from './parse-assignment'
import { parseCall, parseGoto, parseIf, parseIndirect } from './parse-jump'
import { parseLock, parseStore, parseStoreRelease } from './parse-store'
import { parseBytes, parsePseudoLoad } from './parse-wide'
import { aim } from './resolve'
import { Scanner } from './scanner'

/** The number in front of an instruction: a label as in LLVM, or the index in a dump, with the opcode or all bytes. */
const PREFIX =
  /(\d+):(?:[ \t]*\(([0-9a-f]{2})\)|[ \t]*([0-9a-f]{2})(?: [0-9a-f]{2}){7}(?:(?: [0-9a-f]{2}){8})?(?=\s))?/y
/** A label as llvm-objdump prints it. */
const HEADING = /[0-9a-f]{8,16} <([^>\n]+)>:/y

const KEYWORDS: ReadonlyMap<string, (parser: Parser) => undefined> = new Map([
  ['if', parseIf],
  ['goto', (parser: Parser) => parseGoto(parser, 'goto')],
  ['gotol', (parser: Parser) => parseGoto(parser, 'gotol')],
  ['may_goto', (parser: Parser) => parseGoto(parser, 'may_goto')],
  ['gotox', (parser: Parser) => parseIndirect(parser, 'gotox')],
  ['call', parseCall],
  ['callx', (parser: Parser) => parseIndirect(parser, 'callx')],
  ['exit', (parser: Parser) => parser.emit(JMP | EXIT, 0, 0, 0, 0)],
  ['nop', (parser: Parser) => parser.emit(JMP | JA, 0, 0, 0, 0)],
  ['lock', parseLock],
  ['store_release', parseStoreRelease],
  ['ld_pseudo', parsePseudoLoad],
  ['.8byte', parseBytes],
])

const [STAR, SEMICOLON, COLON, DIGIT_0, DIGIT_9] = [42, 59, 58, 48, 57]

/** Reads a whole text, an instruction a line. */
export class Parser extends Scanner {
  /** Where the instruction being read begins. */
  start = 0
  /** The opcode that a dump tells of the instruction being read; -1 where it is not from a dump. */
  opcode = -1
  /** The slot that the next instruction takes. */
  slot = 0
  readonly #insns: Insn[] = []
  readonly #labels = new Map<string, number>()
  readonly #references: Reference[] = []
  readonly #marks: Mark[] = []
  readonly #embedded: Mark[] = []
  /** How often each numeric label was there so far. */
  readonly #counts = new Map<string, number>()

  emit(code: number, dst: number, src: number, off: number, imm: number, referent?: Referent): undefined {
    this.#insns.push(new Insn(code, dst, src, off, imm, false, 0, referent, this.source, this.start))
    this.slot++
  }

  /** `dst = value ll`: two slots. */
  emitWide(dst: number, src: number, imm: number, next: number, referent?: Referent): undefined {
    this.#insns.push(new Insn(LOAD_IMM64, dst, src, 0, imm, true, next, referent, this.source, this.start))
    this.slot += 2
  }

  /** The next instruction to be emitted aims at a label, or at code of its own. */
  refer(target: Reference['target'], position: number): undefined {
    this.#references.push({ index: this.#insns.length, slot: this.slot, target, source: this.source, position })
  }

  /** Reads everything. */
  program(): Listing {
    while (this.position < this.text.length) {
      this.#line()
      this.passLineEnd()
    }
    return this.#resolved()
  }

  /** Labels, and at most one instruction. */
  #line(): undefined {
    this.opcode = -1
    const before = this.#insns.length
    this.blanks()
    for (;;) {
      this.start = this.position
      const code = this.next
      if (code >= DIGIT_0 && code <= DIGIT_9 && this.#numeric(this.start)) continue
      const register = this.register()
      if (register >= 0 && this.next !== COLON) parseAssignment(this, register)
      else if (code === STAR) parseStore(this)
      else if (this.atLineEnd()) return
      else if (this.#wordOrFragment()) continue
      break
    }
    if (this.opcode >= 0) this.#checkOpcode(before)
    if (this.next === SEMICOLON) this.#checkComment()
  }

  /** True behind a label: more may follow. */
  #wordOrFragment(): boolean {
    // A register with a colon behind it has been read already.
    this.position = this.start
    const value = this.source.isHole(this.start) ? this.source.valueAt(this.start) : undefined
    if (isCode(value)) {
      this.position++
      this.blanks()
      this.#embed(value[listing]())
      return false
    }
    const word = this.word()
    if (word !== '' && this.next === COLON) {
      this.position++
      this.blanks()
      this.#define(word, this.start)
      return true
    }
    const keyword = KEYWORDS.get(word)
    if (keyword === undefined) this.#unknown(word)
    keyword(this)
    return false
  }

  #unknown(word: string): never {
    this.position = this.start
    const instead = insteadOf(word)
    if (instead !== undefined) this.fail(`'${word}' begins no instruction here: this assembler takes \`${instead}\``)
    const near = nearest(word, KEYWORDS.keys())
    this.expected(`an instruction${near === undefined ? ' (`r1 = 5`, `goto out`, `call ...`)' : ` (${near}?)`}`)
  }

  #numeric(start: number): boolean {
    HEADING.lastIndex = PREFIX.lastIndex = start
    const heading = HEADING.exec(this.text)
    const prefix = PREFIX.exec(this.text)
    if (heading !== null) this.#define(heading[1] as string, start)
    else if (prefix === null) return false
    else {
      const [, number, code, first] = prefix as unknown as [string, string, string?, string?]
      const opcode = code ?? first
      if (opcode === undefined) this.#defineNumeric(number)
      else {
        if (Number(number) !== this.slot) {
          this.fail(`this dump goes on at ${number}, and the next instruction is ${this.slot}: it is not whole`)
        }
        this.opcode = Number.parseInt(opcode, 16)
      }
    }
    this.position = heading === null ? PREFIX.lastIndex : HEADING.lastIndex
    this.blanks()
    return true
  }

  #define(name: string, at: number): undefined {
    if (/^[rw]\d+$/.test(name)) this.fail(`${name} is a register, and no name for a label`, at)
    if (helperNumber(name) !== undefined) this.fail(`${name} is a helper, and no name for a label`, at)
    if (this.#labels.has(name)) this.fail(`the label ${name} is there twice`, at)
    this.#labels.set(name, this.slot)
  }

  /** A numeric label may be there often: 1b is the last one before, 1f the next. */
  #defineNumeric(number: string): undefined {
    const count = (this.#counts.get(number) ?? 0) + 1
    this.#counts.set(number, count)
    this.#labels.set(`${number}:${count}`, this.slot)
  }

  /** The name under which 1b or 1f is kept. */
  numericLabel(number: string, forward: boolean, position: number): string {
    const count = this.#counts.get(number) ?? 0
    if (!forward && count === 0) this.fail(`there is no label ${number} before this line`, position)
    return `${number}:${forward ? count + 1 : count}`
  }

  /** Puts a fragment here. What it aims at and does not have may be in this text. */
  #embed({ insns, marks, open, length }: Listing): undefined {
    for (const mark of marks) this.#embedded.push({ ...mark, slot: mark.slot + this.slot })
    const index = this.#insns.length
    for (const reference of open) {
      this.#references.push({ ...reference, index: reference.index + index, slot: reference.slot + this.slot })
    }
    for (const insn of insns) this.#insns.push(insn)
    this.slot += length
  }

  /** Nothing of a dump may be misread in silence. */
  #checkOpcode(index: number): undefined {
    const code = this.#insns[index]?.code ?? -1
    if (code === this.opcode && this.#insns.length === index + 1) return
    const [found, told] = [code, this.opcode].map((value) => `0x${value.toString(16).padStart(2, '0')}`)
    this.fail(`the dump gives the opcode ${told}, and this text is ${found}`, this.start)
  }

  /** To LLVM a semicolon parts two instructions. What would be one of them must not vanish as a comment. */
  #checkComment(): undefined {
    const rest = new Parser(this.source, this.position + 1)
    try {
      rest.#line()
    } catch (error) {
      if (error instanceof AssemblyError) return
      throw error
    }
    if (rest.#insns.length > 0 && rest.atLineEnd()) {
      this.fail('a semicolon begins a comment: an instruction behind it needs a line of its own, a comment //')
    }
  }

  /** What looks like a helper is not left to the text around. */
  #checkCall({ target, index, source, position }: Reference): void {
    if (typeof target !== 'string' || !target.startsWith('bpf_')) return
    if (this.#insns[index]?.code === (JMP | CALL)) throw new AssemblyError(unknownCall(target), source, position)
  }

  #resolved(): Listing {
    const open: Reference[] = []
    for (const reference of this.#references) {
      const { target, index, slot, source, position } = reference
      const found = typeof target === 'string' ? this.#labels.get(target) : undefined
      if (found === undefined || typeof target !== 'string') {
        if (typeof target === 'string' && target.includes(':')) {
          throw new AssemblyError(`there is no label ${target.split(':', 1)[0]} behind this line`, source, position)
        }
        this.#checkCall(reference)
        open.push(reference)
        continue
      }
      const insn = aim(this.#insns[index] as Insn, slot, found, reference)
      this.#insns[index] = insn
      this.#marks.push({
        slot: found,
        name: target,
        isFunction: insn.code === (JMP | CALL) || insn.code === LOAD_IMM64,
      })
    }
    const labels = [...this.#labels.keys()].filter((label) => !label.includes(':'))
    const name = labels.find((label) => this.#labels.get(label) === 0)
    return { insns: this.#insns, length: this.slot, marks: [...this.#marks, ...this.#embedded], labels, open, name }
  }
}
