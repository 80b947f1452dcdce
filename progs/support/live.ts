import type { Say } from './story'

/** How often something is printed where it cannot be printed over. */
const PLAIN_MS = 1000

/**
 * Lines that change: drawn over themselves on a terminal; elsewhere printed as they are now and then. `draw` with `last`
 * prints them in any case.
 */
export class Live {
  readonly #say: Say
  readonly #terminal: boolean
  /** Lines on the terminal that the next drawing goes over. */
  #drawn = 0
  #printed = performance.now()

  constructor(say: Say, terminal = process.stdout.isTTY === true) {
    this.#say = say
    this.#terminal = terminal
  }

  draw(lines: readonly string[], last = false): void {
    if (!this.#terminal) {
      const now = performance.now()
      if (!last && now - this.#printed < PLAIN_MS) return
      this.#printed = now
      this.#say([...lines, ''].join('\n'))
      return
    }
    // Up over what was drawn before, and nothing left from there on (ECMA-48: CUU, ED).
    const back = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\x1b[J`
    this.#say(back + lines.join('\n'))
    this.#drawn = last ? 0 : lines.length
  }
}

/** Columns as wide as they need to be: the first to the left, figures to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell.toLocaleString('en') : cell)))
  const widths = (texts[0] ?? []).map((_, i) => Math.max(...texts.map((row) => row[i]?.length ?? 0)))
  const isFigure = widths.map((_, i) => rows.slice(1).some((row) => typeof row[i] === 'number'))
  const pad = (text: string, i: number) => (isFigure[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0))
  return texts.map((row) => row.map(pad).join('  ').trimEnd())
}
