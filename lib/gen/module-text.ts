/** What a generated module is written with. */

/** Characters of a line. */
export const LINE = 120

/** A comment in one line, which ends where it shall, whatever a name has in it. */
export function oneLine(text: string): string {
  return text.replaceAll('*/', '* /').replaceAll(/\s+/g, ' ')
}

/** The lines of a block, one step further in. */
export function indented(lines: readonly string[]): string[] {
  return lines.flatMap((line) => line.split('\n')).map((line) => (line === '' ? '' : `  ${line}`))
}

/** `import { type Codec, struct } from 'ebpf-ts'`, in the order in which formatters want the names. */
export function importOf(names: Iterable<string>, from: string): string {
  const sorted = [...new Set(names)].sort((a, b) => compare(bare(a), bare(b)))
  const line = `import { ${sorted.join(', ')} } from '${from}'`
  return line.length <= LINE ? line : `import {\n${sorted.map((name) => `  ${name},\n`).join('')}} from '${from}'`
}

/** `start<A, B>behind`; parameters have lines of their own where the whole is too long for one, `outside` further in. */
export function withParameters(start: string, parameters: readonly string[], behind: string, outside = 0): string {
  if (parameters.length === 0) return `${start}${behind}`
  const line = `${start}<${parameters.join(', ')}>${behind}`
  if (outside + line.length <= LINE) return line
  return `${start}<\n${parameters.map((each) => `  ${each},\n`).join('')}>${behind}`
}

const bare = (name: string) => name.replace(/^type /, '')

/** By letters, a capital before its small one, and numbers by what they count: BpfObject, bool, u8, u16. */
function compare(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  for (const [i, one] of left.entries()) {
    const other = right[i]
    if (other === undefined) return 1
    if (one === other) continue
    const difference = Number(one) - Number(other)
    if (difference !== 0 && !Number.isNaN(difference)) return difference
    const [small, otherSmall] = [one.toLowerCase(), other.toLowerCase()]
    return (small === otherSmall ? one < other : small < otherSmall) ? -1 : 1
  }
  return left.length - right.length
}

const parts = (name: string): readonly string[] => name.match(/\d+|\D/g) ?? []

/** Bytes as a string of base64 over many lines, which decoders pass over. */
export function base64(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  return (text.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? []).join('\n')
}
