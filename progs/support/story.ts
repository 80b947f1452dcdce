import type { ParseArgsConfig, parseArgs } from 'node:util'

/** Prints a text, of one line or more. */
export type Say = (text: string) => void

/** As parseArgs of node:util takes them. */
export type Options = NonNullable<ParseArgsConfig['options']>

/** What the options of a story come to. */
export type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O }>>['values']

/** A program and what happens around it, told while it happens: `npm run story -- NAME`. */
export interface Story<O extends Options = Options, T = unknown> {
  /** One line, for the list of all. */
  readonly summary: string
  /** What it shows, and its options: for --help. */
  readonly usage: string
  readonly options: O
  /**
   * Tells it, and gives what a spec wants to know of the telling. Ends early, by returning or with an AbortError, when the
   * signal says so. Whichever way it ends, nothing of it is left on the machine.
   */
  tell(say: Say, values: Values<O>, signal: AbortSignal): Promise<T>
}

/** Gives the story, with the types of its options worked out. */
export function defineStory<const O extends Options, T>(story: Story<O, T>): Story<O, T> {
  return story
}

/** A failure that is the machine's or the reader's, and is told without a stack. */
export class StoryError extends Error {
  override readonly name = 'StoryError'
}

/** An option's value that is none for it: told with the story's options. */
export class UsageError extends StoryError {}

/** An option's text as a whole number from `least` to `most`. Throws UsageError. */
export function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new UsageError(`--${name} takes a whole number from ${least} to ${most}, not '${text}'`)
}
