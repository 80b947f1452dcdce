/** What the verifier's log says, taken apart (kernel/bpf/log.c and the calls of verbose() in kernel/bpf/verifier.c). */

/** '7: (79) r1 = *(u64 *)(r0 +0)', and from Linux 5.18 on what is known of registers behind a semicolon. */
const INSTRUCTION = /^(\d+): \(([0-9a-f]{2})\) (.*)$/
/**
 * What is known of registers: '0: R1=ctx() R10=fp0', 'from 3 to 7: R0=...', ' R0_w=...'; lines of the source; and which
 * functions have been found good by themselves.
 */
const STATE =
  /^(?:Validating \S+ func#|Func#\d+ .*is (?:safe for any args|global and assumed valid)|\d+: R\d|from \d+ to \d+|\s*R\d+[_=]|;|\s*frame\d+:|last_idx |regs=|parent |mark_precise:|live regs)/
/** What it counts at the end. */
const COUNTS =
  /^(?:processed \d+ insns|verification time \d+|stack depth \d|max_states_per_insn|total_states|peak_states|mark_read|insns processed)/

/** The same behind a message that has forgotten to end its line. */
const COUNTS_BEHIND = /(?<=.)(?:processed \d+ insns \(limit|verification time \d+ usec).*$/

/** What Linux 7.3 adds to many messages: a reason, the lines around the place, the way that led there. */
const REPORT = /^Verification failed: /

export interface LoggedInstruction {
  readonly index: number
  readonly text: string
}

/** The end of a log. */
export interface LastWords {
  /** What it says of the refusal, without instructions, registers and counts. */
  readonly messages: readonly string[]
  /** Some lines up to there. */
  readonly lines: readonly string[]
  /** Its reason in sentences, where it gives one. */
  readonly reason: string | undefined
  /** The instruction that it looked at last. */
  readonly last: LoggedInstruction | undefined
}

const SHOWN_LINES = 6
/** As many lines of what follows the last instruction are looked at: some messages print whole states behind them. */
const LOOKED_AT = 400

export function lastWords(log: string): LastWords {
  const all = tail(log)
  const report = all.findIndex((line) => REPORT.test(line))
  const lines = (report < 0 ? all : all.slice(0, report)).map((line) => line.replace(COUNTS_BEHIND, ''))
  while (lines.length > 0 && (lines.at(-1) === '' || COUNTS.test(lines.at(-1) as string))) lines.pop()
  let at = lines.length - 1
  while (at >= 0 && !INSTRUCTION.test(lines[at] as string)) at--
  const [, index, , text] = INSTRUCTION.exec(lines[at] ?? '') ?? []
  const messages = lines.slice(at + 1).filter((line) => line.trim() !== '' && !STATE.test(line))
  const shown = lines.slice(-SHOWN_LINES)
  const first = messages[0]
  // A message with states behind it is worth more than they are.
  if (first !== undefined && !shown.includes(first)) shown.unshift(first, '...')
  const last = index === undefined ? undefined : { index: Number(index), text: withoutState(text as string) }
  return { messages, lines: shown, reason: report < 0 ? undefined : reasonOf(all.slice(report)), last }
}

/** The paragraph of a report that says why. */
function reasonOf(report: readonly string[]): string | undefined {
  const start = report.indexOf('Reason:') + 1
  if (start === 0) return undefined
  const end = report.indexOf('', start)
  const paragraph = report.slice(start, end < 0 ? undefined : end)
  return paragraph.map((line) => line.trim()).join(' ')
}

/** Whether the verifier has said anything: counts alone come with every program. */
export function hasWords(log: string): boolean {
  return lastWords(log).lines.length > 0
}

/** 'r0 = 1                        ; R0_w=1' without what is behind the instruction. */
function withoutState(text: string): string {
  return text.replace(/\s*;.*$/, '')
}

/** The last lines of a log that may have millions. */
function tail(log: string): string[] {
  let from = log.length
  for (let lines = 0; lines < LOOKED_AT && from > 0; lines++) from = log.lastIndexOf('\n', from - 1)
  return log.slice(Math.max(0, from)).split('\n')
}

/** Messages that name the instruction themselves, as they are made before any is followed (check_cfg and others). */
const NAMED = [
  /\bunreachable insn (\d+)/,
  /\bback-edge from insn (\d+)/,
  /\bjump out of range from insn (\d+)/,
  /\bjump into the middle of ldimm64 insn (\d+)/,
  /\binfinite loop detected at insn (\d+)/,
  /^insn (\d+) /,
]

/** The index of the instruction that the verifier refused; undefined where its log tells none. */
export function refusedInstruction({ messages, last }: LastWords): number | undefined {
  for (const message of messages) {
    for (const pattern of NAMED) {
      const index = pattern.exec(message)?.[1]
      if (index !== undefined) return Number(index)
    }
  }
  return last?.index
}
