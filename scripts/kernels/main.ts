/** npm run test:kernels [-- VERSION...]: boots kernels of Debian under qemu and runs the specs in each. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Architecture, Debian, MissingError } from './debian'
import { kernelsPage } from './docs'
import { baseImage, guestImage, optionsImage, projectImage } from './image'
import { fetchKernel, type Kernel, VERSIONS } from './kernel'
import { boot, requireQemu } from './qemu'
import { printFailures, printPending, printTable } from './report'
import { Collector, isGood, type KernelResult } from './result'

const ROOT = join(__dirname, '..', '..')
const FOLDER = join(ROOT, '.cache', 'kernels')
const ALL_SPECS = 'spec/**/*'
const TIMEOUT_MS = 30 * 60 * 1000
/** Longer than any spec may take, twice over. */
const SILENCE_MS = 11 * 60 * 1000
const STOPPED = {
  timeout: `not done after ${TIMEOUT_MS / 60_000} minutes`,
  silence: `nothing was heard for ${SILENCE_MS / 60_000} minutes`,
}
/** How many guests of one kernel may die under their specs. */
const MOST_DEATHS = 2
/** Specs about the package, its README and these scripts: they need npm and a compiler, and no other kernel. */
const HOST_ONLY = ['package', 'readme', 'scripts']

const USAGE = `npm run test:kernels [-- OPTIONS] [VERSION...]

Boots real kernels under qemu and runs the compiled specs in each. VERSION is 5.10, 6.12 ... or "newest";
without one: ${VERSIONS.join(', ')}. Kernels and the guests' commands are Debian's packages: fetched, unpacked below
.cache/kernels, never installed. Needs qemu, apt-get, dpkg-deb, and xz.

  --arch amd64|arm64   the guests' architecture; this machine's where not given
  --spec PATTERN       spec files, from the project's folder without their ending: 'spec/map/outer*'
  --grep TEXT          only specs whose title has it, as mocha's --grep
  --jobs N             guests at the same time; as many as there are processors where not given
  --docs               write what each kernel came to, when all specs were run last, into docs/kernels.md
  --help
`

interface Options {
  readonly architecture: Architecture
  readonly versions: readonly string[]
  /** Whether all specs are to be run: only then is the result kept. */
  readonly isWhole: boolean
  /** For mocha. */
  readonly mocha: readonly string[]
  readonly docs: boolean
  /** Guests at the same time. */
  readonly jobs: number
}

function options(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
      spec: { type: 'string', multiple: true, default: [ALL_SPECS] },
      grep: { type: 'string' },
      docs: { type: 'boolean', default: false },
      jobs: { type: 'string', default: `${availableParallelism()}` },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  if (values.arch !== 'amd64' && values.arch !== 'arm64')
    throw new TypeError(`--arch is amd64 or arm64, not ${values.arch}`)
  const wrong = positionals.find((version) => version !== 'newest' && !/^\d+\.\d+$/.test(version))
  if (wrong !== undefined) throw new TypeError(`a version is two numbers, as 6.12, or "newest"; not ${wrong}`)
  return {
    architecture: values.arch,
    versions: positionals.length > 0 ? positionals : VERSIONS,
    docs: values.docs,
    jobs: jobsOf(values.jobs),
    isWhole: values.grep === undefined && values.spec.join() === ALL_SPECS,
    mocha: [
      // An emulated processor that shares its real one keeps no deadlines: what fails is tried once more, and told.
      ...['--timeout', '120000', '--retries', '1', '--require', './spec/support/root-hooks.js'],
      ...HOST_ONLY.flatMap((folder) => ['--ignore', `spec/${folder}/**`]),
      ...(values.grep === undefined ? [] : ['--fgrep', values.grep]),
      ...values.spec.map((pattern) => `${pattern}.spec.js`),
    ],
  }
}

function jobsOf(text: string): number {
  const jobs = Number(text)
  if (!Number.isInteger(jobs) || jobs < 1) throw new TypeError(`--jobs is a number of guests, not ${text}`)
  return jobs
}

/** What all guests of a run have in common, and where the rest of it is put. */
interface Images {
  readonly folder: string
  readonly archives: readonly string[]
}

