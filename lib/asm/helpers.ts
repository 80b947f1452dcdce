import { HELPER_NUMBERS } from '../../syscalls/uapi-names'
import { nearest } from '../text/nearest'

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
