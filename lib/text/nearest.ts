/**
 * The shortest candidate that begins with the name, else the one that a slip of the finger turns into it: few letters may
 * differ. Else the shortest that holds the name ('trace_fentry' for 'fentry'), or the longest that the name holds ('hash'
 * for 'hashmap').
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let longer: string | undefined
  let around: string | undefined
  let inside: string | undefined
  // Of three letters, two others are another word.
  let least = (name.length <= 3 ? 1 : Math.max(2, Math.floor(name.length / 4))) + 1
  const lower = name.toLowerCase()
  for (const candidate of candidates) {
    if (name.length > 2 && candidate.startsWith(name) && !(longer && longer.length <= candidate.length))
      longer = candidate
    if (name.length > 3 && !(around && around.length <= candidate.length) && candidate.includes(name))
      around = candidate
    // One that is less than half of it has little to do with it.
    if (candidate.length > 2 && candidate.length * 2 >= name.length && name.includes(candidate)) {
      if (!(inside && inside.length >= candidate.length)) inside = candidate
    }
    if (Math.abs(candidate.length - name.length) >= least) continue
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance < least && distance < name.length) [best, least] = [candidate, distance]
  }
  return longer ?? best ?? around ?? inside
}

/** Letters to put in, leave out, replace, or swap with the next one, to make one word of the other. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] as number) + 1 : replaced
      next.push(Math.min(replaced, swapped, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] as number
}
