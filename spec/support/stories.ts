/** Stories told to a spec, and run as somebody at a terminal runs them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { programs } from '../../lib'
import { objectPath } from '../../progs/support/object'
import type { Options, Story, Values } from '../../progs/support/story'
import { ROOT } from './built'
import { EXTENSION, LOADER_OPTIONS } from './compiled'
import { needs } from './kernel'

/** Where a story's program and maps come from: its TypeScript, or the object that is kept of its C. */
export interface Source {
  readonly from: string
  /** The object's path, for `--object`. */
  readonly object: string | undefined
}

/** All of a story's sources: what holds of one holds of the others. */
export function sources(name: string): readonly Source[] {
  return [
    { from: 'TypeScript', object: undefined },
    { from: 'the object', object: objectPath(name) },
  ]
}

/** Goes on where this machine can run what comes from there. */
export function requireSource(context: Mocha.Context, { object }: Source): void {
  if (object !== undefined) needs(context, endianness() === 'LE', 'a little-endian machine, for which the object is')
}

/** The values of options that name a source. */
export function given({ object }: Source): { readonly object?: string } {
  return object === undefined ? {} : { object }
}

/** The command of `npm run story`. */
export const STORY = [process.execPath, ...LOADER_OPTIONS, `progs/main${EXTENSION}`]

const LIMIT_MS = 180_000

export interface Telling<T> {
  readonly told: T
  /** All that was said. */
  readonly text: string
}

/** Tells a story here; `heard` is given each text, and the signal is nobody's unless given. */
export async function telling<O extends Options, T>(
  story: Story<O, T>,
  values: Partial<Values<O>> = {},
  heard: (text: string) => void = () => {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Telling<T>> {
  const texts: string[] = []
  const defaults = Object.entries(story.options).map(([name, option]) => [name, option.default])
  const say = (text: string) => {
    texts.push(text)
    heard(text)
  }
  const told = await story.tell(say, { ...Object.fromEntries(defaults), ...values } as Values<O>, signal)
  return { told, text: texts.join('\n') }
}

/** Runs a story in a process, and sends it SIGINT once it has said so; its exit code, and what else was on its outputs. */
export async function interrupted(args: readonly string[], after: string) {
  const [file = '', ...options] = STORY
  const child = spawn(file, [...options, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (!stdout.includes(after) && (stdout + text).includes(after)) child.kill('SIGINT')
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // One that hangs would keep this process from ending, too.
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  return { code: code as number | null, stdout, stderr, pid: child.pid as number }
}

/** Runs a story in a process, and hears no more than the beginning of it. */
export async function unheard(args: readonly string[]) {
  const [file = '', ...options] = STORY
  const child = spawn(file, [...options, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.once('data', () => child.stdout.destroy())
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return { code: code as number | null, stderr }
}

/** Programs of the kernel by this name. */
export function programsNamed(name: string): number {
  return [...programs()].filter((program) => program.name === name).length
}

/** Processes that run as a user: by /proc. */
export function processesOf(uid: number): number[] {
  return processesWith(`\nUid:\t${uid}\t`)
}

/** The processes that this one has started and that have not ended: by /proc. */
export function children(): number[] {
  return processesWith(`\nPPid:\t${process.pid}\n`)
}

function processesWith(status: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statusOf(name).includes(status))
    .map(Number)
}

function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    return '' // It has ended meanwhile.
  }
}

/** What is mounted of tracefs. */
export function tracefsMounts(): string[] {
  return readFileSync('/proc/self/mounts', 'latin1')
    .split('\n')
    .filter((line) => line.split(' ')[2] === 'tracefs')
}
