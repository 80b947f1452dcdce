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
  const caret = ' '.repeat(gutter.length) + shown.slice(0, column - 1).replace(/[^\t]/g, ' ')
  return `line ${line}, column ${column}: ${reason}\n${gutter}${shown}\n${caret}^`
}
