import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { CpioWriter } from '../../scripts/kernels/cpio'
import { kernelsPage } from '../../scripts/kernels/docs'
import type { GuestRecord } from '../../scripts/kernels/guest/records'
import { candidates } from '../../scripts/kernels/kernel'
import { LastWords } from '../../scripts/kernels/last-words'
import { Collector, isGood } from '../../scripts/kernels/result'
import { needs } from '../support/kernel'
import { run } from '../support/run'

const MAIN = ['node_modules/ts-node/dist/bin.js', '--transpile-only', 'scripts/kernels/main.ts']

describe('npm run test:kernels', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  describe('its archives', () => {
    it('are what cpio reads, also several behind one another', function () {
      needs(this, isInstalled('cpio'), 'cpio')
      const tree = join(folder, 'tree')
      mkdirSync(join(tree, 'a'), { recursive: true })
      writeFileSync(join(tree, 'a', 'odd'), 'odd')
      writeFileSync(join(tree, 'skipped.md'), '')
      symlinkSync('a/odd', join(tree, 'link'))
      writeFileSync(join(tree, 'run'), '#!/bin/sh\n')
      chmodSync(join(tree, 'run'), 0o755)
      const [first, second] = [join(folder, 'first'), join(folder, 'second')] as const
      new CpioWriter(first).tree(tree, 'home/x', (path) => path.endsWith('.md')).close()
      new CpioWriter(second).characterDevice('console', 5, 1).file('deep/er/file', new Uint8Array(4099).fill(7)).close()

      const list = (path: string) =>
        execFileSync('cpio', ['-itv', '--quiet'], { input: readFileSync(path), encoding: 'utf8' })
          .trim()
          .split('\n')
          .map((line) => line.replace(/^(\S+).* (\S+|\S+ -> \S+)$/, '$1 $2'))
      expect(list(first)).to.have.members([
        'drwxr-xr-x home',
        'drwxr-xr-x home/x',
        'drwxr-xr-x home/x/a',
        '-rw-r--r-- home/x/a/odd',
        'lrwxrwxrwx a/odd',
        '-rwxr-xr-x home/x/run',
      ])
      expect(list(second)[0]).to.equal('crw------- console')
      execFileSync('cpio', ['-id', '--quiet', 'home/*'], { cwd: folder, input: readFileSync(first) })
      execFileSync('cpio', ['-id', '--quiet', 'deep/*'], { cwd: folder, input: readFileSync(second) })
      expect(readFileSync(join(folder, 'home/x/link'), 'utf8')).to.equal('odd')
      expect(readFileSync(join(folder, 'deep/er/file'))).to.deep.equal(Buffer.alloc(4099, 7))
    })
  })

  describe('its choice of a package', () => {
    const NAMES = [
      'linux-image-6.1-cloud-amd64',
      'linux-image-6.1.0-56-cloud-amd64',
      'linux-image-6.1.0-55-cloud-amd64-unsigned',
      'linux-image-6.12.117+deb13-cloud-amd64',
      'linux-image-6.12-cloud-amd64',
      'linux-image-6.12.117+deb13-amd64',
      'linux-image-6.19.14+deb13-cloud-amd64',
      'linux-binary-6.19.14+deb13-cloud-amd64',
      'linux-binary-7.3-cloud-amd64',
      'linux-image-7.3-cloud-amd64',
      'linux-image-cloud-amd64',
      'linux-image-6.12.117+deb13-cloud-arm64',
    ]
    const debian = { names: (pattern: RegExp) => NAMES.filter((name) => pattern.test(name)) }
    for (const [asked, expected] of [
      ['6.1', ['linux-image-6.1.0-55-cloud-amd64-unsigned', 'linux-image-6.1.0-56-cloud-amd64']],
      ['6.12', ['linux-image-6.12.117+deb13-cloud-amd64']],
      ['6.19', ['linux-binary-6.19.14+deb13-cloud-amd64', 'linux-image-6.19.14+deb13-cloud-amd64']],
      ['7.3', ['linux-binary-7.3-cloud-amd64']],
      ['7', []],
    ] as const) {
      it(`takes those of ${asked} with a kernel in them`, () => {
        expect(candidates(debian, 'amd64', asked)).to.deep.equal(expected)
      })
    }
    it('takes all of them for the newest, and none of another architecture', () => {
      expect(candidates(debian, 'amd64', 'newest')).to.have.length(6)
      expect(candidates(debian, 'arm64', 'newest')).to.deep.equal(['linux-image-6.12.117+deb13-cloud-arm64'])
    })
  })

  describe('its verdict', () => {
    const START: GuestRecord = { kind: 'start', release: '6.12.1-cloud', node: 'v20.20.2', seconds: 3 }
    const passed = (title: string): GuestRecord => ({ kind: 'passed', title, ms: 1 })
    const TAIL: GuestRecord[] = [
      { kind: 'features', report: { mapTypes: { hash: true, arena: false, rhash: null }, helpers: { bpf_one: true } } },
      { kind: 'costs', costs: { set: 8, get: 0.1, setMany100: 9 } },
    ]
    const verdict = (...records: GuestRecord[]) => {
      const collector = new Collector('6.12', 'amd64')
      for (const record of records) collector.take(record)
      return collector.finish(10)
    }
    const end = (passed: number, failed = 0, pending = 0): GuestRecord => ({ kind: 'end', passed, failed, pending })
    const done = (code: number): GuestRecord => ({ kind: 'done', code, seconds: 5 })

    it('is good where all has come, and nothing failed', () => {
      const result = verdict(
        START,
        passed('a'),
        { kind: 'pending', title: 'b', reason: 'c' },
        end(1, 0, 1),
        ...TAIL,
        done(0),
      )
      expect([isGood(result), result.problem, result.passed, result.pending.length]).to.deep.equal([
        true,
        undefined,
        1,
        1,
      ])
    })

    for (const [what, records, problem] of [
      ['the kernel never came up', [], /never came to Node/],
      ['mocha ended early', [START, passed('a'), done(1)], /did not come to their end/],
      ['a line was lost', [START, passed('a'), end(2), ...TAIL, done(0)], /1 results were lost/],
      ['mocha failed by itself', [START, passed('a'), end(1), ...TAIL, done(7)], /mocha ended with 7/],
      ['nothing was run', [START, end(0), ...TAIL, done(0)], /no spec has run/],
      ['the guest died', [START, passed('a'), end(1), ...TAIL], /ended before it was done/],
      ['the kernel was not asked', [START, passed('a'), end(1), done(0)], /could not tell/],
    ] as const) {
      it(`is bad where ${what}`, () => {
        const result = verdict(...records)
        expect(isGood(result)).to.equal(false)
        expect(result.problem).to.match(problem)
      })
    }

    it('tells a guest that died from one that failed', () => {
      const isDone = (...records: GuestRecord[]) => {
        const collector = new Collector('6.12', 'amd64')
        for (const record of records) collector.take(record)
        return collector.isDone
      }
      expect([isDone(), isDone(START, passed('a')), isDone(START, passed('a'), end(1), ...TAIL)]).to.deep.equal([
        false,
        false,
        false,
      ])
      // A mocha that a signal ended has no code: it is what ran, and not the machine, that failed.
      expect(isDone(START, { kind: 'done', code: null, seconds: 5 })).to.equal(true)
    })

    it('is bad where a spec failed', () => {
      const result = verdict(
        START,
        passed('a'),
        { kind: 'failed', title: 'b', error: 'c' },
        end(1, 1),
        ...TAIL,
        done(1),
      )
      expect([isGood(result), result.problem]).to.deep.equal([false, undefined])
    })

    it('becomes a page that tells yes, no and cannot tell apart', () => {
      const result = verdict(START, passed('a'), end(1), ...TAIL, done(0))
      const page = kernelsPage([result])
      expect(page).to.include('| Linux 6.12.1-cloud | 1 | 0 | 0 |')
      expect(page).to.include('| `hash` | yes |').and.include('| `arena` | – |').and.include('| `rhash` | ? |')
      expect(page).to.include('| 6.12 | 0.1 ms | 8 ms | 9 ms |')
    })
  })

  describe('the last words of a guest', () => {
    const wordsOf = (lines: readonly string[]) => {
      const words = new LastWords()
      for (const line of lines) words.take(line)
      return words.lines
    }
    const lines = Array.from({ length: 99 }, (_, i) => `line ${i}`)

    it('are its last lines', () => {
      expect(wordsOf([...lines, '', '\x1bc\x1b[?7l\x1b[2J\x1b[0m\r'])).to.deep.equal(lines.slice(-10))
    })

    it('begin with what went wrong', () => {
      const words = wordsOf([...lines, '[    1.0] BUG: unable to handle page fault\r', ...lines, 'Kernel panic'])
      expect(words[0]).to.equal('[    1.0] BUG: unable to handle page fault')
      expect(words.slice(1)).to.deep.equal(lines.slice(0, 39))
    })
  })

  describe('at the prompt', () => {
    it('explains itself', async () => {
      const { code, stdout } = await run([process.execPath, ...MAIN, '--help'])
      expect(code).to.equal(0)
      expect(stdout).to.include('npm run test:kernels').and.include('--arch')
    })

    it('refuses what is no version', async () => {
      const { code, stderr } = await run([process.execPath, ...MAIN, '6.12.3'])
      expect([code, stderr]).to.deep.equal([1, 'a version is two numbers, as 6.12, or "newest"; not 6.12.3\n'])
    })

    it('says what to install where there is no qemu', async () => {
      const { code, stderr } = await run([process.execPath, ...MAIN, '6.12'], { env: { PATH: folder } })
      expect(code).to.equal(1)
      expect(stderr).to.match(
        /^qemu-system-\w+ is not installed; on Debian: apt-get install --no-install-recommends qemu/,
      )
    })
  })
})

function isInstalled(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
