import { isCode } from './listing'

/** Stands in the text for an interpolated value: one character of a private use area. */
export const HOLE = '\uf8ff'
export const HOLE_CODE = HOLE.charCodeAt(0)

/** A template's text, with the values between its parts. */
export class Source {
  readonly text: string
  readonly #holes = new Map<number, number>()
  /** Where each line begins: kept, as the lines of a whole program are asked for one by one. */
  #starts: readonly number[] | undefined

  /** `read` may put other characters in the place of what it finds, but as many. */
  constructor(
    parts: readonly string[],
    readonly values: readonly unknown[],
    read = (text: string) => text,
  ) {
    let text = parts[0] ?? ''
    for (let i = 1; i < parts.length; i++) {
      this.#holes.set(text.length, i - 1)
      text += HOLE + parts[i]
    }
    // With a line's end at the end nothing reads past it.
    this.text = `${read(text)}\n`
  }

  /** Whether a value was interpolated at this position. */
  isHole(position: number): boolean {
    return this.text.charCodeAt(position) === HOLE_CODE && this.#holes.has(position)
  }

  valueAt(position: number): unknown {
    return this.values[this.#holes.get(position) ?? -1]
  }

  /** The line a position is in, as a message shows it. */
  locate(position: number): { line: number; column: number; shown: string } {
    this.#starts ??= lineStarts(this.text)
    const line = lineOf(this.#starts, position)
    const start = this.#starts[line] as number
    const next = this.#starts[line + 1]
    const before = this.#shown(start, Math.max(start, position))
    const shown = before + this.#shown(Math.max(start, position), next === undefined ? this.text.length : next - 1)
    return { line: line + 1, column: before.length + 1, shown: shown.trimEnd() }
  }

  #shown(start: number, end: number): string {
    let shown = ''
    for (let i = start; i < end; i++) shown += this.isHole(i) ? `\${${brief(this.valueAt(i))}}` : this.text[i]
    return shown
  }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** The last line that begins at or before the position, from 0. */
function lineOf(starts: readonly number[], position: number): number {
  let [low, high] = [0, starts.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] as number) <= position) low = middle
    else high = middle - 1
  }
  return low
}

/** The name of a map, or of another object of the kernel's, where it stands for what it is. */
function nameOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('fd' in value && 'name' in value)) return undefined
  try {
    return typeof value.name === 'string' && /^[\w.]+$/.test(value.name) ? value.name : undefined
  } catch {
    // A message about one failure must not be replaced by another.
    return undefined
  }
}

/** `hits.at(0)`, or where else in a map's memory it is. */
function placeIn(value: object): string | undefined {
  if (!('map' in value && 'offset' in value)) return undefined
  const map = nameOf(value.map)
  if (map === undefined) return undefined
  const isArray = value.offset === 0 && 'at' in (value.map as object)
  return isArray ? `${map}.at(0)` : `{ map: ${map}, offset: ${value.offset} }`
}

/** A value in few characters, calling no code of its own but its class's name, and a map's. */
export function brief(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string') return JSON.stringify(value.length > 24 ? `${value.slice(0, 21)}...` : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (typeof value !== 'object' || value === null) return `${value}`
  if (isCode(value)) return 'bpf`...`'
  const called = nameOf(value) ?? placeIn(value)
  if (called !== undefined) return called
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? name : '{...}'
}
