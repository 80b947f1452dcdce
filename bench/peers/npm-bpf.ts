/**
 * The npm package `bpf`: node-gyp bindings of libbpf, the other way to reach BPF maps from Node.js. It lives in a
 * folder of its own (bench/.peers, ignored by git): the main tree never runs an install script, and must not know of
 * it.
 *
 * What it needs: nothing where one of its prebuilt addons fits (linux x64, ia32, arm, arm64 with glibc and
 * libstdc++). Elsewhere its addon is compiled, with g++, make, python3 and the headers of Node.js; libbpf 0.9.0 and
 * libelf 0.180 are in the package, zlib.h comes with the headers of Node.js.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** What the benchmarks use of it. */
export interface NpmBpf {
  openMap(id: number): NpmMapRef
  ConvMap: new <K, V>(ref: NpmMapRef, key: NpmConversion<K>, value: NpmConversion<V>) => NpmConvMap<K, V>
  RawMap: new (ref: NpmMapRef) => NpmRawMap
  u32type: NpmConversion<number>
  version: string
}

export interface NpmMapRef {
  readonly fd: number
  close(): void
}

export interface NpmConversion<T> {
  parse(buffer: Buffer): T
  format(buffer: Buffer, value: T): void
}

export interface NpmConvMap<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): this
  delete(key: K): boolean
  entries(): Iterable<[K, V]>
  getBatch(batchSize: number): Iterable<[K, V][]>
  setBatch(entries: [K, V][]): this
}

export interface NpmRawMap {
  get(key: Buffer, flags?: number, out?: Buffer): Buffer | undefined
  set(key: Buffer, value: Buffer): this
  delete(key: Buffer): boolean
}

const SOURCE = join(__dirname, 'npm-bpf')
const FOLDER = join(__dirname, '..', '.peers', 'npm-bpf')
const INSTALLED = join(FOLDER, 'node_modules', 'bpf')

const REMEDY =
  "where no prebuilt addon fits it is compiled (Debian: apt-get install g++ make python3, and Node's headers)"

/** The path to require it by, or why it is not there. */
export function installNpmBpf(): { path: string } | { absent: string } {
  try {
    if (!isInstalled()) install()
    // Loading an addon that does not fit throws; that is tried outside of this process first.
    if (!loads()) npm('rebuild', '--ignore-scripts=false', '--foreground-scripts')
    if (!loads()) throw new Error('its addon does not load')
    return { path: INSTALLED }
  } catch (error) {
    return { absent: explain(error) }
  }
}

export function loadNpmBpf(): NpmBpf | string {
  const installed = installNpmBpf()
  if ('absent' in installed) return installed.absent
  const module: unknown = createRequire(join(FOLDER, 'package.json'))('bpf')
  return module as NpmBpf
}

function pinned(): string {
  const { dependencies } = JSON.parse(readFileSync(join(SOURCE, 'package.json'), 'utf8')) as {
    dependencies: { bpf: string }
  }
  return dependencies.bpf
}

function isInstalled(): boolean {
  const manifest = join(INSTALLED, 'package.json')
  if (!existsSync(manifest)) return false
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version === pinned()
}

/** No script runs here: the prebuilt addons are part of the package. */
function install(): void {
  process.stderr.write(`installing bpf ${pinned()} into bench/.peers ...\n`)
  mkdirSync(FOLDER, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(SOURCE, file), join(FOLDER, file))
  npm('ci', '--ignore-scripts', '--no-audit', '--no-fund')
}

function npm(...args: string[]): void {
  execFileSync('npm', args, { cwd: FOLDER, stdio: 'pipe' })
}

function loads(): boolean {
  try {
    execFileSync(process.execPath, ['-e', 'require("bpf")'], { cwd: FOLDER, stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

function explain(error: unknown): string {
  const { code, stderr, message } = error as { code?: string; stderr?: Buffer; message: string }
  if (code === 'ENOENT') return 'npm is not there'
  const output = stderr?.toString() ?? ''
  if (/EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET/.test(output)) return 'the npm registry cannot be reached'
  const reason =
    output.match(/(?:gyp ERR! stack (?:Error: )?|error: |npm error )(.*)/)?.[1] ?? message.split('\n', 1)[0]
  return `${reason}; ${REMEDY}`
}
