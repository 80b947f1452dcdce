/** The thread that runs inputs: main.ts ends it where one runs without end or takes all memory. */
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import type { Entry } from './fuzzer'
import { Coverage } from './instrument'
import { COUNT, type Message, putInput, type Work } from './messages'
import { minimised, recipe } from './minimise'
import { Random } from './random'
import type { Input } from './targets'

/** Where blocks are counted. */
const FOLDERS = ['lib/elf-file', 'lib/btf', 'lib/co-re', 'lib/elf', 'lib/asm', 'lib/codec', 'lib/text']

/** Milliseconds for one question, and for all that are asked of an input: more is a finding. */
const MOST_TIME = 1000
const MOST_TOGETHER = 10_000
/** Milliseconds from which memory is looked at: less time does not fill much. */
const LONG = 8
/** Bytes that an input may take, and those for each byte of it. */
const MOST_MEMORY = { beside: 96 * 2 ** 20, each: 300 }

const coverage = new Coverage()
coverage.install(join(__dirname, '..', '..'), FOLDERS)
// What is counted is compiled when it is first required: not before.
const { changed, judge } = require('./fuzzer') as typeof import('./fuzzer')
const { between, TARGETS } = require('./targets') as typeof import('./targets')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const { shared, ...work } = workerData as Work
const post = (message: Message): void => parentPort?.postMessage(message)
const target = TARGETS.find(({ name }) => name === work.target)
if (target === undefined) throw new Error(`no target is called '${work.target}'`)
const words = new Int32Array(shared)
const random = new Random(work.seed)
const known = new Set(work.known)

/** By block: which powers of two its counts have been, as bits. */
const seen = new Uint32Array(coverage.counters.length)

interface Outcome {
  readonly key: string
  readonly message: string
}

/** Runs an input; whether it was somewhere new is to be asked next. */
function run(input: Input): Outcome | undefined {
  putInput(shared, input)
  Atomics.add(words, COUNT, 1)
  coverage.clear()
  const start = performance.now()
  const outcome = (judge as typeof import('./fuzzer').judge)(target as NonNullable<typeof target>, input)
  const time = performance.now() - start
  if (coverage.endless !== undefined) {
    const { file, line } = coverage.endless
    return { key: `endless ${file}:${line}`, message: outcome?.message ?? `${file}:${line} runs without end` }
  }
  if (outcome !== undefined || time < LONG) return outcome
  if (time > MOST_TIME) return slow(input)
  return large(input)
}

/** Where most of it was spent. */
function hottest(): string {
  let most = 0
  for (let i = 0; i < coverage.blocks.length; i++) {
    if ((coverage.counters[i] as number) > (coverage.counters[most] as number)) most = i
  }
  const { file, line } = coverage.blocks[most] ?? { file: '?', line: 0 }
  return `${file}:${line}`
}

/** Once more, by the processor's time: the machine may have had something else to do. */
function slow(input: Input): Outcome | undefined {
  const place = hottest()
  const start = process.cpuUsage()
  let [last, longest] = [start.user, 0]
  between.lap = () => {
    const { user } = process.cpuUsage()
    longest = Math.max(longest, user - last)
    last = user
  }
  judge(target as NonNullable<typeof target>, input)
  between.lap()
  between.lap = () => undefined
  const time = Math.round(longest / 1000)
  const together = Math.round((last - start.user) / 1000)
  if (time < MOST_TIME && together < MOST_TOGETHER) return undefined
  return { key: `slow ${place}`, message: `${time} ms, and ${together} together, mostly in ${place}` }
}

let memory = process.memoryUsage()

function large(input: Input): Outcome | undefined {
  const size = input.reduce((sum, { length }) => sum + length, 0)
  const most = MOST_MEMORY.beside + MOST_MEMORY.each * size
  const grown = (): number => {
    const now = process.memoryUsage()
    const [heap, buffers] = [now.heapUsed - memory.heapUsed, now.arrayBuffers - memory.arrayBuffers]
    memory = now
    return Math.max(heap, 0) + Math.max(buffers, 0)
  }
  if (grown() < most) return undefined
  collect()
  grown()
  judge(target as NonNullable<typeof target>, input)
  const bytes = grown()
  return bytes < most ? undefined : { key: `memory ${hottest()}`, message: `${bytes} bytes of memory for ${size}` }
}

/** Blocks up to which an input is kept that only ran some of them more often: what takes long would be run most. */
const MOST_BLOCKS = 300_000

/** Whether a block ran that has not run before, or, in an input that takes little, twice as often as ever. */
function isNew(): boolean {
  let [found, oftener, together] = [false, false, 0]
  const { counters, blocks } = coverage
  for (let i = 0; i < blocks.length; i++) {
    const count = counters[i] as number
    if (count === 0) continue
    together += count
    const bit = 1 << (31 - Math.clz32(count))
    const before = seen[i] as number
    if ((before & bit) !== 0) continue
    seen[i] = before | bit
    if (before === 0) found = true
    else oftener = true
  }
  return found || (oftener && together < MOST_BLOCKS)
}

function hit(): number[] {
  return [...seen.keys()].filter((block) => seen[block] !== 0)
}

const origins = target.seeds()

function report(entry: Entry, outcome: Outcome): void {
  if (known.has(outcome.key)) return
  known.add(outcome.key)
  const [from = ''] = entry.steps
  const origin = origins[Number(from.replace('seed ', ''))] ?? []
  const quick = !/^(slow|memory|endless)/.test(outcome.key)
  const input = quick ? minimised(entry.input, origin, (input) => run(input)?.key === outcome.key) : entry.input
  post({
    kind: 'finding',
    finding: { target: work.target, ...outcome, entry: { ...entry, input } },
    recipe: recipe(input, origin),
  })
}

const corpus: Entry[] = []
for (const [i, input] of origins.entries()) {
  const entry = { input, steps: [`seed ${i}`] }
  const outcome = run(input)
  isNew()
  if (outcome !== undefined) report(entry, outcome)
  corpus.push(entry)
}
const seeds = hit()
for (const entry of work.corpus) {
  const outcome = run(entry.input)
  if (isNew()) corpus.push(entry)
  if (outcome !== undefined) report(entry, outcome)
}

/** Of two the smaller, half of the time. */
function some(): Entry {
  const [one, other] = [random.pick(corpus), random.pick(corpus)]
  const size = ({ input }: Entry): number => input.reduce((sum, { length }) => sum + length, 0)
  return random.once(2) && size(other) < size(one) ? other : one
}

const until = Date.now() + work.time
post({ kind: 'started' })
while (Date.now() < until) {
  for (let i = 0; i < 100; i++) {
    const entry = changed(target, some(), random.pick(corpus), random)
    const outcome = run(entry.input)
    const fresh = isNew()
    if (outcome !== undefined) report(entry, outcome)
    else if (fresh) {
      corpus.push(entry)
      post({ kind: 'entry', entry })
    }
  }
}
post({ kind: 'done', seeds, blocks: hit(), all: coverage.blocks.length })
