/** What main thread and worker tell each other. */
import type { Entry, Finding } from './fuzzer'

/** Largest input, with the lengths of its parts before it. */
export const SHARED_BYTES = 4 * 2 ** 20

/** Words at the start of the shared memory: how many inputs were run, and how many parts the last one has. */
export const COUNT = 0
export const PARTS = 1
export const FIRST_PART = 2
const HEAD_BYTES = 64

export interface Work {
  readonly target: string
  readonly seed: number
  /** Milliseconds, from when the seeds have been run. */
  readonly time: number
  readonly shared: SharedArrayBuffer
  /** What was kept before, in this run or another. */
  readonly corpus: readonly Entry[]
  /** Keys of what is known. */
  readonly known: readonly string[]
}

export type Message =
  | { readonly kind: 'started' }
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'finding'; readonly finding: Finding; readonly recipe: string }
  | {
      readonly kind: 'done'
      readonly seeds: readonly number[]
      readonly blocks: readonly number[]
      readonly all: number
    }

/** Writes an input where it is still to be found after the worker is gone. */
export function putInput(shared: SharedArrayBuffer, input: readonly Uint8Array[]): void {
  const words = new Int32Array(shared)
  words[PARTS] = input.length
  let at = HEAD_BYTES
  for (const [i, part] of input.entries()) {
    words[FIRST_PART + i] = part.length
    new Uint8Array(shared, at, part.length).set(part)
    at += part.length
  }
}

export function takeInput(shared: SharedArrayBuffer): Uint8Array[] {
  const words = new Int32Array(shared)
  let at = HEAD_BYTES
  return Array.from({ length: words[PARTS] as number }, (_, i) => {
    const length = words[FIRST_PART + i] as number
    at += length
    return new Uint8Array(shared, at - length, length).slice()
  })
}
