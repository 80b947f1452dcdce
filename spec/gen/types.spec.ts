import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { BpfObject } from '../../lib/elf'
import { codecOf } from '../../lib/elf/codecs'
import { needsFixtures } from '../elf/kit'
import { ROOT } from '../support/built'
import { recorded } from '../support/recording-abi'
import { moduleName, moduleOf, needsTypeScript, OBJECTS, Project } from './kit'

const withoutObject = (text: string) => text.slice(0, text.lastIndexOf('const OBJECT'))

const fixture = (name: string) => join(ROOT, 'spec', 'fixtures', `${name}.bpf.o`)

describe('a generated module', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsFixtures(this)
  })

  it('is the same each time, makes no system call, and says what it is from', () => {
    for (const path of OBJECTS) {
      recorded((recording) => {
        const text = moduleOf(path)
        expect(moduleOf(path)).to.equal(text)
        expect(text.split('\n')[0]).to.match(
          new RegExp(`^// Made by \`ebpf-ts gen\` from ${moduleName(path)}\\.bpf\\.o\\.`),
        )
        expect(recording.calls).to.deep.equal([])
      })
    }
  })

  // ebpf-ts gen spec/fixtures/flows.bpf.o -o spec/gen/golden/flows.ts.txt
  it('reads as it did', () => {
    expect(moduleOf(fixture('flows'))).to.equal(readFileSync(join(__dirname, 'golden', 'flows.ts.txt'), 'utf8'))
  })

  it('has events that end in an open array, but for that array', () => {
    const text = moduleOf(fixture('open_ends'))
    for (const said of [
      '/** struct opened, 24 bytes; not read: its path, from byte 20 to the end of the record. */\n',
      'export const Opened: StructCodec<Opened> = struct({ header: Header, flags: u32 })\n',
      '/** struct sampled, 8 bytes; not read: its addresses, from byte 8 to the end of the record. */\n',
      "export const Sampled: Codec<Sampled> = fromBtf('sampled', 8, 8)\n",
      'open().btf as Btf, type, { openEnd: true })\n',
      '/** struct answered_t, 4 bytes; not read: its data, from byte 4 to the end of the record. */\n',
      'export const AnsweredT: StructCodec<AnsweredT> = struct({ code: u16, bytes: u16 })\n',
      '/** RINGBUF of 4096 bytes; its events: Opened. */\n    opens: RingBuf\n',
      '/** PERF_EVENT_ARRAY, one entry a CPU; its events: Sampled. */\n    samples: PerfEventArray\n',
      '    unused_answer: bigint\n',
    ]) {
      expect(text).to.include(said)
    }
    expect(moduleOf(fixture('flows'))).not.to.include('openEnd')
  })

  it('says why there is no type of what it holds', () => {
    const text = moduleOf(fixture('open_ends'))
    const why = (what: string) => `struct ${what} is an array of open length (or of 0 elements), and has no size`
    const declared = (what: string) => `the type is struct ${what}, which is only declared here, and has no size`
    const [opened, marked] = [why('opened.path'), why('marked.mark')]
    for (const [about, member] of [
      [`RINGBUF of 4096 bytes; there is no type of its events: ${why('wrapped.opened.path')}`, 'wraps: RingBuf'],
      [
        `HASH, 4 entries; keys are bytes: ${marked}; values are bytes: ${opened}`,
        'last: HashMap<Uint8Array, Uint8Array>',
      ],
      [
        `HASH_OF_MAPS, 4 entries; keys are bytes: ${why('sampled.addresses')}; values of inner maps are bytes: ${opened}`,
        'by_sample: HashOfMaps<Uint8Array, HashMap<number, Uint8Array>>',
      ],
      [`There is no type of what it points to: ${marked}`, 'unused_mark: bigint'],
      [`There is no type of what it points to: ${declared('declared')}`, 'unused_declared: bigint'],
      [`Bytes: ${opened}`, 'latest: Uint8Array'],
    ]) {
      expect(text).to.include(`    /** ${about}. */\n    ${member}\n`)
    }
    expect(moduleOf(fixture('inner'))).to.include(`entries; keys of inner maps are bytes: ${declared('flow')}. */`)
  })

  it('tells apart what its maps of maps hold, whatever they and the file are called', () => {
    const text = moduleOf(fixture('outer_map_inner'))
    expect(text).to.include('    outer: HashOfMaps<Uint8Array, OuterInner>\n')
    expect(text).to.include('    Outer: HashOfMaps<Uint8Array, OuterInner2>\n')
    expect(text).to.include('    outer_map: HashOfMaps<Uint8Array, OuterMapInner2>\n')
    expect(text).to.include('> = LoadedObject<OuterMapInnerShape<OuterInner, OuterInner2, OuterMapInner2>>\n')
  })

  it('is laid out as the formatter would, and passes the linter', function () {
    needsTypeScript(this)
    const biome = join(ROOT, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
    for (const path of OBJECTS) {
      const text = moduleOf(path)
      const check = [biome, 'check', '--write', '--unsafe', '--stdin-file-path=progs/generated.ts']
      expect(execFileSync(process.execPath, check, { cwd: ROOT, input: text, encoding: 'utf8' })).to.equal(text)
      expect(withoutObject(text)).not.to.match(/\bany\b/)
    }
  })

  it('passes the strictest checks of TypeScript, of every object, also as an ES module', function () {
    needsTypeScript(this)
    const project = new Project()
    const names = OBJECTS.flatMap((path) => {
      const text = moduleOf(path)
      const endings = ['flows', 'names', 'tutorial'].includes(moduleName(path)) ? ['ts', 'mts'] : ['ts']
      return endings.map((ending) => {
        project.write(`${moduleName(path)}.${ending}`, text)
        return `${moduleName(path)}.${ending}`
      })
    })
    project.write('claims.ts', readFileSync(join(__dirname, 'claims.ts.txt'), 'utf8'))
    expect(project.compile([...names, 'claims.ts'])).to.deep.equal([])
    // What is expected to be an error is one of that line's own.
    project.write('broken.ts', "import { Flows } from './flows'\nFlows.load().maps.flows.get({ source: 1 })\n")
    expect(project.compile(['broken.ts']).join()).to.match(/^broken\.ts:2: .*'source' does not exist in type 'Flow'/)
  })

  it('has the types of what is read at run time, of every key, value and variable', function () {
    needsTypeScript(this)
    const project = new Project()
    let count = 0
    const files = OBJECTS.map((path) => {
      const name = moduleName(path)
      const text = moduleOf(path)
      project.write(`${name}.ts`, text)
      const shape = /^export interface (\w+Shape)/m.exec(text)?.[1] ?? ''
      const lines = valuesOf(path)
      count += lines.length
      const claims = lines.map(([type, value], i) => `export const value${i}: ${type} = ${value}`)
      project.write(
        `${name}-values.ts`,
        [
          `import type { ${shape} as Shape } from './${name}'`,
          'type Maps = Shape["maps"]',
          'type Key<M> = M extends { keys(): Iterable<infer K> } ? K : M extends { delete(key: infer K): unknown } ? K : never',
          'type Value<M> = M extends { get(key: never): infer V } ? Exclude<V, undefined> : never',
          'export type Used = [Maps, Key<never>, Value<never>]',
          ...claims,
        ].join('\n'),
      )
      return `${name}-values.ts`
    })
    expect(project.compile(files)).to.deep.equal([])
    expect(count).to.be.above(100)
  })
})

