import type { Source } from './source'

/**
 * Text that is no program: the message points at the place, and says what was expected there. Lines and columns count
 * from 1, in the template (or the string) that the text stands in; an interpolated value counts as what the message
 * shows for it.
 */
export class AssemblyError extends SyntaxError {
  override readonly name: string = 'AssemblyError'
  readonly code = 'ERR_EBPF_ASSEMBLY'
  readonly line: number
  readonly column: number
  /** What is wrong, without the place. */
  readonly reason: string

  constructor(reason: string, source: Source, position: number) {
    const { line, column } = source.locate(position)
    super(placed(reason, source, position))
    this.line = line
    this.column = column
    this.reason = reason
  }
}

/** What is wrong, with the place: in front of it in numbers, and below it in the line as it stands there. */
export function placed(reason: string, source: Source, position: number): string {
  const { line, column, shown } = source.locate(position)
  const gutter = `${line} | `.padStart(7)
  const { before, behind } = around(shown, column - 1)
  const caret = ' '.repeat(gutter.length) + before.replace(/[^\t]/g, ' ')
  return `line ${line}, column ${column}: ${reason}\n${gutter}${before}${behind}\n${caret}^`
}

/** How much of a line is shown on either side of the place. */
const SHOWN = 100

/** A line up to the place and from there on: of a long one, what is near. */
function around(line: string, at: number): { readonly before: string; readonly behind: string } {
  const [start, end] = [at - SHOWN, at + SHOWN]
  const before = start <= 0 ? line.slice(0, at) : `...${line.slice(start, at)}`
  return { before, behind: end >= line.length ? line.slice(at) : `${line.slice(at, end)}...` }
}
