import { HELPER_NUMBERS } from '../../syscalls/uapi-names'

interface Names {
  readonly numbers: ReadonlyMap<string, number>
  readonly names: ReadonlyMap<number, string>
}

let known: Names | undefined

function helpers(): Names {
  if (known !== undefined) return known
  // The verifier prints 0 as a helper's number, too.
  const pairs: [string, number][] = [['bpf_unspec', 0], ...Object.entries(HELPER_NUMBERS)]
  known = { numbers: new Map(pairs), names: new Map(pairs.map(([name, number]) => [number, name])) }
  return known
}

/** The number of a helper by its name as programs call it: `bpf_map_lookup_elem` is 1. */
export function helperNumber(name: string): number | undefined {
  return helpers().numbers.get(name)
}

export function helperName(number: number): string | undefined {
  return helpers().names.get(number)
}

/** The helper whose name is nearest, also where the prefix was left away. */
function nearestHelper(name: string): string | undefined {
  const { numbers } = helpers()
  if (numbers.has(`bpf_${name}`)) return `bpf_${name}`
  return nearest(name, numbers.keys())
}

/** Why there is nothing of this name to call. */
export function unknownCall(name: string): string {
  const near = nearestHelper(name)
  const hint = near === undefined ? 'kernel functions are interpolated, by their BTF id' : `did you mean ${near}?`
  return `there is no helper and no label ${name}; ${hint}`
}

/** The candidate that a slip of the finger turns into the name: few letters may differ. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(1, Math.floor(name.length / 4)) + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= least) continue
    const distance = editDistance(name, candidate)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Levenshtein's: letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
