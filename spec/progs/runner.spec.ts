import { expect } from 'chai'
import { STORIES } from '../../progs/stories'
import { runStory } from '../../progs/support/runner'
import { wholeNumber } from '../../progs/support/story'
import { errorOf } from '../support/error'

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

  it('says what is wrong with what it was given', async () => {
    for (const [args, said] of [
      [['no-such'], "There is no story 'no-such'"],
      [['constructor'], "There is no story 'constructor'"],
      [['uid-syscalls', '--none'], "'--none'"],
      [['uid-syscalls', 'more'], "'more'"],
    ] as const) {
      const { code, out, error } = await ran(...args)
      expect([code, out], args.join(' ')).to.deep.equal([2, ''])
      expect(error).to.include(said).and.include('npm run story -- ')
    }
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
