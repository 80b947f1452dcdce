import { execFile } from 'node:child_process'
import { builtLibrary, ROOT } from './built'

export interface RunOptions {
  /** Capabilities that the child shall not have: ['sys_admin']. */
  readonly without?: readonly string[]
  /** Limit of its open files. */
  readonly maxFds?: number
  readonly env?: Readonly<Record<string, string>>
}

export interface RunResult {
  /** The exit code; null where a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs JavaScript in a node of its own, where `require('./lib')` is the library: with fewer privileges or fds than this
 * process has.
 */
export function runInChild(script: string, options: RunOptions = {}): Promise<RunResult> {
  return run([process.execPath, '-e', script], options, builtLibrary())
}

/** How long a command may take: only for one that hangs. Some compile, on machines that do other things. */
const LIMIT_MS = 180_000

/** Runs a command from the clone's top folder. */
export function run(command: readonly string[], options: RunOptions = {}, cwd = ROOT): Promise<RunResult> {
  const { without = [], maxFds, env = {} } = options
  const [file = '', ...args] = limited(command, without, maxFds)
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env: { ...process.env, ...env }, timeout: LIMIT_MS }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null
      resolve({ code, stdout, stderr })
    })
  })
}

/** Capabilities leave the bounding set: also for root, exec gives no more than that. */
function limited(
  command: readonly string[],
  without: readonly string[],
  maxFds: number | undefined,
): readonly string[] {
  const fds = maxFds === undefined ? [] : ['prlimit', `--nofile=${maxFds}:${maxFds}`]
  const bounding = without.map((name) => `-${name}`).join(',')
  const capabilities = without.length === 0 ? [] : ['setpriv', `--bounding-set=${bounding}`]
  return [...fds, ...capabilities, ...command]
}
