/** Packages of Debian's releases, fetched with the machine's own apt, beside what is installed: nothing is installed. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Architecture = 'amd64' | 'arm64'

/** Where each kernel is found; the newest are in the last two. */
const SUITES = [
  'bullseye-security',
  'bookworm',
  'bookworm-security',
  'trixie',
  'trixie-security',
  'trixie-backports',
  'sid',
  'experimental',
] as const
/** What the guests' commands and C library are taken from: one that runs on all of the kernels. */
const USERLAND_SUITE = 'bookworm'

const MAX_AGE_MS = 24 * 3600 * 1000

/** Something that the matrix needs of the machine and that is not there; its message is all that a person needs. */
export class MissingError extends Error {
  override readonly name = 'MissingError'
}

/** Debian's packages for an architecture, in a folder of their own. */
export class Debian {
  readonly #folder: string
  readonly #architecture: Architecture
  readonly #options: readonly string[]

  constructor(folder: string, architecture: Architecture) {
    this.#folder = folder
    this.#architecture = architecture
    const settings = {
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'APT::Sandbox::User': 'root',
      'APT::Install-Recommends': 'false',
      'Acquire::Languages': 'none',
      'Acquire::Retries': '2',
      'Dir::Etc::sourcelist': join(folder, 'sources.list'),
      'Dir::Etc::sourceparts': '/dev/null',
      'Dir::Etc::preferencesparts': '/dev/null',
      'Dir::State': join(folder, 'state'),
      'Dir::State::lists': join(folder, 'lists'),
      // Nothing counts as installed: what packages depend on is fetched with them.
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(folder, 'cache'),
    }
    this.#options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  }

  /** Fetches the lists of packages, unless those that are here are of today. */
  update(): void {
    const stamp = join(this.#folder, 'updated')
    if (existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < MAX_AGE_MS) return
    for (const folder of ['lists/partial', 'state']) {
      mkdirSync(join(this.#folder, folder), { recursive: true })
    }
    const { main, security } = mirrors()
    const lines = SUITES.map((suite) => `deb ${suite.endsWith('-security') ? security : main} ${suite} main`)
    writeFileSync(join(this.#folder, 'sources.list'), `${lines.join('\n')}\n`)
    try {
      this.#apt('apt-get', ['-q', 'update'])
    } catch (error) {
      // One release that has been moved to the archive must not cost the others.
      if (this.names(/^linux-(image|binary)-/).length === 0) throw error
      console.warn(`not all of Debian's releases could be read: ${(error as Error).message}`)
    }
    writeFileSync(stamp, '')
  }

  /** The names of packages that match. */
  names(pattern: RegExp): string[] {
    return this.#apt('apt-cache', ['pkgnames'])
      .split('\n')
      .filter((name) => pattern.test(name))
  }

  /** Of some packages the one with the highest version, and that version. */
  newest(names: readonly string[]): { readonly name: string; readonly version: string } | undefined {
    if (names.length === 0) return undefined
    const offered = this.#apt('apt-cache', ['madison', ...names])
      .split('\n')
      .flatMap((line) => {
        const [name = '', version = ''] = line.split('|').map((part) => part.trim())
        return version === '' ? [] : [{ name, version }]
      })
    return offered.reduce<{ name: string; version: string } | undefined>(
      (best, next) => (best === undefined || isNewer(next.version, best.version) ? next : best),
      undefined,
    )
  }

  /** The folder with what is in a package; fetched and unpacked where it is not here yet. */
  unpacked(name: string, version: string): string {
    const folder = join(this.#folder, 'unpacked', `${name}_${version}`.replaceAll(/[^\w.+~-]/g, '_'))
    if (existsSync(folder)) return folder
    const download = `${folder}.download`
    rmSync(download, { recursive: true, force: true })
    mkdirSync(download, { recursive: true })
    this.#apt('apt-get', ['-q', 'download', `${name}=${version}`], download)
    unpack(download, folder)
    return folder
  }

  /** The folder with what is in some packages and in all that they depend on. */
  userland(packages: readonly string[]): string {
    const folder = join(this.#folder, 'unpacked', `userland-${packages.join('-')}`)
    if (existsSync(folder)) return folder
    const download = join(this.#folder, 'cache', 'archives')
    mkdirSync(join(download, 'partial'), { recursive: true })
    this.#apt('apt-get', ['-q', '-y', '--download-only', '-t', USERLAND_SUITE, 'install', ...packages])
    unpack(download, folder)
    return folder
  }

  #apt(command: 'apt-get' | 'apt-cache', args: readonly string[], cwd = this.#folder): string {
    try {
      return execFileSync(command, [...this.#options, ...args], {
        cwd,
        encoding: 'utf8',
        maxBuffer: 1 << 28,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    } catch (error) {
      const { code, stderr } = error as { code?: string; stderr?: string }
      if (code === 'ENOENT')
        throw new MissingError(`${command} is not here: the kernels are packages of Debian, and are fetched with it`)
      throw new MissingError(`${command} ${args.join(' ')} (${this.#architecture}) failed:\n${stderr ?? String(error)}`)
    }
  }
}

/** All packages of a folder into another, which is there only when it is complete; what people read is left out. */
function unpack(from: string, to: string): void {
  const partial = `${to}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  for (const name of readdirSync(from)) {
    if (name.endsWith('.deb'))
      execFileSync('dpkg-deb', ['-x', join(from, name), partial], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  for (const folder of ['doc', 'man', 'locale', 'info', 'bash-completion', 'lintian', 'perl5']) {
    rmSync(join(partial, 'usr', 'share', folder), { recursive: true, force: true })
  }
  rmSync(from, { recursive: true, force: true })
  renameSync(partial, to)
}

/** Where this machine has Debian's packages from. */
function mirrors(): { readonly main: string; readonly security: string } {
  const given = process.env.DEBIAN_MIRROR
  if (given !== undefined)
    return { main: given, security: process.env.DEBIAN_SECURITY_MIRROR ?? `${given.replace(/\/$/, '')}-security` }
  const format = '$(ORIGIN)|$(LABEL)|$(REPO_URI)'
  const lines = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  }).split('\n')
  const of = (label: string) => lines.find((line) => line.startsWith(`Debian|${label}|`))?.split('|')[2]
  const main = of('Debian')
  if (main === undefined) {
    throw new MissingError(
      "the kernels are packages of Debian, and this machine's apt knows none of its mirrors (run `apt-get update` once, or set DEBIAN_MIRROR to one's address)",
    )
  }
  return { main, security: of('Debian-Security') ?? `${main.replace(/\/$/, '')}-security` }
}

function isNewer(a: string, b: string): boolean {
  try {
    execFileSync('dpkg', ['--compare-versions', a, 'gt', b], { stdio: 'ignore' })
    return true
  } catch {
    return false // The exit code is the answer.
  }
}
