import { readdirSync, readFileSync } from 'node:fs'
import { throwKernelError } from '../../syscalls/errno'
import { nearest } from '../text/nearest'

/** The folder tree in which the kernel tells of its tracepoints (Documentation/trace/ftrace.rst). */

/** Where it is mounted, when it is. */
const USUAL = '/sys/kernel/tracing'

/** Its folder; undefined where it is not mounted. With debugfs it is there as well, below tracing. */
export function tracefsRoot(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'latin1')
  const rootOf = (type: string) => {
    const path = new RegExp(`^\\S+ (\\S+) ${type} `, 'm').exec(mounts)?.[1]
    // Blanks and their like are written in octal (man 5 fstab).
    return path?.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
  }
  const own = rootOf('tracefs')
  if (own !== undefined) return own
  const debugfs = rootOf('debugfs')
  return debugfs === undefined ? undefined : `${debugfs}/tracing`
}

/**
 * The number of a tracepoint, by which perf_event_open(2) knows it. Errors: ENOENT (there is none of this name, or
 * tracefs is not mounted), EACCES (tracefs is not for this user).
 */
export function tracepointId(category: string, name: string): number {
  checkApart(category, name)
  checkTracepoint('category', category)
  checkTracepoint('name', name)
  const text = readTracefs(`events/${category}/${name}/id`, `tracepoint ${category}:${name}`, (root) =>
    unknownTracepoint(root, category, name),
  )
  return Number(text)
}

/** The functions of the kernel that kprobe_multi can trace. Errors: ENOENT (tracefs is not mounted), EACCES. */
export function traceableFunctions(): readonly string[] {
  const hint = () => 'the kernel was built without the tracing of functions (CONFIG_DYNAMIC_FTRACE)'
  const text = readTracefs('available_filter_functions', 'the list of functions that can be traced', hint)
  // 'name' or 'name [module]'; some stand for code that is there no longer.
  const names = text.split('\n').map((line) => line.split(' ', 1)[0] ?? '')
  return [...new Set(names.filter((name) => name !== '' && !name.startsWith('__ftrace_invalid_address__')))]
}

function readTracefs(file: string, description: string, missing: (root: string) => string | undefined): string {
  const root = tracefsRoot()
  const path = `${root ?? USUAL}/${file}`
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException
    if (typeof errno !== 'number') throw error
    const hint = (_command: string, code: string) => {
      if (root === undefined) return `tracefs is not mounted:  mount -t tracefs tracefs ${USUAL}`
      if (code === 'EPERM' && process.geteuid?.() === 0) {
        return 'the kernel keeps it from root as well: lockdown (man 7 kernel_lockdown) or a security module forbids it'
      }
      if (code === 'EACCES' || code === 'EPERM') return `${root} is for root, unless it was mounted for a group (gid=)`
      return code === 'ENOENT' || code === 'ENOTDIR' ? missing(root) : undefined
    }
    throwKernelError(-errno, { syscall: 'open', command: 'open', subject: { description, hint } })
  }
}

/** What may be a part of a path, and no more than one. */
export function checkTracepoint(what: string, part: string): void {
  if (typeof part !== 'string') throw new TypeError(`the ${what} of a tracepoint is a string, not ${typeof part}`)
  if (!/^[^/\0]+$/.test(part) || part === '.' || part === '..') {
    throw new RangeError(`${JSON.stringify(part)} cannot be the ${what} of a tracepoint`)
  }
}

/** Sections of objects and tools write a tracepoint's category and its name as one. */
function checkApart(category: unknown, name: unknown): void {
  if (typeof category !== 'string' || !(category.includes('/') || name === undefined)) return
  const [, first, second] = /(?:^|\/)([^/:]+)[/:]([^/:]+)$/.exec(category) ?? []
  if (first === undefined || second === undefined) return
  throw new RangeError(
    `${JSON.stringify(category)} cannot be the category of a tracepoint: category and name apart: attachTracepoint(program, '${first}', '${second}')`,
  )
}

function unknownTracepoint(root: string, category: string, name: string): string {
  const categories = foldersIn(`${root}/events`)
  if (categories.length === 0) return `there are no tracepoints in ${root}: the kernel was built without tracing`
  if (!categories.includes(category)) {
    // Who knows the name of an event often does not know where it is.
    const with_ = categories.filter((each) => foldersIn(`${root}/events/${each}`).includes(name))
    const near = with_.length > 0 ? with_.join("' or '") : nearest(category, categories)
    return `there is no category '${category}'${did(near)} (${root}/events lists them)`
  }
  const near = nearest(name, foldersIn(`${root}/events/${category}`))
  return `there is no '${name}' in this category${did(near)} (${root}/events/${category} lists what there is)`
}

function did(near: string | undefined): string {
  return near === undefined ? '' : `: did you mean '${near}'?`
}

/** None where it cannot be read: it is asked for when something else has failed already, which has to be told. */
function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    return []
  }
}
