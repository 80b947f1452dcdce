const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined

/** Bold on a terminal. */
export function bold(text: string): string {
  return colours ? `\x1b[1m${text}\x1b[22m` : text
}

/** Dimmed on a terminal. */
export function dim(text: string): string {
  return colours ? `\x1b[2m${text}\x1b[22m` : text
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A horizontal bar, `width` characters for the value 1. */
export function bar(share: number, width: number): string {
  const eighths = Math.max(1, Math.round(share * width * 8))
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]
}

/** Labelled values as bars of one scale. */
export function barChart(rows: readonly { readonly label: string; readonly value: number; readonly text: string }[]) {
  const most = Math.max(...rows.map(({ value }) => value))
  const label = Math.max(...rows.map((row) => row.label.length))
  const text = Math.max(...rows.map((row) => row.text.length))
  return rows.map((row) => `${row.label.padEnd(label)}  ${row.text.padStart(text)}  ${bar(row.value / most, 40)}`)
}

/** 8.31 s, 12.4 ms, 950 µs. */
export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toPrecision(3)} s`
  if (ms >= 1) return `${ms.toPrecision(3)} ms`
  return `${Math.round(ms * 1000)} µs`
}
