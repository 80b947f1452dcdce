/** Another process, for what may end it: a crash, an exception that nobody catches, a faked platform. */
import { type SpawnSyncReturns, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { builtLibrary, ROOT } from './built'
import { LOADER_OPTIONS } from './compiled'

/** How long a child may take: only for one that hangs. Machines that do other things take ten times as long as others. */
const LIMIT_MS = 120_000

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
  /**
   * The library as it was compiled once for all specs: for who loads all of it, which ts-node compiles for seconds in each
   * process. There are only `lib` and `syscalls`.
   */
  readonly built?: boolean
}

/** The arguments of node. */
function args(run: (there: There) => unknown, { input, prelude, built = false }: ChildOptions): string[] {
  const script = `${prelude ?? ''};
    const load = (path) => require(${JSON.stringify(`${built ? builtLibrary() : ROOT}/`)} + path);
    (${run.toString()})({ load, input: ${JSON.stringify(input ?? null)} })`
  return [...(built ? [] : LOADER_OPTIONS), '--expose-gc', '-e', script]
}

function environment(options: ChildOptions) {
  return { cwd: ROOT, env: { ...process.env, ...options.env } }
}

/** Runs the function in a child process, and waits for its end. */
export function inChild(run: (there: There) => unknown, options: ChildOptions = {}): SpawnSyncReturns<string> {
  const { stdio = 'pipe' } = options
  const settings = { ...environment(options), stdio, encoding: 'utf8', timeout: LIMIT_MS } as const
  const [command, ...all] = [...(options.wrapper ?? []), process.execPath, ...args(run, options)]
  return spawnSync(command as string, all, settings)
}

/** The same without blocking: what it wrote, and how it ended. */
export async function inChildAsync(run: (there: There) => unknown, options: ChildOptions = {}) {
  const child = spawn(process.execPath, args(run, options), environment(options))
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
