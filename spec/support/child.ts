/** Another process, for what may end it: a crash, an exception that nobody catches, a faked platform. */
import { type SpawnSyncReturns, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { LOADER_OPTIONS } from './compiled'

const ROOT = join(__dirname, '../..')
/** How long a child may take. */
const LIMIT_MS = 50_000
const ARGUMENTS = [...LOADER_OPTIONS, '--expose-gc', '-e']

/** What the function that runs there is given. Nothing else of the spec's is there: it goes over as text. */
export interface There {
  /** A module by its path from the project's root: 'syscalls/poll'. */
  load: <T>(path: string) => T
  /** Whatever was passed; it went through JSON. */
  input: never
}

export interface ChildOptions {
  readonly input?: unknown
  readonly stdio?: StdioOptions
  readonly env?: Readonly<Record<string, string>>
  /** JavaScript to run before anything is loaded. */
  readonly prelude?: string
  /** What runs node there, and its arguments: setpriv, with fewer privileges. */
  readonly wrapper?: readonly string[]
}

function script(run: (there: There) => unknown, { input, prelude }: ChildOptions): string {
  return `${prelude ?? ''};
    const load = (path) => require(${JSON.stringify(`${ROOT}/`)} + path);
    (${run.toString()})({ load, input: ${JSON.stringify(input ?? null)} })`
}

function environment(options: ChildOptions) {
  return { cwd: ROOT, env: { ...process.env, ...options.env } }
}

/** Runs the function in a child process, and waits for its end, 15 s at most. */
export function inChild(run: (there: There) => unknown, options: ChildOptions = {}): SpawnSyncReturns<string> {
  const { stdio = 'pipe' } = options
  const settings = { ...environment(options), stdio, encoding: 'utf8', timeout: LIMIT_MS } as const
  const [command, ...args] = [...(options.wrapper ?? []), process.execPath, ...ARGUMENTS, script(run, options)]
  return spawnSync(command as string, args, settings)
}

/** The same without blocking: what it wrote, and how it ended. */
export async function inChildAsync(run: (there: There) => unknown, options: ChildOptions = {}) {
  const child = spawn(process.execPath, [...ARGUMENTS, script(run, options)], environment(options))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  clearTimeout(timer)
  return { stdout, stderr, status, signal }
}
