import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { STORIES } from '../stories'
import { withOwnObject } from './object'
import { explainFailure, missingPrivilege } from './privilege'
import { type Say, type Story, StoryError, UsageError } from './story'
import { bold } from './terminal'

const FAILED = 1
const USAGE = 2
/** What shells give for a command that SIGINT ended. */
const INTERRUPTED = 130

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** How much later than its children this process may hear of a signal that is for all of them. */
const HEARING_MS = 200

/** Where it is said. */
export interface Outputs {
  readonly out: Say
  readonly error: Say
}

/**
 * Runs the story that the arguments name, or lists all; the exit code. Where `over` is aborted, nobody listens any more: the
 * story ends as by Ctrl-C.
 */
export async function runStory(
  [name, ...args]: readonly string[],
  outputs: Outputs,
  over?: AbortSignal,
): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    outputs.out(list())
    return 0
  }
  const story = Object.hasOwn(STORIES, name) ? STORIES[name] : undefined
  if (story === undefined) {
    outputs.error(`There is no story '${name}'.\n\n${list()}`)
    return USAGE
  }
  const values = valuesOf(story, 'object' in story.options ? withOwnObject(name, args) : args)
  if (typeof values === 'string') {
    outputs.error(`${values}\n\n${usage(name, story)}`)
    return USAGE
  }
  if (values.help === true) {
    outputs.out(usage(name, story))
    return 0
  }
  const missing = missingPrivilege(`npm run story -- ${name}`)
  if (missing !== undefined) {
    outputs.error(missing)
    return FAILED
  }
  try {
    return await run(story, values, outputs, over)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    outputs.error(`${error.message}\n\n${usage(name, story)}`)
    return USAGE
  }
}

function list(): string {
  const width = Math.max(...Object.keys(STORIES).map((name) => name.length))
  const lines = Object.entries(STORIES).map(([name, { summary }]) => `  ${bold(name.padEnd(width))}  ${summary}`)
  return `Programs in the kernel, and what TypeScript does with them:

${lines.join('\n')}

npm run story -- NAME           tells one, on this kernel, as root; Ctrl-C ends it and leaves nothing behind
npm run story -- NAME --help    what it shows, and its options`
}

function usage(name: string, story: Story): string {
  return `npm run story -- ${name}: ${story.summary}\n\n${story.usage.trim()}`
}

/** The values of the options, or what is wrong with them. */
function valuesOf(story: Story, args: readonly string[]): Record<string, unknown> | string {
  const options = { ...story.options, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    if (error instanceof TypeError && 'code' in error) return error.message
    throw error
  }
}

async function run(
  story: Story,
  values: Record<string, unknown>,
  { out, error: complain }: Outputs,
  over?: AbortSignal,
): Promise<number> {
  const controller = new AbortController()
  const { signal } = controller
  const abort = () => controller.abort()
  // Once: who is not heard the first time ends the process with the second.
  for (const name of SIGNALS) process.once(name, abort)
  over?.addEventListener('abort', abort)
  if (over?.aborted === true) abort()
  try {
    await story.tell(out, values as never, signal)
    return 0
  } catch (error) {
    if (error instanceof UsageError) throw error
    // Ctrl-C is for the whole group: a command that was waited for dies of it before anything is heard of it here.
    const killed = SIGNALS.some((name) => (error as { signal?: unknown }).signal === name)
    if (killed) await pause(HEARING_MS, undefined, { signal }).catch(() => {})
    if (signal.aborted && (killed || (error as Error).name === 'AbortError')) return INTERRUPTED
    complain(error instanceof StoryError ? error.message : explainFailure(error))
    return FAILED
  } finally {
    over?.removeEventListener('abort', abort)
    for (const name of SIGNALS) process.removeListener(name, abort)
  }
}