/**
 * Runs the specs on one kernel; what is missing on this machine is a problem of that kernel alone.
 *
 * A guest that dies is booted once more, and told of: emulated machines panic now and then, in any function of the
 * kernel. What the specs do to it, they do again.
 */
async function run(debian: Debian, asked: string, images: Images, options: Options): Promise<KernelResult> {
  const { architecture, isWhole } = options
  const died: string[] = []
  let kernel: Kernel
  try {
    kernel = fetchKernel(debian, architecture, asked)
  } catch (error) {
    if (!(error instanceof MissingError)) throw error
    return new Collector(asked, architecture).finish(0, error.message)
  }
  const initrd = guestImage(images.folder, images.archives, kernel)
  try {
    for (;;) {
      const times = died.length === 0 ? '' : `-${died.length + 1}`
      const log = join(FOLDER, `${architecture}-${asked}${isWhole ? '' : `-${process.pid}`}${times}.log`)
      console.log(`Linux ${kernel.release} (${architecture}) ...`)
      const { result, hasDied, lastWords } = await runOnce(asked, architecture, kernel.vmlinuz, initrd, log)
      result.died = died
      if (result.problem !== undefined)
        result.problem += [` (console: ${log})`, ...lastWords.map((line) => `    | ${line}`)].join('\n')
      if (!hasDied || died.length === MOST_DEATHS) return result
      died.push(result.problem ?? 'it ended')
    }
  } finally {
    rmSync(initrd)
  }
}

async function runOnce(asked: string, architecture: Architecture, vmlinuz: string, initrd: string, log: string) {
  const began = Date.now()
  const collector = new Collector(asked, architecture)
  const { stopped, lastWords } = await boot({
    architecture,
    vmlinuz,
    initrd,
    log,
    timeoutMs: TIMEOUT_MS,
    silenceMs: SILENCE_MS,
    hear: (record) => collector.take(record),
  })
  const seconds = Math.round((Date.now() - began) / 100) / 10
  const problem = stopped === undefined ? undefined : STOPPED[stopped]
  return {
    result: collector.finish(seconds, problem),
    // One that takes too long would take as long again.
    hasDied: !collector.isDone && stopped !== 'timeout',
    lastWords,
  }
}

function resultPath(architecture: Architecture, version: string): string {
  return join(FOLDER, `${architecture}-${version}.json`)
}

/** What each kernel of the matrix came to when it was run last. */
function keptResults(architecture: Architecture): KernelResult[] {
  return VERSIONS.flatMap((version) => {
    const path = resultPath(architecture, version)
    return existsSync(path) ? [JSON.parse(readFileSync(path, 'utf8')) as KernelResult] : []
  })
}

async function main(): Promise<void> {
  const given = options()
  if (given === undefined) {
    console.log(USAGE)
    return
  }
  requireQemu(given.architecture)
  const folder = join(FOLDER, given.architecture)
  mkdirSync(folder, { recursive: true })
  const debian = new Debian(folder, given.architecture)
  debian.update()
  const own = mkdtempSync(join(FOLDER, 'run-'))
  process.once('exit', () => rmSync(own, { recursive: true, force: true }))
  const base = baseImage(folder, debian, given.architecture)
  const images = { folder: own, archives: [base, projectImage(own), optionsImage(own, given.mocha)] }
  const results: KernelResult[] = []
  const waiting = [...given.versions.entries()]
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [i, version] = next
      const result = await run(debian, version, images, given)
      results[i] = result
      if (given.isWhole) writeFileSync(resultPath(given.architecture, version), `${JSON.stringify(result, null, 2)}\n`)
      printFailures(result)
    }
  }
  await Promise.all(Array.from({ length: given.jobs }, work))
  if (given.docs) writeFileSync(join(ROOT, 'docs', 'kernels.md'), kernelsPage(keptResults(given.architecture)))
  printPending(results)
  printTable(results)
  if (!results.every(isGood)) process.exitCode = 1
}

main().catch((error) => {
  console.error(error instanceof MissingError || error instanceof TypeError ? error.message : error)
  process.exitCode = 1
})
