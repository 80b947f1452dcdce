import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { needs, pending, requireRoot, SHELL_CHECKS_NO_TYPES } from '../support/kernel'
import { Consumer, sizeOf } from './consumer'

/** Makes a map and a map of maps, writes to both and reads both back. `print` is handed the answers. */
const STORY = `
const ports = HashMap.create({ name: 'ports', key: u32, value: u64, maxEntries: 4 })
ports.set(443, 7n)
const inner = HashMap.spec({ key: u32, value: u32, maxEntries: 10 })
const byUid = HashOfMaps.create({ name: 'by_uid', key: u32, maxEntries: 4, inner })
byUid.set(1000, [[257, 1], [80, 2]])
const tree = byUid.use(1000, (map) => [...map].sort(([a], [b]) => a - b))
console.log('answers', String(ports.get(443)), ports.get(80), JSON.stringify(tree))
byUid.close()
ports.close()
`
const ANSWERS = 'answers 7 undefined [[80,2],[257,1]]\n'
const NAMES = 'HashMap, HashOfMaps, u32, u64'

/** Whether koffi has been loaded: as a module, or as a shared object of the process. */
const KOFFI = `
const loaded = () => [
  Object.keys(require.cache).some((path) => /koffi/.test(path)),
  process.report.getReport().sharedObjects.some((path) => /\\.node$/.test(path)),
].join()
`

