/** Inputs made from inputs, and what comes of them. */
import { changeBytes } from './bytes'
import { changeBtf, changeExt } from './change-btf'
import { changeCode } from './change-code'
import { changeElf } from './change-elf'
import type { Random } from './random'
import type { Input, PartKind, Target } from './targets'

/** An input, and how it was made: the number of a seed, and the changes since. */
export interface Entry {
  readonly input: Input
  readonly steps: readonly string[]
}

export interface Finding {
  readonly target: string
  /** The same for what has the same cause, as far as can be told. */
  readonly key: string
  readonly message: string
  readonly entry: Entry
}

/** Text that may be made of each byte of an input, and beside it: C and TypeScript say more than BTF does. */
const MOST_TEXT = { each: 1000, beside: 10_000_000 }

/** Messages are for people. */
const MOST_MESSAGE = 10_000

/** What inputs stay below, so that a run is many of them. */
const MOST_INPUT = 2 ** 16
const MOST_GROWN = 2 ** 20

/** An input made from another by a few changes. */
export function changed(target: Target, from: Entry, other: Entry, random: Random): Entry {
  const steps: string[] = []
  let input = from.input
  for (let left = 1 + random.below(random.once(3) ? 6 : 2); left > 0; left--) {
    const at = random.below(input.length)
    const before = input[at] as Uint8Array
    const [after, step] = change(
      target.parts[at] as PartKind,
      before,
      random,
      other.input[at] as Uint8Array,
      input[0] as Uint8Array,
    )
    const most = random.once(50) ? MOST_GROWN : Math.max(MOST_INPUT, before.length)
    if (after.length > most) continue
    input = input.map((part, i) => (i === at ? after : part))
    steps.push(input.length === 1 ? step : `${target.parts[at]}: ${step}`)
  }
  return { input, steps: [...from.steps, ...steps] }
}

function change(
  kind: PartKind,
  bytes: Uint8Array,
  random: Random,
  other: Uint8Array,
  first: Uint8Array,
): [Uint8Array, string] {
  switch (kind) {
    case 'elf':
      return changeElf(bytes, random, other)
    case 'btf':
      return changeBtf(bytes, random, other)
    case 'split':
      return changeBtf(bytes, random, other, typesOf(first) + 1)
    case 'ext':
      return changeExt(bytes, random, other)
    case 'code':
      return changeCode(bytes, random, other)
    default:
      return changeBytes(bytes, random, other)
  }
}

/** A guess is enough: with a wrong one types refer to each other otherwise. */
function typesOf(base: Uint8Array): number {
  return base.length > 16
    ? Math.floor(new DataView(base.buffer, base.byteOffset).getUint32(12, base[0] === 0x9f) / 20)
    : 0
}

/** Runs an input. What is wrong, if it comes to more than a refusal: a key and a message. */
export function judge(target: Target, input: Input): { readonly key: string; readonly message: string } | undefined {
  const size = input.reduce((sum, { length }) => sum + length, 0)
  try {
    const made = target.run(input)
    if (made <= MOST_TEXT.each * size + MOST_TEXT.beside) return undefined
    return { key: 'text', message: `${made} bytes of text from ${size} bytes` }
  } catch (error) {
    if (!target.refuses(error)) return { key: keyOf(error), message: describe(error) }
    return badRefusal(error as Error, size)
  }
}

/** A refusal gives a reason, and a place that is in the input. */
function badRefusal(error: Error & { reason?: unknown; offset?: unknown }, size: number) {
  const { message, reason, offset } = error
  const wrong =
    typeof reason !== 'string' || reason === ''
      ? 'no reason'
      : message.length > MOST_MESSAGE
        ? `a message of ${message.length}`
        : offset !== undefined && !(Number.isInteger(offset) && (offset as number) >= 0 && (offset as number) <= size)
          ? `offset ${String(offset)} of ${size} bytes`
          : undefined
  if (wrong === undefined) return undefined
  return { key: `${wrong.replaceAll(/\d+/g, 'n')} ${places(error)}`, message: `${wrong}\n${describe(error)}` }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).slice(0, 3000) : String(error)
}

/** The name of an error, and the topmost places in the library. */
function keyOf(error: unknown): string {
  return error instanceof Error ? `${error.name} ${places(error)}` : String(error)
}

function places({ stack = '' }: Error): string {
  const found = stack.split('\n').flatMap((line) => /(?:lib|syscalls)\/[\w/-]+\.ts:\d+/.exec(line) ?? [])
  return found.slice(0, 2).join(' < ')
}
