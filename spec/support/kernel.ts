/** What specs need of the machine, and how they say that it is missing. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { endianness, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FeatureQuestion, features } from '../../lib/features'
import { NR } from '../../syscalls/numbers'
import { SCALE } from './compiled'

const LE = endianness() === 'LE'

/** Makes the spec (in a hook: all specs of the suite) pending, and says why in the title: the kernel lacks something. */
export function pending(context: Mocha.Context, reason: string): never {
  const current = context.test
  const suite = current?.parent
  if (current !== undefined && suite !== undefined && 'type' in current && current.type === 'hook') {
    suite.eachTest((test) => {
      // A beforeEach hook comes here again with each spec.
      if (!test.title.endsWith(` (pending: ${reason})`)) test.title += ` (pending: ${reason})`
    })
  } else if (current !== undefined) {
    current.title += ` (pending: ${reason})`
  }
  return context.skip()
}

/**
 * Goes on only if the condition holds. If not the spec is pending with the reason, or fails under
 * EBPF_REQUIRE_KERNEL=1: for privileges and for what can be set up on a machine. What a kernel simply has not got is
 * said by `pending`, and fails nowhere.
 */
export function needs(context: Mocha.Context, condition: boolean, reason: string): void {
  if (condition) return
  if (process.env.EBPF_REQUIRE_KERNEL === '1') throw new Error(`EBPF_REQUIRE_KERNEL=1, but this spec needs ${reason}`)
  pending(context, `needs ${reason}`)
}

/** From Node.js 24 on, the shell of ts-node 10 takes every line for unfinished when it checks types. */
export const SHELL_CHECKS_NO_TYPES = Number.parseInt(process.versions.node, 10) >= 24

export function requireRoot(context: Mocha.Context): void {
  needs(context, process.platform === 'linux', 'Linux')
  needs(context, process.geteuid?.() === 0, 'root')
}

/** Whether this kernel is older: for what cannot be found out by trying. */
export function linuxBefore(major: number, minor: number): boolean {
  const [, is = '0', than = '0'] = /^(\d+)\.(\d+)/.exec(release()) ?? []
  return Number(is) < major || (Number(is) === major && Number(than) < minor)
}

/** Waits until the check holds: until it returns anything but false and throws nothing. The result is the check's. */
export async function eventually<T>(check: () => T | Promise<T>, what: string, ms = 30_000): Promise<T> {
  const deadline = Date.now() + ms / SCALE
  let last: unknown
  for (;;) {
    try {
      const result = await check()
      if (result !== false) return result
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${ms} ms: ${what}`, last === undefined ? undefined : { cause: last })
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

// enum bpf_cmd
const GET_NEXT_ID = { prog: 11, map: 12, btf: 23, link: 31 } as const

/**
 * The ids of all maps of the system, in order; with a `kind`, of its programs, BTFs or links. A way to the kernel that
 * has nothing in common with the library but koffi and the number of bpf(2). Throws where the kernel refuses.
 */
export function mapIds(kind: keyof typeof GET_NEXT_ID = 'map'): number[] {
  const koffi = require('koffi') as typeof import('koffi')
  syscall ??= koffi.load(null).func('syscall', 'long', ['long', 'int', 'void *', 'unsigned int']) as Syscall
  const ids: number[] = []
  const attr = new DataView(new ArrayBuffer(12))
  for (;;) {
    const result = syscall(NR.bpf, GET_NEXT_ID[kind], new Uint8Array(attr.buffer), attr.byteLength)
    if (result < 0) {
      const errno = koffi.errno()
      if (errno === koffi.os.errno.ENOENT) return ids
      throw new Error(`the ids of ${kind}s: errno ${errno}`)
    }
    const id = attr.getUint32(4, LE)
    ids.push(id)
    attr.setUint32(0, id, LE)
  }
}

type Syscall = (nr: number, command: number, attr: Uint8Array, size: number) => number
let syscall: Syscall | undefined

const mounts = new Set<string>()
/** Whether what is still mounted is undone when this process ends. */
let undoing = false

/** Mounts a bpf file system of its own in a new folder; throws where that is not allowed. */
export function mountBpffs(): { readonly path: string; unmount(): void } {
  const path = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
  try {
    execFileSync('mount', ['-t', 'bpf', 'bpf', path], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    rmdirSync(path)
    throw error
  }
  // Also when a spec ends the process, or never comes to its after hook.
  if (!undoing) process.once('exit', () => mounts.forEach(undo))
  undoing = true
  mounts.add(path)
  return { path, unmount: () => undo(path) }
}

function undo(path: string): void {
  if (!mounts.delete(path)) return
  // Lazily: whoever still holds an fd in it must not keep the mount.
  execFileSync('umount', ['-l', path], { stdio: 'ignore' })
  rmdirSync(path)
}

/** Runs `use` with the folder of a bpf file system, which is undone also when `use` fails. */
export async function withBpffs<T>(use: (path: string) => T | Promise<T>): Promise<T> {
  const { path, unmount } = mountBpffs()
  try {
    return await use(path)
  } finally {
    unmount()
  }
}

/** For a suite: a bpf file system from before its first spec until after its last. */
export function useBpffs(): { readonly path: string } {
  let mounted: ReturnType<typeof mountBpffs> | undefined
  before(function () {
    requireRoot(this)
    needs(this, existsSync('/sys/fs/bpf'), 'a kernel with the bpf file system')
    mounted = mountBpffs()
  })
  after(() => mounted?.unmount())
  return {
    get path() {
      if (mounted === undefined) throw new Error('the bpf file system is there in specs and hooks only')
      return mounted.path
    },
  }
}

/**
 * Goes on only if the kernel has the feature: ['mapType', 'arena'], ['lookupAndDelete'] ... One that it certainly lacks
 * makes the spec pending, with the version that brought it. Where that cannot be told, something is missing that a
 * machine can be given, as with `needs`.
 */
export function requireFeature(context: Mocha.Context, ...question: FeatureQuestion): void {
  const has = hasFeature(...question)
  if (has === true) return
  const said = features.explain(...question)
  if (has === false) pending(context, said)
  needs(context, false, `to be told that ${question.join(' ')} is there: ${said}`)
}

/** What `features` says, by a question. */
export function hasFeature(...question: FeatureQuestion): boolean | undefined {
  const [kind, ...names] = question
  const answer = features[kind] as boolean | undefined | ((...names: string[]) => boolean | undefined)
  return typeof answer === 'function' ? answer.apply(features, names as string[]) : answer
}