describe('the package', function () {
  this.timeout(900_000)
  let consumer: Consumer

  before(function () {
    consumer = new Consumer()
    consumer.pack()
    needs(this, consumer.install(), 'the npm registry')
  })

  after(() => consumer.remove())

  it('holds nothing but what its users need', () => {
    const files = consumer.packed()
    const allowed =
      /^(dist\/(lib|syscalls)\/[\w/-]+(\.js|\.js\.map|\.d\.ts)|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    expect(files.filter((file) => !allowed.test(file))).to.deep.equal([])
    const wanted = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']
    for (const entry of ['lib', 'lib/codec', 'syscalls']) {
      wanted.push(`dist/${entry}/index.js`, `dist/${entry}/index.d.ts`)
    }
    expect(files).to.include.members(wanted)
  })

  it('is small, and depends on koffi alone', function () {
    const { installed, app } = consumer
    const packages = JSON.parse(
      consumer.node(
        'installed.cjs',
        `const lock = require('./node_modules/.package-lock.json')
        console.log(JSON.stringify(Object.keys(lock.packages)))`,
      ),
    ) as string[]
    expect(
      packages.filter((path) => !/node_modules\/(ebpf-ts|koffi|@koromix\/koffi-[\w-]+)$/.test(path)),
    ).to.deep.equal([])
    const [own, all] = [sizeOf(installed), packages.reduce((sum, path) => sum + sizeOf(join(app, path)), 0)]
    if (this.test !== undefined) this.test.title += ` (${kilobytes(own)}, ${kilobytes(all)} with koffi)`
    // With programs, links, the assembler, BTF and objects, and causes in words; maps and codecs alone were 0.7 MB.
    expect(own).to.be.below(2_300_000)
  })

  it('loads koffi with the first call, not before', function () {
    requireRoot(this)
    const script = `${KOFFI}
      const { HashMap, u32 } = require('ebpf-ts')
      require('ebpf-ts/codec')
      require('ebpf-ts/syscalls')
      const description = HashMap.spec({ key: u32, value: u32, maxEntries: 1 })
      const before = loaded()
      description.create().close()
      console.log(before, loaded())`
    expect(consumer.node('lazy.cjs', script)).to.equal('false,false true,true\n')
  })

  it('is imported in a moment', function () {
    const script = `
      const start = process.hrtime.bigint()
      require('ebpf-ts')
      console.log(Number(process.hrtime.bigint() - start) / 1e6)`
    const times = Array.from({ length: 9 }, () => Number(consumer.node('time.cjs', script))).sort((a, b) => a - b)
    // Shown, not held against a limit: a machine may have other things to do.
    if (this.test !== undefined) this.test.title += ` (${times[4]?.toFixed(1)} ms, the median of 9 processes)`
    expect(times).to.have.length(9)
  })

  it('works by require', function () {
    requireRoot(this)
    expect(consumer.node('story.cjs', `const { ${NAMES} } = require('ebpf-ts')\n${STORY}`)).to.equal(ANSWERS)
  })

  it('works by import, under every name that require sees', function () {
    requireRoot(this)
    expect(consumer.node('story.mjs', `import { ${NAMES} } from 'ebpf-ts'\n${STORY}`)).to.equal(ANSWERS)
    const script = `
      import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      for (const name of ['ebpf-ts', 'ebpf-ts/codec', 'ebpf-ts/syscalls']) {
        const names = Object.keys(await import(name))
        const hidden = Object.keys(require(name)).filter((key) => !names.includes(key))
        console.log(name, names.length > 10, hidden.join())
      }`
    expect(consumer.node('names.mjs', script)).to.equal('ebpf-ts true \nebpf-ts/codec true \nebpf-ts/syscalls true \n')
  })

  it('shows the lines of its TypeScript in a stack', () => {
    const stack = consumer.node(
      'mapped.cjs',
      `process.setSourceMapsEnabled(true)
      const { HashMap, u32 } = require('ebpf-ts')
      try {
        HashMap.create({ key: u32, value: u32, maxEntries: -1 })
      } catch (error) {
        console.log(error.stack)
      }`,
    )
    const [, line] = /checkU32 \(.*lib\/map\/attributes\.ts:(\d+)/.exec(stack) ?? []
    const source = readFileSync(join(__dirname, '../../lib/map/attributes.ts'), 'utf8').split('\n')
    expect(source[Number(line) - 1]).to.match(/throw new RangeError/)
  })

  it('is one library behind all its doors', () => {
    const script = `
      const [lib, codec, syscalls] = ['', '/codec', '/syscalls'].map((door) => require('ebpf-ts' + door))
      console.log(lib.u32 === codec.u32, lib.KernelError === syscalls.KernelError)`
    expect(consumer.node('doors.cjs', script)).to.equal('true true\n')
  })

  it('works in a ts-node shell, which checks types', function () {
    requireRoot(this)
    if (SHELL_CHECKS_NO_TYPES) pending(this, 'the shell of ts-node 10 checks no types on Node.js 24')
    const wrong = "HashMap.spec({ key: u32, value: u64, maxEntries: 4 }).create().set('https', 7n)\n"
    const { stdout, stderr } = consumer.shell(`import { ${NAMES} } from 'ebpf-ts'\n${wrong}${STORY}`)
    expect(stdout).to.include(ANSWERS)
    expect(stderr.trim().split('\n')).to.have.length(1)
    expect(stderr).to.match(/error TS2345: Argument of type 'string' is not assignable to .* 'number'/)
  })

  it('has a command, whose modules compile, and work in a ts-node shell', function () {
    requireRoot(this)
    const object = join(__dirname, '../fixtures/flows.bpf.o')
    const made = consumer.command(['gen', object, '-o', 'flows.ts'])
    expect([made.status, made.stdout, made.stderr]).to.deep.equal([0, '', ''])
    expect(consumer.compile(['flows.ts'], { module: 'node20', target: 'es2022' })).to.equal('')
    if (SHELL_CHECKS_NO_TYPES) pending(this, 'the shell of ts-node 10 checks no types on Node.js 24')
    const { stdout, stderr } = consumer.shell(`import { Flows } from './flows'
      const app = Flows.load()
      app.maps.tenants.set(1, [[443, { rate: 7, burst: 0, strict: true }]])
      app.programs.count.run({ data: new Uint8Array(14) }).retval
      app.maps.flows.get({ source: 1 })
      app.close()
    `)
    expect(stdout).to.match(/^> 7$/m)
    expect(stderr.trim().split('\n')).to.have.length(1)
    expect(stderr).to.match(/error TS2353: .*'source' does not exist in type 'Flow'/)
  })

  describe('declarations', () => {
    const typed = `import { ${NAMES} } from 'ebpf-ts'
      import { struct, type Infer } from 'ebpf-ts/codec'
      import * as syscalls from 'ebpf-ts/syscalls'
      const Stats = struct({ packets: u64 })
      const inner = HashMap.spec({ key: u32, value: Stats, maxEntries: 1 })
      using outer = HashOfMaps.create({ key: u32, maxEntries: 1, inner })
      export const stats: Infer<typeof Stats> | undefined = outer.use(1, (map) => map.get(2))
      // @ts-expect-error: keys are numbers
      outer.idOf('1')
      export const error: new (...args: never[]) => Error = syscalls.KernelError`

    // Without the types of the DOM, which cost TypeScript more time than all the rest.
    const common = { target: 'es2022', lib: ['es2022'], strict: true }
    for (const [name, options] of Object.entries({
      'the two-line tsconfig': { module: 'node20', target: 'es2022' },
      'module node16': { ...common, module: 'node16' },
      'module nodenext': { ...common, module: 'nodenext', exactOptionalPropertyTypes: true },
      'moduleResolution bundler': { ...common, module: 'esnext', moduleResolution: 'bundler' },
    })) {
      it(`compile with ${name}`, () => {
        // A file that TypeScript takes for CommonJS, and one that it takes for an ES module.
        const files = [consumer.write('typed.cts', typed), consumer.write('typed.mts', typed)]
        expect(consumer.compile(files, { ...options, skipLibCheck: false })).to.equal('')
      })
    }
  })
})

const kilobytes = (bytes: number): string => `${Math.round(bytes / 1000)} kB`
