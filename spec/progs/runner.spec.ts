import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'chai'
import { STORIES } from '../../progs/stories'
import { runStory } from '../../progs/support/runner'
import { type Story, wholeNumber } from '../../progs/support/story'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'

async function ran(...args: string[]) {
  const said = { out: [] as string[], error: [] as string[] }
  const code = await runStory(args, { out: (text) => said.out.push(text), error: (text) => said.error.push(text) })
  return { code, out: said.out.join('\n'), error: said.error.join('\n') }
}

describe('npm run story', () => {
  it('lists all stories, a line each', async () => {
    const { code, out, error } = await ran()
    expect([code, error]).to.deep.equal([0, ''])
    for (const [name, { summary }] of Object.entries(STORIES)) expect(out).to.include(name).and.include(summary)
    for (const line of out.split('\n')) expect(line.length, line).to.be.at.most(120)
    expect(await ran('--help')).to.deep.equal({ code, out, error })
  })

  for (const [name, { options }] of Object.entries(STORIES)) {
    it(`tells the options of ${name}`, async () => {
      const { code, out, error } = await ran(name, '--help')
      expect([code, error]).to.deep.equal([0, ''])
      for (const option of Object.keys(options)) expect(out).to.include(`--${option}`)
    })
  }

  it('says what is wrong with what it was given', async function () {
    requireRoot(this)
    for (const [args, said] of [
      [['no-such'], "There is no story 'no-such'"],
      [['constructor'], "There is no story 'constructor'"],
      [['uid-syscalls', '--none'], "'--none'"],
      [['uid-syscalls', 'more'], "'more'"],
      [['uid-syscalls', '--rounds', '0'], '--rounds takes a whole number from 2 to 100000'],
      [['live-config', '--rounds', 'abc'], "not 'abc'"],
      [['devmap-array', '--packets', '1.5'], "not '1.5'"],
      [['port-stats', '--iface', ''], '--iface: "" cannot be the name of an interface'],
      [['port-stats', '--iface', 'a/b'], '--iface: "a/b" cannot'],
      [['map-in-map', '--many', '2000'], 'from 1 to 1024'],
    ] as const) {
      const { code, out, error } = await ran(...args)
      expect([code, out], args.join(' ')).to.deep.equal([2, ''])
      expect(error).to.include(said).and.include('npm run story -- ')
    }
  })

  describe('a story that is ended', () => {
    const told = STORIES as Record<string, Story>
    afterEach(() => {
      delete told.spec
    })
    beforeEach(function () {
      requireRoot(this)
    })
    const tell = (run: Story['tell']) => {
      told.spec = { summary: '', usage: '', options: {}, tell: run }
    }

    // Not SIGINT, which would end mocha.
    const hangUp = (...pids: string[]) => execFileSync('sh', ['-c', `kill -HUP ${pids.join(' ')}`], { stdio: 'pipe' })

    it('while it waits for a command, which the same signal ends first', async () => {
      tell(async () => hangUp(`${process.pid}`, '$$'))
      expect(await ran('spec')).to.deep.equal({ code: 130, out: '', error: '' })
    })

    it('by a command of which the signal was for it alone', async () => {
      tell(async () => hangUp('$$'))
      const { code, error } = await ran('spec')
      expect(code).to.equal(1)
      expect(error).to.include('Command failed: sh')
    })

    it('as nobody listens any more', async () => {
      const over = new AbortController()
      tell((_say, _values, signal) => {
        over.abort()
        return pause(60_000, undefined, { signal })
      })
      const complaints: string[] = []
      const outputs = { out: () => {}, error: (text: string) => complaints.push(text) }
      expect(await runStory(['spec'], outputs, over.signal)).to.equal(130)
      expect(await runStory(['spec'], outputs, over.signal)).to.equal(130)
      expect(complaints).to.deep.equal([])
    })
  })

  it('takes whole numbers in their range', () => {
    expect(wholeNumber('n', '10', 1, 10)).to.equal(10)
    for (const text of ['0', '11', '1.5', '', ' 2', '1e1', '-1', 'x']) {
      expect(errorOf(() => wholeNumber('n', text, 1, 10)).message).to.equal(
        `--n takes a whole number from 1 to 10, not '${text}'`,
      )
    }
  })
})
