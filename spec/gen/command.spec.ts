import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { builtLibrary, ROOT } from '../support/built'
import { requireRoot } from '../support/kernel'
import { type RunResult, run } from '../support/run'
import { moduleOf, needsTypeScript, Project } from './kit'

const FLOWS = join(ROOT, 'spec', 'fixtures', 'flows.bpf.o')
const OPEN_ENDS = join(ROOT, 'spec', 'fixtures', 'open_ends.bpf.o')

/** The command, as npm runs it. */
function ebpfTs(args: readonly string[], cwd = ROOT, without: readonly string[] = []): Promise<RunResult> {
  return run([process.execPath, join(builtLibrary(), 'lib', 'cli', 'main.js'), ...args], { without }, cwd)
}

describe('ebpf-ts gen', function () {
  this.timeout(300_000)

  before(function () {
    needsTypeScript(this)
  })

  it('writes to stdout, or to a file, with no capability of BPF', async function () {
    requireRoot(this)
    const expected = moduleOf(FLOWS)
    const capabilities = ['sys_admin', 'bpf', 'perfmon', 'net_admin']
    const { code, stdout, stderr } = await ebpfTs(['gen', FLOWS], ROOT, capabilities)
    expect([code, stderr]).to.deep.equal([0, ''])
    expect(stdout).to.equal(expected)
    const { folder } = new Project()
    const file = join(folder, 'flows.ts')
    expect(await ebpfTs(['gen', FLOWS, '-o', file])).to.deep.equal({ code: 0, stdout: '', stderr: '' })
    expect(readFileSync(file, 'utf8')).to.equal(expected)
  })

  it('takes a name, and further types', async () => {
    const named = await ebpfTs(['gen', FLOWS, '--name', 'App', '--type', 'struct xdp_md', '--type', 'verdict'])
    expect(named.stderr).to.equal('')
    expect(named.stdout).to.match(/^export const App = \{$/m)
    expect(named.stdout).to.match(/^export interface XdpMd \{$/m)
    expect(moduleOf(FLOWS)).not.to.match(/XdpMd/)
    const open = await ebpfTs(['gen', OPEN_ENDS, '--type', 'struct opened', '--type', 'sampled'])
    expect(open).to.deep.equal({ code: 0, stdout: moduleOf(OPEN_ENDS), stderr: '' })
  })

  for (const [ending, manifest] of [
    ['ts', '{}'],
    ['mts', '{}'],
    ['ts', '{ "type": "module" }'],
  ] as const) {
    it(`reads the object from beside the module: .${ending} in a package ${manifest}`, async function () {
      requireRoot(this)
      const project = new Project()
      project.write('package.json', manifest)
      mkdirSync(join(project.folder, 'with space #1'))
      const object = join(project.folder, 'with space #1', 'flows.bpf.o')
      copyFileSync(FLOWS, object)
      const made = await ebpfTs(
        ['gen', '--no-embed', 'with space #1/flows.bpf.o', '-o', `flows.${ending}`],
        project.folder,
      )
      expect(made).to.deep.equal({ code: 0, stdout: '', stderr: '' })
      const js = ending === 'mts' ? 'mjs' : 'js'
      project.write(
        `story.${ending}`,
        `import { Flows } from './flows.${js}'
        using app = Flows.load()
        console.log(app.programs.count.run({ data: new Uint8Array(14) }).retval)`,
      )
      expect(project.compile([`story.${ending}`])).to.deep.equal([])
      const story = [process.execPath, join(project.folder, `story.${js}`)]
      expect(await run(story)).to.deep.equal({ code: 0, stdout: '103\n', stderr: '' })
    })
  }

  it('tells what it does, and its version', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect(await ebpfTs(['--version'])).to.deep.equal({ code: 0, stdout: `${version}\n`, stderr: '' })
    expect((await ebpfTs(['--help'])).stdout).to.match(/^Usage: ebpf-ts gen FILE/)
    const { code, stdout } = await ebpfTs(['gen', '--help'])
    expect(code).to.equal(0)
    for (const option of ['--output', '--name', '--type', '--no-embed']) expect(stdout).to.include(option)
  })

  it('says in one line what is wrong: 2 for what was typed, 1 for what failed', async () => {
    const { folder } = new Project()
    const text = join(folder, 'text.o')
    writeFileSync(text, 'no object')
    const out = join(folder, 'no', 'such', 'folder.ts')
    const cases: [args: string[], code: number, message: RegExp][] = [
      [[], 2, /what shall be done/],
      [['generate'], 2, /there is no 'generate', only gen/],
      [['gen'], 2, /gen wants a compiled object/],
      [['gen', FLOWS, FLOWS], 2, /one object/],
      [['gen', FLOWS, '--nmae', 'X'], 2, /'--nmae'/],
      [['gen', FLOWS, '--name', 'class'], 2, /'class' is no name of a type/],
      [['gen', FLOWS, '--name', 'HashMap'], 2, /HashMap is something else/],
      [['gen', OPEN_ENDS, '--type', 'struct marked'], 1, /struct marked\.mark is an array of open length/],
      [['gen', FLOWS, '--type', 'struct stat'], 1, /did you mean 'stats'/],
      [['gen', 'nowhere.bpf.o'], 1, /ENOENT.*'nowhere\.bpf\.o'/],
      [['gen', folder], 1, /no regular file/],
      [['gen', text], 1, /text\.o.*no ELF file/],
      [['gen', FLOWS, '-o', out], 1, /ENOENT.*folder\.ts/],
    ]
    for (const [args, code, message] of cases) {
      const result = await ebpfTs(args)
      expect([result.code, result.stdout], args.join(' ')).to.deep.equal([code, ''])
      expect(result.stderr)
        .to.match(/^ebpf-ts: [^\n]+\n$/)
        .and.match(message)
    }
    expect(existsSync(out)).to.equal(false)
  })

  it('ends quietly where nobody reads on', async () => {
    const command = `${process.execPath} ${join(builtLibrary(), 'lib', 'cli', 'main.js')} gen ${FLOWS} | head -c 10`
    expect(await run(['sh', '-c', command])).to.deep.equal({ code: 0, stdout: '// Made by', stderr: '' })
  })
})
