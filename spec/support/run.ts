import { execFile } from 'node:child_process'
import { join } from 'node:path'

/** The clone's top folder. */
export const ROOT = join(__dirname, '..', '..')

export interface ChildOptions {
  /** Capabilities that the child shall not have: ['sys_admin']. */
  readonly without?: readonly string[]
  /** Limit of its open files. */
  readonly maxFds?: number
  readonly nodeArgs?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface ChildResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs JavaScript in a node of its own, from the clone's top folder, where `require('./lib')` is the library: for what
 * would change or end this process.
 */
export function runInChild(script: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { without = [], maxFds, nodeArgs = [], env = {} } = options
  const node = [process.execPath, ...nodeArgs, '-r', 'ts-node/register/transpile-only', '-e', script]
  return run(withoutCapabilities(withFds(node, maxFds), without), env)
}

/** Runs a command from the clone's top folder. */
export function run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ChildResult> {
  const [file = '', ...args] = command
  return new Promise((resolve) => {
    execFile(file, args, { cwd: ROOT, env: { ...process.env, ...env }, timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null
      resolve({ code, stdout, stderr })
    })
  })
}

/** The same command without capabilities, also for root: they leave the bounding set, and exec gives no more than that. */
export function withoutCapabilities(command: readonly string[], without: readonly string[]): readonly string[] {
  if (without.length === 0) return command
  return ['setpriv', `--bounding-set=${without.map((name) => `-${name}`).join(',')}`, ...command]
}

function withFds(command: readonly string[], maxFds: number | undefined): readonly string[] {
  if (maxFds === undefined) return command
  return ['prlimit', `--nofile=${maxFds}:${maxFds}`, ...command]
}
