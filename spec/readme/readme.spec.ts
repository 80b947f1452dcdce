import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect } from 'chai'
import { builtLibrary, ROOT } from '../support/built'
import { pending, requireRoot, SHELL_CHECKS_NO_TYPES, useBpffs } from '../support/kernel'
import { Prompt } from '../support/prompt'
import { asProgram, readmeSnippets } from '../support/readme'
import { run } from '../support/run'

const snippets = readmeSnippets()
const programs = snippets.filter(({ language }) => language === 'ts')
const sessions = snippets.filter(({ language }) => language === 'console')

describe('the README', function () {
  this.timeout(300_000)

  const bpffs = useBpffs()
  let folder: string

  /** A project of a reader: its own tsconfig.json, and the package under its name. */
  before(async function () {
    requireRoot(this)
    const library = builtLibrary()
    folder = join(library, 'reader')
    const installed = join(folder, 'node_modules', 'ebpf-ts')
    mkdirSync(installed, { recursive: true })
    const at = (path: string) => relative(installed, join(library, path))
    const manifest = { name: 'ebpf-ts', main: at('lib/index.js'), types: at('lib/index.d.ts') }
    writeFileSync(join(installed, 'package.json'), JSON.stringify(manifest))
    const compilerOptions = { module: 'node20', target: 'es2022', strict: true, skipLibCheck: true, types: ['node'] }
    writeFileSync(join(folder, 'package.json'), '{}')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts', '*.mts'] }))
    // A clone has its objects where the snippets say.
    symlinkSync(join(ROOT, 'progs'), join(folder, 'progs'))
    for (const [i, snippet] of programs.entries()) {
      const text = asProgram(snippet).replaceAll('/sys/fs/bpf', bpffs.path)
      writeFileSync(join(folder, `${i}.ts`), text)
      // In projects of ES modules, TypeScript asks for more.
      writeFileSync(join(folder, `${i}.mts`), text)
    }
    // Modules that it has written by the command are there for the snippets that import them.
    for (const { text } of snippets.filter(({ language }) => language === 'sh')) {
      for (const [, object = '', module = ''] of text.matchAll(/^npx ebpf-ts gen (\S+) -o (\S+)(?: +#.*)?$/gm)) {
        const command = join(library, 'lib', 'cli', 'main.js')
        const made = await run([process.execPath, command, 'gen', object, '-o', join(folder, module)])
        expect(made).to.deep.equal({ code: 0, stdout: '', stderr: '' })
      }
    }
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await run([process.execPath, tsc, '-p', folder])
    expect(stdout, 'what the compiler says of the snippets').to.equal('')
  })

  it('has snippets', () => {
    expect(programs.length).to.be.greaterThan(5)
    expect(sessions.length).to.equal(1)
  })

  for (const [i, { title }] of programs.entries()) {
    it(`runs: ${title}`, async () => {
      const { code, stdout, stderr } = await run([process.execPath, `${i}.js`], {}, folder)
      expect(stderr).to.equal('')
      expect(stdout).to.match(/^[1-9]\d* claims hold$/m)
      expect(code).to.equal(0)
    })
  }

  it('is pasted into the shell of npm run repl, one recipe behind the other', async () => {
    using prompt = ourShell(folder)
    expect((await prompt.answer()).text).to.equal('')
    let claims = 0
    for (const { title, text } of programs) {
      for (const line of text.replaceAll('/sys/fs/bpf', bpffs.path).split('\n')) {
        const { text: answer, goesOn } = await prompt.type(line)
        // A recipe takes the names of another, whose handles are then nobody's.
        const said = answer
          .replaceAll(/^\(node:\d+\) \[EBPF_LEAK\] .*\n?|^\(Use `node --trace-warnings .*\n?/gm, '')
          .trimEnd()
        expect(said, `${title}: ${line}`).not.to.match(/^Uncaught/m)
        const [, claim] = /\S\s+\/\/ → ([^,]+)(?:,.*)?$/.exec(line) ?? []
        if (claim === undefined) continue
        expect(goesOn, `${title}: ${line}`).to.equal(false)
        expect(said, `${title}: ${line}`).to.equal(claim)
        claims++
      }
    }
    expect(claims).to.be.above(20)
  })

  for (const { title, text } of sessions) {
    it(`types into the shell of npm run repl: ${title}`, async () => {
      using prompt = ourShell(folder)
      await prompt.answer()
      const answers: string[] = []
      for (const line of text.split('\n')) {
        if (line.startsWith('> ')) answers.push(line, ...(await prompt.type(line.slice(2))).text.split('\n'))
      }
      expect(comparable(answers)).to.deep.equal(comparable(text.split('\n')))
    })

    it(`types into the ts-node shell: ${title}`, async function () {
      if (SHELL_CHECKS_NO_TYPES) pending(this, 'the shell of ts-node 10 checks no types on Node.js 24')
      const lines = text.split('\n')
      const typed = lines.filter((line) => line.startsWith('> ')).map((line) => line.slice(2))
      const tsNode = join(ROOT, 'node_modules', 'ts-node', 'dist', 'bin.js')
      const shell = `printf '%s\\n' ${typed.map((line) => `'${line.replaceAll("'", `'\\''`)}'`).join(' ')} | ${process.execPath} ${tsNode} --typeCheck -i`
      const { stdout, stderr } = await run(['sh', '-c', shell], {}, folder)
      expect(stderr).to.equal('')
      // The shell prints its prompt before each answer, and what an import or a declaration comes to.
      const answers = stdout.split('\n').map((line) => line.replace(/^(> )+/, ''))
      const expected = lines.filter((line) => !line.startsWith('> '))
      expect(comparable(answers)).to.deep.equal(comparable(expected))
    })
  }
})

/** The shell of `npm run repl`, in a project of a reader's. */
function ourShell(folder: string): Prompt {
  const start = `require(${JSON.stringify(join(ROOT, 'scripts', 'shell', 'shell.ts'))}).startShell()`
  const tsNode = join(ROOT, 'node_modules', 'ts-node', 'register', 'transpile-only')
  return new Prompt([process.execPath, '-r', tsNode, '-e', start], folder, {
    TS_NODE_PROJECT: join(ROOT, 'tsconfig.json'),
  })
}

/** Without what differs from run to run, and without the answers to declarations. */
function comparable(lines: readonly string[]): string[] {
  return lines
    .map((line) => line.replace(/#\d+/g, '#N').replace(/fd \d+/g, 'fd N'))
    .filter((line) => line !== '' && line !== 'undefined' && line !== "'use strict'")
}
