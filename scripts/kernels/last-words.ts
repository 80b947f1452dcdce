/** What a guest said last: all that is known of a machine that died. */
import { stripVTControlCharacters } from 'node:util'

const TROUBLE = /BUG:|Oops|Kernel panic|general protection fault|invalid opcode/
const LINES = 10
const LINES_OF_TROUBLE = 40

export class LastWords {
  readonly lines: string[] = []
  #isTrouble = false

  /** A line of the console that is no record. The last ones are kept; from the first that tells of trouble on, those. */
  take(line: string): void {
    const text = stripVTControlCharacters(line)
      .replaceAll(/\p{Cc}/gu, '')
      .trim()
    if (text === '') return
    if (!this.#isTrouble && TROUBLE.test(text)) {
      this.#isTrouble = true
      this.lines.length = 0
    }
    if (this.#isTrouble && this.lines.length === LINES_OF_TROUBLE) return
    this.lines.push(text)
    if (!this.#isTrouble && this.lines.length > LINES) this.lines.shift()
  }
}
