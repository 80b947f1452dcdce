/** The names that can be asked for, and what is said of one that is none. */

/** Refuses a name that is not in the list, with the nearest one that is. */
export function checkKnown(what: string, name: unknown, names: readonly string[]): void {
  if (typeof name === 'string' && names.includes(name)) return
  const text = typeof name === 'string' ? `'${name}'` : String(name)
  const near = typeof name === 'string' ? nearest(name, names) : undefined
  const hint = near === undefined ? '' : `: did you mean '${near}'?`
  const list = names.length > MANY ? '' : `${hint === '' ? ':' : ''} There are ${names.join(', ')}`
  throw new TypeError(`no ${what} is called ${text}${hint}${list}`)
}

/** Names beyond which a list of them helps nobody. */
const MANY = 60

/** The name with the fewest changed letters, if they are few enough to be a slip. */
function nearest(name: string, names: readonly string[]): string | undefined {
  const longer = name.length > 2 ? names.find((candidate) => candidate.startsWith(name)) : undefined
  if (longer !== undefined) return longer
  let best: string | undefined
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of names) {
    const changes = distance(name.toLowerCase(), candidate.toLowerCase())
    if (changes >= least) continue
    best = candidate
    least = changes
  }
  return best
}

/** How many letters have to be put in, left out, replaced or swapped to make one word of the other. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? 0) + 1 : replaced
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
