import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError, codecOf } from '../../lib/btf'
import { typeScriptParts } from '../../lib/btf/print'
import * as codecs from '../../lib/codec'
import { COMPILED } from '../support/compiled'
import { errorOf } from '../support/error'
import { pending, requireFeature } from '../support/kernel'
import { sectionOf } from './compile'

const ROOT = resolve(__dirname, '..', '..')
const OBJECT = join(__dirname, 'fixtures', 'print.bpf.o')

const BY_NAME: Readonly<Record<string, unknown>> = { ...codecs }

/** All that the object has that is not of open length. */
const NAMES = [
  'stats',
  'color',
  'tiny',
  'wire',
  'padded',
  'bits',
  'either',
  'roomy',
  'atomic_t',
  'node',
  'plain',
  '__u32',
]

function fixture(): Btf {
  return Btf.parse(sectionOf(OBJECT, '.BTF'), { name: 'print.bpf.o' })
}

/** Bytes that are no padding, no NUL at the start of a text, and no constant of an enum. */
function valueIn(btf: Btf, name: string): unknown {
  const codec = codecOf(btf, name)
  const bytes = Uint8Array.from({ length: codec.size }, (_, i) => 0x41 + (i % 23))
  return codec.read(new DataView(bytes.buffer), 0)
}

/** A value as TypeScript writes it. */
function literal(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Uint8Array) return `new Uint8Array([${value.join(', ')}])`
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, its]) => `${key}: ${literal(its)}`)
    .join(', ')} }`
}

const pascal = (name: string) =>
  name.replaceAll(/(^|_)+([a-z])/g, (_, __, letter: string) => letter.toUpperCase()).replaceAll('_', '')

/** TypeScript's own complaints of a file, under the options of this project. */
function complaints(source: string): string[] {
  const ts = require('typescript') as typeof import('typescript')
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-print-'))
  try {
    const file = join(folder, 'module.ts')
    writeFileSync(file, source)
    const config = ts.getParsedCommandLineOfConfigFile(
      join(ROOT, 'tsconfig.json'),
      {},
      {
        ...ts.sys,
        onUnRecoverableConfigFileDiagnostic: (problem) => {
          throw new Error(String(problem.messageText))
        },
      },
    )
    const { rootDir: _, ...options } = config?.options ?? {}
    const paths = { 'ebpf-ts': [join(ROOT, 'lib', 'codec', 'index.ts')] }
    const typeRoots = [join(ROOT, 'node_modules', '@types')]
    const program = ts.createProgram([file], { ...options, paths, typeRoots, types: ['node'], noEmit: true })
    expect(program.getCompilerOptions().strict).to.equal(true)
    return ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('types as TypeScript', function () {
  this.timeout(300_000)

  it('are those of the values that codecOf reads, and of the codecs beside them', function () {
    if (COMPILED) pending(this, 'needs the compiler of TypeScript')
    const btf = fixture()
    const parts = typeScriptParts(btf, NAMES)
    // Without their annotations codecs have the types that they infer.
    const declarations = parts.declarations.map((text) => text.replaceAll(/^(export const \w+): \w+<\w+> =/gm, '$1 ='))
    const codecs = declarations.flatMap((text) => /^export const (\w+) =/m.exec(text)?.[1] ?? [])
    expect(codecs).to.deep.equal(['Stats', 'Color', 'Tiny', 'AtomicT', 'Node', 'Plain'])
    const source = [
      `import { type Infer, ${parts.imports.filter((name) => !name.startsWith('type ')).join(', ')} } from 'ebpf-ts'`,
      'type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false',
      ...declarations,
      'export const U32 = u32\nexport type U32 = Infer<typeof U32>',
      ...codecs.map((name) => `export const same${name}: Same<${name}, Infer<typeof ${name}>> = true`),
      // As a literal a value must have all members, and no others.
      ...NAMES.map((name) => `export const its_${name}: ${pascal(name)} = ${literal(valueIn(btf, name))}`),
    ].join('\n')
    expect(complaints(source)).to.deep.equal([])
    // What the compiler is to find, it finds.
    expect(complaints(source.replace('packets: bigint', 'packets: number'))).to.include.members([
      "Type 'bigint' is not assignable to type 'number'.",
      "Type 'true' is not assignable to type 'false'.",
    ])
    for (const name of ['plain', 'wire', '__u32']) expect(complaints(btf.toTypeScript(name))).to.deep.equal([])
  })

  it('have codecs that read and write what codecOf does', () => {
    const btf = fixture()
    const found: string[] = []
    for (const name of NAMES) {
      const { values, declarations, imports } = typeScriptParts(btf, [name])
      const codec = values[0]?.codec
      if (codec === undefined) continue
      found.push(name)
      const names = imports.filter((name) => !name.startsWith('type '))
      const constants = declarations.flatMap(
        (text) => /^export const (\w+)[^=]*= ([\s\S]*)$/m.exec(text)?.slice(1, 3) ?? [],
      )
      const body = constants.map((text, i) => (i % 2 === 0 ? `const ${text} = ` : `${text}\n`)).join('')
      const made = new Function(...names, `${body}return ${codec}`)(...names.map((name) => BY_NAME[name]))
      const other = codecOf(btf, name)
      expect([made.size, name]).to.deep.equal([other.size, name])
      // Texts end: not all of their bytes can be written.
      const bytes = Uint8Array.from({ length: other.size }, (_, i) => (i % 8 === 7 ? 0 : 1 + (i % 23)))
      const value = other.read(new DataView(bytes.buffer), 0)
      expect(made.read(new DataView(bytes.buffer), 0)).to.deep.equal(value)
      const written = new Uint8Array(other.size)
      made.write(new DataView(written.buffer), 0, value)
      expect(codecOf(btf, name).read(new DataView(written.buffer), 0)).to.deep.equal(value)
    }
    expect(found).to.deep.equal(['stats', 'color', 'tiny', 'atomic_t', 'node', 'plain', '__u32'])
  })

  it('are refused where codecOf refuses them, with the same reason', function () {
    requireFeature(this, 'kernelBtf')
    const btf = Btf.kernel()
    const counts = { read: 0, refused: 0 }
    let i = 0
    for (const { id, name } of btf.types('struct')) {
      if (name === '' || i++ % 40 !== 0) continue
      const [one, other] = [reasonOf(() => codecOf(btf, id)), reasonOf(() => typeScriptParts(btf, [id]))]
      expect([name, other]).to.deep.equal([name, one])
      counts[one === undefined ? 'read' : 'refused']++
    }
    expect(counts.read).to.be.greaterThan(50)
    expect(counts.refused).to.be.greaterThan(0)
  })

  it('are told by a name or an id that there is', () => {
    const error = errorOf(() => fixture().toTypeScript('nod'))
    expect(error).to.be.instanceOf(BtfError).with.property('code', 'ENOENT')
    expect(() => fixture().toTypeScript(null as never)).to.throw(TypeError, 'by its name or its id')
  })
})

function reasonOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (!(error instanceof BtfError)) throw error
    return error.reason
  }
}
