import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { expect } from 'chai'
import { ROOT } from '../support/built'
import { needs, requireRoot } from '../support/kernel'
import { Prompt } from '../support/prompt'

/** What npm run repl runs; it builds first where dist/ is older than the sources. */
const REPL = [process.execPath, '-r', 'ts-node/register/transpile-only', join('scripts', 'repl.ts')] as const

describe('npm run repl', function () {
  this.timeout(300_000)

  /** Types lines, and checks what is said to those that have an answer here. */
  async function session(...lines: readonly (string | readonly [line: string, answer: string | RegExp])[]) {
    using prompt = new Prompt(REPL, ROOT)
    await prompt.answer()
    for (const each of lines) {
      const [line, answer] = typeof each === 'string' ? ([each, ''] as const) : each
      const { text } = await prompt.type(line)
      if (typeof answer === 'string') expect(text, line).to.equal(answer)
      else expect(text, line).to.match(answer)
    }
  }

  it('shows types behind lines that end without a semicolon', async function () {
    requireRoot(this)
    await session(
      "import { HashMap, u32 } from 'ebpf-ts'",
      'const hits = HashMap.create({ key: u32, value: u32, maxEntries: 4 })',
      ['.type hits.set', '(key: number, value: number, options?: SetOptions) => HashMap<number, number>'],
      ['.type hits.get(1) // the first', 'number | undefined'],
      ['.type', '.type wants an expression: .type hits.get'],
      ['.type const x = 1', 'const x = 1 is no expression'],
      ['hits.close()', 'undefined'],
    )
  })

  it('shows the types of what was declared last', async () => {
    await session(
      "import { join } from 'node:path'",
      'const a = 1',
      'const b = a',
      'interface Shape { x: number }',
      'const shape = { x: 1 } as Shape',
      "const a = 'x'",
      ['.type a', '"x"'],
      ['.type b', '1'],
      "import { join } from 'node:path'",
      'function shape(text: string) { return text.length } // another',
      'interface Shape { y: string }',
      "const other = { y: 'y' } as Shape",
      ['.type [shape(a), other.y, join]', '(string | number | ((...paths: string[]) => string))[]'],
      ['.type } a', '} a is no expression'],
    )
  })

  it('is a shell at a terminal', async function () {
    requireRoot(this)
    needs(this, isInstalled('script'), 'script, of util-linux')
    const command = REPL.map((word) => `'${word}'`).join(' ')
    const env = { NODE_REPL_HISTORY: '', TERM: 'xterm', NO_COLOR: '1' }
    using prompt = new Prompt(['script', '-qefc', command, '/dev/null'], ROOT, env)
    await prompt.shows('> ')
    prompt.send("import { HashMap, u32 } from 'ebpf-ts'\r")
    prompt.send('const hits = HashMap.create({ key: u32, value: u32, maxEntries: 4 })\r')
    prompt.send('hits.set(1, 2).size + 41\r')
    await prompt.shows('\n42')
    prompt.send('.type hits.set\r')
    await prompt.shows('(key: number, value: number, options?: SetOptions) => HashMap<number, number>')
    prompt.send('.exit\r')
  })

  it('imports what has no default as its own', async () => {
    await session(
      "import fs from 'node:fs'",
      ["fs.existsSync('/')", 'true'],
      "import path, { join } from 'node:path'",
      ['path.join === join', 'true'],
      "import { default as os, hostname as name } from 'node:os'",
      ['os.hostname === name', 'true'],
      "import util, * as all from 'node:util'",
      ['util === all', 'true'],
      "import child = require('node:child_process')",
      ['typeof child.spawn', "'function'"],
    )
  })

  it('finds TypeScript by the name that it has in TypeScript', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    try {
      writeFileSync(join(folder, 'flows.ts'), 'export const flows: number = 7\n')
      await session(`import { flows } from '${relative(ROOT, join(folder, 'flows.js'))}'`, ['flows', '7'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('declares what is exported, and says that there is nothing to export', async () => {
    await session(
      'export const z = 4',
      ['z', '4'],
      'export function twice(x: number) { return 2 * x }',
      ['twice(z)', '8'],
      'export enum Side { Left, Right }',
      ['Side.Right', '1'],
      'export default class Box {}',
      ['new Box()', 'Box {}'],
      ['export { z }', /^Uncaught:?\s+SyntaxError: a prompt exports nothing/],
      ['export default 5', /^Uncaught:?\s+SyntaxError: a prompt exports nothing/],
      ['z', '4'],
    )
  })

  it('forgets a variable whose declaration fails', async () => {
    const none = (name: string) => [name, `Uncaught ReferenceError: ${name} is not defined`] as const
    await session(
      "function fail(): never { throw new Error('no') }",
      'using tenants = Object.assign(() => {}, { [Symbol.dispose]() {} })',
      ['using tenants = fail()', /^Uncaught Error: no/],
      none('tenants'),
      'const tenants = 2',
      ['tenants', '2'],
      // What stood before the failure holds.
      ['const first = 1, tenants = fail()', /^Uncaught Error: no/],
      ['first', '1'],
      none('tenants'),
      'let { a, b: [c] } = { a: 1, b: [2] }',
      ['let { a, b: [c] } = { a: 3, b: [] = fail() }', /^Uncaught Error: no/],
      none('a'),
      none('c'),
      'const late = await Promise.resolve(1)',
      ['late', '1'],
      ['const late = await Promise.reject(fail)', /^Uncaught /],
      none('late'),
      'let count = 1',
      'let count = count + 1',
      ['count', '2'],
      // What is Node.js's own stays, until it is declared here.
      ['const events = fail()', /^Uncaught Error: no/],
      ['typeof events', "'function'"],
      'const events = 1',
      ['const events = fail()', /^Uncaught Error: no/],
      none('events'),
    )
  })
})

function isInstalled(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
