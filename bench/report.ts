/** Results for a terminal, and for the table of the README. */
import type { AbsentSide, Result, SideResult, Unit } from './harness'

/** Rounds whose middle half is wider than this part of their median say little. */
const NOISY = 0.2

export function formatFigure(figure: number, unit: Unit): string {
  if (unit === 'bytes') return `${digits(figure)} B`
  if (figure >= 1e6) return `${digits(figure / 1e6)} ms`
  if (figure >= 1e4) return `${digits(figure / 1e3)} µs`
  return `${digits(figure)} ns`
}

/** Three significant digits: more is noise. */
function digits(figure: number): string {
  const rounded = Number(figure.toPrecision(3))
  return (Math.abs(rounded) < 0.05 ? 0 : rounded).toLocaleString('en-US', { maximumFractionDigits: 2 })
}

const times = (ratio: number): string => `${ratio < 100 ? ratio.toFixed(2) : Math.round(ratio)} ×`

export function textReport(result: Result): string {
  const lines = [`${result.name}: ${result.what}`]
  for (const side of result.sides) lines.push(`  ${side.name.padEnd(20)} ${sideText(side, result)}`)
  for (const { text, figure, met } of result.goals) {
    const verdict =
      figure === undefined ? 'not measured' : `${figureOfGoal(figure, text, result)}  ${met ? 'met' : 'MISSED'}`
    lines.push(`  goal: ${text.padEnd(46)} ${verdict}`)
  }
  return `${lines.join('\n')}\n`
}

function sideText(side: SideResult | AbsentSide, { unit, baseline }: Result): string {
  if ('absent' in side) return `absent: ${side.absent}`
  const ratio = side.ratio === undefined ? '' : `${times(side.ratio)} ${baseline}`
  const noise = unit === 'bytes' ? '' : `±${Math.round(side.spread * 50)} %${side.spread > NOISY ? ' NOISY' : ''}`
  return `${formatFigure(side.median, unit).padStart(10)} ${ratio.padStart(12)}   ${noise}`.trimEnd()
}

const figureOfGoal = (figure: number, text: string, { unit }: Result): string =>
  text.includes('×') || text.includes('faster') ? times(figure) : formatFigure(figure, unit)

/** A row a benchmark: the peer in C, this library, and the other sides as multiples of this library. */
export function markdownTable(results: readonly Result[], where: string): string {
  const rows = results.map((result) => {
    const [floor, ours] = ['C', 'ebpf-ts'].map((name) => result.sides.find((side) => side.name === name))
    const others = result.sides.filter((side) => side !== floor && side !== ours)
    const cells = [
      `${result.name}: ${result.what}`,
      cell(floor, result),
      cell(ours, result),
      ours && 'ratio' in ours && ours.ratio !== undefined ? times(ours.ratio) : '',
      others.map((side) => otherCell(side, ours, result)).join(', '),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| operation | C | ebpf-ts | to C | others (to ebpf-ts) |',
    '|---|--:|--:|--:|---|',
    ...rows,
    '',
    `${where}; medians of alternating rounds, ratios between neighbouring rounds.`,
    '',
  ].join('\n')
}

const cell = (side: SideResult | AbsentSide | undefined, { unit }: Result): string =>
  !side ? '' : 'absent' in side ? 'absent' : formatFigure(side.median, unit)

function otherCell(side: SideResult | AbsentSide, ours: SideResult | AbsentSide | undefined, { unit }: Result): string {
  if ('absent' in side) return `${side.name} absent`
  const multiple = ours && 'median' in ours && ours.median > 0 ? ` (${times(side.median / ours.median)})` : ''
  return `${side.name} ${formatFigure(side.median, unit)}${multiple}`
}
