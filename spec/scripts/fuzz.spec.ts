import { expect } from 'chai'
import { changed, type Entry, judge } from '../../scripts/fuzz/fuzzer'
import { minimised, recipe } from '../../scripts/fuzz/minimise'
import { Random } from '../../scripts/fuzz/random'
import { TARGETS, type Target } from '../../scripts/fuzz/targets'
import { needsFixtures } from '../elf/kit'

const SEED = 20_262

/** Inputs of each target: of those that go through all types of each input, fewer. */
const ROUNDS: Readonly<Record<string, number>> = {
  print: 15,
  gen: 60,
  codec: 40,
  btf: 60,
  split: 100,
  'co-re': 40,
  object: 150,
}
const OTHERS = 250

/** Inputs that come from each other, the same each time. */
function* inputs(target: Target, rounds: number): Generator<Entry, void, undefined> {
  const random = new Random(SEED)
  const corpus = target.seeds().map((input, i): Entry => ({ input, steps: [`seed ${i}`] }))
  for (let round = 0; round < rounds; round++) {
    const entry = changed(target, random.pick(corpus), random.pick(corpus), random)
    // Some are changed further; not all, as most are refused at once.
    if (random.once(4)) corpus.push(entry)
    yield entry
  }
}

describe('npm run fuzz', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsFixtures(this)
  })

  for (const target of TARGETS) {
    it(`finds nothing in its first inputs: ${target.name}`, () => {
      for (const { input, steps } of inputs(target, ROUNDS[target.name] ?? OTHERS)) {
        const wrong = judge(target, input)
        if (wrong !== undefined) throw new Error(`${steps.join('; ')}\n${wrong.key}\n${wrong.message}`)
      }
    })
  }

  it('makes the same inputs of the same seed', () => {
    const target = TARGETS.find(({ name }) => name === 'object') as Target
    const steps = () => Array.from(inputs(target, 50), (entry) => entry.steps.join('; '))
    expect(steps()).to.deep.equal(steps())
    expect(new Set(steps()).size).to.be.above(40)
  })

  /** Fails as nothing should where byte 40 is above 9, and refuses where byte 0 is not that of its seed. */
  class Refused extends Error {
    constructor(readonly reason: string) {
      super(reason)
    }
  }
  const broken: Target = {
    name: 'broken',
    parts: ['code'],
    seeds: () => [[new Uint8Array(64).fill(7)]],
    run([bytes]) {
      if (bytes?.[0] !== 7) throw new Refused(bytes?.[0] === 8 ? '' : 'no seven')
      if ((bytes[40] ?? 0) > 9) (undefined as unknown as { some: () => void }).some()
      return bytes[1] === 7 ? 0 : 100_000_000
    },
    refuses: (error) => error instanceof Refused,
  }

  it('tells what nobody has thought of from what is refused', () => {
    const bytes = (changes: Readonly<Record<number, number>>) => [Object.assign(new Uint8Array(64).fill(7), changes)]
    expect(judge(broken, bytes({}))).to.equal(undefined)
    expect(judge(broken, bytes({ 0: 1 }))).to.equal(undefined)
    expect(judge(broken, bytes({ 0: 8 }))?.message).to.match(/^no reason/)
    expect(judge(broken, bytes({ 40: 10 }))?.message).to.match(/Cannot read properties of undefined/)
    expect(judge(broken, bytes({ 1: 0 }))?.message).to.equal('100000000 bytes of text from 64 bytes')
  })

  it('makes little of what is wrong', () => {
    const [seed] = broken.seeds() as [readonly Uint8Array[]]
    const random = new Random(SEED)
    const noise = (seed[0] as Uint8Array).map((byte, at) => (at < 2 ? byte : random.below(256)))
    noise[40] = 99
    const key = judge(broken, [noise])?.key
    expect(key).to.match(/^TypeError/)
    const least = minimised([noise], seed, (input) => judge(broken, input)?.key === key)
    expect(recipe(least, seed)).to.equal('{ 40: 0x63 }')
  })
})
