import { type About, errnoName, hide, KernelError } from '../../syscalls/errno'
import { disassemble } from '../asm'
import type { MissingInKernel, SourceLine } from './options'
import { causeOf } from './verifier-causes'
import { type LastWords, lastWords, refusedInstruction } from './verifier-log'

/** The instruction that the verifier refused. */
export interface RefusedInstruction {
  /** Counted in slots of 8 bytes, from 0, as the log does. */
  readonly index: number
  /** As the verifier prints it: 'r1 = *(u64 *)(r0 +0)'. */
  readonly text: string
  /** Its line in the source, where the code knows it. */
  readonly source: SourceLine | undefined
}

/** What a refusal is explained by. */
export interface RefusedProgram {
  readonly log: string
  readonly type: string
  readonly insns: Uint8Array
  readonly lines: readonly SourceLine[] | undefined
  readonly missing?: readonly MissingInKernel[] | undefined
}

/**
 * The verifier does not accept a program: with its whole log, the instruction that it refused, and the likely cause in
 * words (`hint`) where the refusal is a common one. `code` is the errno's, EACCES or EINVAL as a rule.
 */
export class VerifierError extends KernelError {
  override readonly name: string = 'VerifierError'
  /** All that the verifier said. */
  declare readonly log: string
  /** undefined where the log tells none. */
  declare readonly instruction: RefusedInstruction | undefined
  /** What the instruction needs and this kernel has not got: a field, a type or a function; undefined for other refusals. */
  declare readonly missing: MissingInKernel | undefined
  readonly #program: RefusedProgram

  /** @internal */
  constructor(errno: number, about: About, program: RefusedProgram) {
    const words = lastWords(program.log)
    const instruction = instructionOf(words, program)
    const refused = { text: instruction?.text ?? '', type: program.type, reason: words.reason }
    const said = words.reason ?? words.messages[0] ?? words.lines.at(-1)
    const missing = missingAt(words, instruction, program)
    const hint =
      about.subject?.hint?.(about.command, errnoName(errno)) ??
      about.hint ??
      (missing === undefined ? causeOf(words.messages, refused) : missingCause(missing))
    super(errno, { ...about, subject: { description: about.subject?.description ?? '', hint: () => hint ?? said } })
    hide(this, { log: program.log, instruction, missing })
    this.#program = program
    this.message = [this.message, ...placeLines(instruction), ...saidLines(words)].join('\n')
  }

  override toJSON(): object {
    const { log, instruction, missing } = this
    return { ...super.toJSON(), log, instruction, missing }
  }

  protected override remade(about: About): VerifierError {
    return new VerifierError(-this.errno, about, this.#program)
  }
}

function instructionOf(words: LastWords, { insns, lines }: RefusedProgram): RefusedInstruction | undefined {
  const index = refusedInstruction(words)
  if (index === undefined) return undefined
  const text = words.last?.index === index ? words.last.text : textAt(insns, index)
  // A line is that of all instructions up to where the next one begins (bpf_find_linfo).
  return { index, text, source: lines?.findLast(({ slot }) => slot <= index) }
}

/** What loaders put where something is missing: helpers that nobody has (POISON of co-re, POISONED_CALL of elf; libbpf's). */
const POISON = /#(?:195896080|2002\d{6})\b/

function missingAt(
  { messages }: LastWords,
  instruction: RefusedInstruction | undefined,
  { missing = [] }: RefusedProgram,
): MissingInKernel | undefined {
  // Another refusal at the same place is about something else.
  if (instruction === undefined || !messages.some((message) => POISON.test(message))) return undefined
  return missing.find(({ slot }) => slot === instruction.index)
}

function missingCause({ slot, what, reason }: MissingInKernel): string {
  if (/^map /.test(what)) return `instruction ${slot} uses ${what}, which ${reason}: only what is not reached may do so`
  const guard = /^function /.test(what)
    ? 'bpf_ksym_exists'
    : /::/.test(what)
      ? 'bpf_core_enum_value_exists'
      : 'bpf_core_field_exists'
  return `instruction ${slot} needs ${what}, which this kernel has not got: ${reason}; ${guard}() asks before, and what it guards is not reached`
}

/** The instruction at a slot, in the verifier's words: it has not got to saying them. */
function textAt(insns: Uint8Array, index: number): string {
  const start = `${index}: `
  const line = disassemble(insns, { syntax: 'kernel', numbers: true })
    .split('\n')
    .find((each) => each.trimStart().startsWith(start))
  return line === undefined
    ? ''
    : line
        .trimStart()
        .slice(start.length)
        .replace(/^\([0-9a-f]{2}\) /, '')
}

function placeLines(instruction: RefusedInstruction | undefined): string[] {
  if (instruction === undefined) return []
  const { index, text, source } = instruction
  const where = `  at instruction ${index}: ${text}`
  return source === undefined ? [where] : [where, `  from line ${source.line}, column ${source.column}: ${source.text}`]
}

function saidLines({ lines }: LastWords): string[] {
  return ['  the verifier said:', ...lines.map((line) => `    ${line}`)]
}
