/** A project of somebody else, in a folder of its own, which has the packed library installed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const ROOT = join(__dirname, '..', '..')

/** What the README tells a user of TypeScript to have; the types of Node.js come with ts-node, as its peer. */
const TSCONFIG = { compilerOptions: { module: 'node20', target: 'es2022' } }

/** How long a command may take: only for one that hangs. */
const LIMIT_MS = 300_000

/** Neither this run's ts-node nor its npm may have a say in what a stranger's processes do. */
function strangersEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(TS_NODE_|NODE_OPTIONS$|NODE_PATH$|EBPF_|npm_)/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

export interface Output {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(command: string, args: readonly string[], cwd: string, input = ''): Output {
  return spawnSync(command, args, { cwd, input, encoding: 'utf8', env: strangersEnvironment(), timeout: LIMIT_MS })
}

function npm(args: readonly string[], cwd: string): void {
  const { status, stdout, stderr } = run('npm', ['--loglevel=error', '--no-update-notifier', ...args], cwd)
  if (status !== 0) throw new Error(`npm ${args[0]}: ${stdout}${stderr}`)
}

export class Consumer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-package-'))
  readonly app = join(this.#folder, 'app')
  readonly installed = join(this.app, 'node_modules', 'ebpf-ts')

  /** `npm pack`, from a clean build. */
  pack(): void {
    npm(['pack', '--ignore-scripts=false', '--pack-destination', this.#folder], ROOT)
  }

  get #tarball(): string {
    const name = readdirSync(this.#folder).find((file) => file.endsWith('.tgz'))
    if (name === undefined) throw new Error('npm pack made no tarball')
    return join(this.#folder, name)
  }

  /** Paths of the files in the tarball. */
  packed(): string[] {
    const list = execFileSync('tar', ['-tzf', this.#tarball], { encoding: 'utf8' })
    return list
      .trim()
      .split('\n')
      .map((path) => path.replace(/^package\//, ''))
  }

  /** Installs the tarball, and koffi from the registry; false where no registry can be reached. */
  install(): boolean {
    mkdirSync(this.app)
    this.write('package.json', JSON.stringify({ name: 'app', version: '1.0.0', private: true }))
    this.write('tsconfig.json', JSON.stringify(TSCONFIG))
    try {
      const quietly = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1']
      npm(['install', ...quietly, this.#tarball], this.app)
    } catch (error) {
      if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH/.test(String(error))) return false
      throw error
    }
    // After the install, which would remove what it does not know.
    for (const name of ['typescript', 'ts-node', '@types/node']) {
      const link = join(this.app, 'node_modules', name)
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules', name), link)
    }
    return true
  }

  write(name: string, text: string): string {
    const path = join(this.app, name)
    writeFileSync(path, text)
    return path
  }

  /** Runs a script with plain node: what it printed. Throws what it threw. */
  node(name: string, text: string): string {
    const { status, stdout, stderr } = run(process.execPath, [this.write(name, text)], this.app)
    if (status !== 0 || stderr !== '') throw new Error(`${name}: ${stderr}`)
    return stdout
  }

  /** Runs the package's command, as npm has installed it. */
  command(args: readonly string[]): Output {
    return run(join(this.app, 'node_modules', '.bin', 'ebpf-ts'), args, this.app)
  }

  /** What a ts-node shell answers to lines that are typed, or rather piped, into it. */
  shell(lines: string): Output {
    return run(process.execPath, [join(this.app, 'node_modules', 'ts-node', 'dist', 'bin.js'), '-i'], this.app, lines)
  }

  /** What TypeScript finds wrong with files, and with all declarations that they reach. */
  compile(files: readonly string[], compilerOptions: object): string {
    const project = this.write('tsconfig.case.json', JSON.stringify({ compilerOptions, files }))
    const compiler = join(this.app, 'node_modules', 'typescript', 'bin', 'tsc')
    return run(process.execPath, [compiler, '-p', project, '--noEmit'], this.app).stdout
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Bytes of all files in a folder. */
export function sizeOf(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(join(folder, entry))
    if (stat.isFile()) bytes += stat.size
  }
  return bytes
}
