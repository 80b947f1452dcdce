/** What a guest finds in its root: a small Debian, Node.js, the library and its specs as JavaScript. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { join } from 'node:path'
import { CpioWriter } from './cpio'
import { type Architecture, type Debian, MissingError } from './debian'
import type { Kernel } from './kernel'

const ROOT = join(__dirname, '..', '..')
/** Where the project stands in a guest. */
export const HOME = '/ebpf-ts'

/** Debian's packages of the commands that specs and stories run. */
const PACKAGES = ['libc6', 'libstdc++6', 'busybox-static', 'bpftool', 'iproute2', 'util-linux', 'mount']
/** The packages that the compiled specs load. */
const MODULES = ['koffi', 'mocha', 'chai', 'fast-check']
const NODE_ARCHITECTURE = { amd64: 'x64', arm64: 'arm64' } as const

/** An archive with everything but the project and the kernel's modules; made once, and again when what is in it changes. */
export function baseImage(folder: string, debian: Debian, architecture: Architecture): string {
  const path = join(folder, `base-${process.version}.cpio`)
  const lock = join(ROOT, 'package-lock.json')
  const made = `${path}.lock.json`
  if (existsSync(path) && existsSync(made) && readFileSync(made, 'utf8') === readFileSync(lock, 'utf8')) return path
  const userland = debian.userland(PACKAGES)
  const cpio = new CpioWriter(`${path}.partial`)
  cpio.folder('dev').characterDevice('dev/console', 5, 1).characterDevice('dev/null', 1, 3)
  cpio.tree(userland, '')
  for (const mountPoint of ['proc', 'sys', 'tmp', 'run', 'root', 'var/tmp']) cpio.folder(mountPoint)
  cpio.file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n')
  cpio.file('etc/group', 'root:x:0:\nnogroup:x:65534:\n').file('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n')
  cpio.file('usr/bin/node', nodeBinary(folder, architecture), true)
  for (const name of closure(MODULES, architecture))
    cpio.tree(moduleFolder(folder, name), `${HOME}/node_modules/${name}`, isForPeople)
  cpio.close()
  renameSync(`${path}.partial`, path)
  copyFileSync(lock, made)
  return path
}

/** An archive with the project, compiled: the same for all kernels and architectures. */
export function projectImage(folder: string): string {
  const compiled = join(folder, 'compiled')
  rmSync(compiled, { recursive: true, force: true })
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['-p', 'scripts/kernels/tsconfig.json', '--outDir', compiled]
  execFileSync(process.execPath, [tsc, ...options], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  const path = join(folder, 'project.cpio')
  const cpio = new CpioWriter(path).tree(compiled, HOME)
  // What specs and stories read beside themselves: compiled objects and their sources.
  for (const tree of ['spec', 'progs']) {
    cpio.tree(join(ROOT, tree), `${HOME}/${tree}`, (file) => file.endsWith('.ts'))
  }
  cpio.file(`${HOME}/package.json`, readFileSync(join(ROOT, 'package.json')))
  cpio.file('init', readFileSync(join(__dirname, 'guest', 'init.sh')), true)
  cpio.close()
  return path
}

/** An archive with what mocha is told in the guest. */
export function optionsImage(folder: string, options: readonly string[]): string {
  const path = join(folder, 'options.cpio')
  new CpioWriter(path).file(`${HOME}/scripts/kernels/guest/options.json`, JSON.stringify(options)).close()
  return path
}

/** The root of one guest: the archives, one behind the other, with the kernel's modules. */
export function guestImage(folder: string, archives: readonly string[], { asked, modules }: Kernel): string {
  const path = join(folder, `guest-${asked}.cpio`)
  const own = join(folder, `modules-${asked}.cpio`)
  const cpio = new CpioWriter(own).folder('modules')
  // Numbered: they are loaded in this order.
  for (const [i, { name, content }] of modules.entries()) cpio.file(`modules/${i}-${name}`, content)
  cpio.close()
  rmSync(path, { force: true })
  for (const archive of [...archives, own]) appendFileSync(path, readFileSync(archive))
  return path
}

/** The Node.js that runs this script; for another architecture the same version, as the npm registry has it. */
function nodeBinary(folder: string, architecture: Architecture): Uint8Array {
  if (process.arch === NODE_ARCHITECTURE[architecture]) return readFileSync(process.execPath)
  const name = `node-linux-${NODE_ARCHITECTURE[architecture]}`
  return readFileSync(join(npmPackage(folder, name, process.version.slice(1)), 'bin', 'node'))
}

/** The names of packages, and of those that they depend on; koffi's binary is that of the guest. */
function closure(names: readonly string[], architecture: Architecture): ReadonlySet<string> {
  const all = new Set<string>()
  const add = (name: string) => {
    if (all.has(name)) return
    all.add(name)
    const { dependencies = {} } = manifest(name)
    Object.keys(dependencies).forEach(add)
  }
  names.forEach(add)
  all.add(`@koromix/koffi-linux-${NODE_ARCHITECTURE[architecture]}`)
  return all
}

function manifest(name: string): {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
} {
  return JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
}

/** As it is installed; koffi's binary of another architecture is fetched. */
function moduleFolder(folder: string, name: string): string {
  const installed = join(ROOT, 'node_modules', name)
  return existsSync(installed) ? installed : npmPackage(folder, name, manifest('koffi').version)
}

function npmPackage(folder: string, name: string, version: string): string {
  const unpacked = join(folder, 'npm', `${name.replaceAll(/[@/]/g, '_')}-${version}`)
  if (existsSync(unpacked)) return join(unpacked, 'package')
  const partial = `${unpacked}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  try {
    execFileSync('npm', ['pack', '--silent', `${name}@${version}`], {
      cwd: partial,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  } catch (error) {
    throw new MissingError(`npm has no ${name}@${version}:\n${(error as { stderr?: Buffer }).stderr ?? error}`)
  }
  const [tarball = ''] = readdirSync(partial)
  execFileSync('tar', ['-xzf', tarball], { cwd: partial })
  rmSync(join(partial, tarball))
  renameSync(partial, unpacked)
  return join(unpacked, 'package')
}

/** What no program reads. */
function isForPeople(path: string): boolean {
  return /\.(md|map|d\.[cm]?ts|[ch]pp|txt)$|\/(doc|docs)$/.test(path)
}
