/**
 * Fuzzes what reads files: `npm run fuzz -- [TARGET...] [--seconds N] [--seed S] [--corpus FOLDER]`. Inputs that reach
 * code that none has reached are kept, and changed further; what is wrong is told with its steps, and with the least that
 * shows it.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { Entry, Finding } from './fuzzer'
import { COUNT, type Message, SHARED_BYTES, takeInput, type Work } from './messages'
import { TARGETS } from './targets'

/** Seconds of the processor's time after which an input is one that never ends. */
const PATIENCE = 15
/** Megabytes of JavaScript objects. */
const MOST_HEAP = 768

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    corpus: { type: 'string' },
  },
})
const names = positionals.length > 0 ? positionals : TARGETS.map(({ name }) => name)
const unknown = names.find((name) => !TARGETS.some((target) => target.name === name))
const [seconds, seed] = [Number(values.seconds), Number(values.seed)]
if (unknown !== undefined || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(`fuzz [${TARGETS.map(({ name }) => name).join(' | ')}]... [--seconds N] [--seed S] [--corpus FOLDER]`)
  process.exit(2)
}

/** Parts with their lengths before them. */
function packed(input: readonly Uint8Array[]): Buffer {
  const lengths = Buffer.alloc(4 + 4 * input.length)
  for (const [i, value] of [input.length, ...input.map(({ length }) => length)].entries()) {
    lengths.writeUInt32LE(value, 4 * i)
  }
  return Buffer.concat([lengths, ...input])
}

function unpacked(bytes: Buffer): Uint8Array[] {
  const count = bytes.readUInt32LE(0)
  let at = 4 + 4 * count
  return Array.from({ length: count }, (_, i) => {
    const length = bytes.readUInt32LE(4 + 4 * i)
    at += length
    return new Uint8Array(bytes.subarray(at - length, at))
  })
}

/** The corpus of a target, in its folder. */
function stored(name: string): Entry[] {
  if (values.corpus === undefined) return []
  const folder = join(values.corpus, name)
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder)
    .sort()
    .map((file) => ({ input: unpacked(readFileSync(join(folder, file))), steps: [`${name}/${file}`] }))
}

interface Result {
  executions: number
  seconds: number
  corpus: number
  findings: number
  seeds: ReadonlySet<number>
  blocks: Set<number>
  all: number
}

async function fuzz(name: string): Promise<Result> {
  const corpus = stored(name)
  const kept = corpus.length
  const known = new Set<string>()
  const result: Result = {
    executions: 0,
    seconds: 0,
    corpus: 0,
    findings: 0,
    seeds: new Set(),
    blocks: new Set(),
    all: 0,
  }
  let start = Number.POSITIVE_INFINITY
  const left = (): number => seconds * 1000 - Math.max(Date.now() - start, 0)

  const tell = ({ key, message, entry }: Finding, recipe: string): void => {
    result.findings++
    console.log(`\n${name}: ${key}\n${message}\n  steps: ${entry.steps.join('; ')}\n  ${recipe}`)
    if (values.corpus === undefined) return
    const folder = join(values.corpus, 'findings')
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, `${name}-${key.replaceAll(/[^\w.-]+/g, '_').slice(0, 100)}-${result.findings}`),
      packed(entry.input),
    )
  }

  /** One worker, up to its end: 'done', or an input that it did not survive. */
  const run = (round: number): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const shared = new SharedArrayBuffer(SHARED_BYTES)
      const work: Work = { target: name, seed: seed + round, time: left(), shared, corpus, known: [...known] }
      const worker = new Worker(join(__dirname, 'worker.ts'), {
        workerData: work,
        execArgv: ['-r', 'ts-node/register/transpile-only'],
        resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP, stackSizeMb: 1 },
      })
      const words = new Int32Array(shared)
      const used = (): number => process.cpuUsage().user / 1e6
      let [before, since, done] = [0, used(), false]
      const dead = (key: string): void => {
        tell(
          { target: name, key, message: '', entry: { input: takeInput(shared), steps: ['unknown'] } },
          'see the corpus',
        )
      }
      const watch = setInterval(() => {
        const count = Atomics.load(words, COUNT)
        if (count !== before) [before, since] = [count, used()]
        else if (count > 0 && !done && used() - since > PATIENCE) {
          done = true
          dead('never ends')
          void worker.terminate()
        }
      }, 500)
      worker.on('message', (message: Message) => {
        if (message.kind === 'started') start = Math.min(start, Date.now())
        else if (message.kind === 'entry') corpus.push(message.entry)
        else if (message.kind === 'finding') {
          known.add(message.finding.key)
          tell(message.finding, message.recipe)
        } else {
          done = true
          result.seeds = new Set(message.seeds)
          for (const block of message.blocks) result.blocks.add(block)
          result.all = message.all
        }
      })
      worker.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return reject(error)
        dead('out of memory')
      })
      worker.on('exit', () => {
        clearInterval(watch)
        result.executions += Atomics.load(words, COUNT)
        resolve(result.all > 0)
      })
    })

  for (let round = 0; left() > 0; round += 1000) if (await run(round)) break
  result.seconds = (Date.now() - start) / 1000
  result.corpus = corpus.length
  if (values.corpus !== undefined) {
    for (const [i, { input }] of corpus.slice(kept).entries()) {
      writeFileSync(join(values.corpus, name, `${seed}-${String(kept + i).padStart(6, '0')}`), packed(input))
    }
  }
  return result
}

async function main(): Promise<void> {
  const results: Result[] = []
  console.log('target      inputs    per s  corpus  blocks: of seeds, of all  findings')
  for (const name of names) {
    const result = await fuzz(name)
    results.push(result)
    const { executions, corpus, findings, seeds, blocks } = result
    const columns = [executions, Math.round(executions / result.seconds), corpus, seeds.size, blocks.size, findings]
    console.log(name.padEnd(10) + columns.map((column) => String(column).padStart(9)).join(''))
  }
  const union = (of: (result: Result) => Iterable<number>): number =>
    new Set(results.flatMap((each) => [...of(each)])).size
  const executions = results.reduce((sum, each) => sum + each.executions, 0)
  const findings = results.reduce((sum, each) => sum + each.findings, 0)
  const all = Math.max(...results.map((each) => each.all))
  console.log(
    `\n${executions} inputs; blocks ${union(({ seeds }) => seeds)} by the seeds, ${union(({ blocks }) => blocks)} by all, of ${all}; ${findings} findings`,
  )
  process.exitCode = findings === 0 ? 0 : 1
}

void main()