/** Types, as a module says them, with a value of each as the codec reads it. */
function valuesOf(path: string): [type: string, value: string][] {
  const object = BpfObject.open(path)
  const found: [string, string][] = []
  for (const { name, type, keyType, keySize, valueType, valueSize } of Object.values(object.maps)) {
    const its = `Maps[${JSON.stringify(name)}]`
    const value = valueSize === 0 || name.startsWith('.') ? undefined : sample(object, valueType, valueSize)
    const table = ['HASH', 'LRU_HASH', 'LPM_TRIE', 'PERCPU_HASH', 'HASH_OF_MAPS'].includes(type)
    if (table && keySize > 0) found.push([`Key<${its}>`, sample(object, keyType, keySize)])
    if (['HASH', 'LRU_HASH', 'LPM_TRIE', 'ARRAY'].includes(type) && value !== undefined)
      found.push([`Value<${its}>`, value])
    if (['PERCPU_HASH', 'PERCPU_ARRAY'].includes(type) && value !== undefined)
      found.push([`Value<${its}>`, `[${value}]`])
  }
  for (const { name, typeId, size } of Object.values(object.globals)) {
    found.push([`Shape["globals"][${JSON.stringify(name)}]`, sample(object, typeId, size)])
  }
  return found
}

/** Bytes that are no padding, no NUL at the start of a text, and no constant of an enum. */
function sample({ btf }: BpfObject, type: number, size: number): string {
  const bytes = Uint8Array.from({ length: size }, (_, i) => 0x41 + (i % 23))
  return literal(codecOf(btf, type, size).read(new DataView(bytes.buffer), 0))
}

/** A value as TypeScript writes it: a literal must have all members, and no others. */
function literal(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Uint8Array) return 'new Uint8Array()'
  if (Array.isArray(value)) return `[${value.slice(0, 3).map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([name, its]) => `${JSON.stringify(name)}: ${literal(its)}`)
  return `{ ${members.join(', ')} }`
}
