import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import { Btf, type BtfType } from '../../lib/btf'
import { requireFeature } from '../support/kernel'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Comparison } from './print-same'

/** CLANG names another clang than the one in the PATH. */
const CLANG = process.env.CLANG ?? 'clang'

/** Of a struct that ends in an open array, in another. */
const QUIET = '-Wno-gnu-variable-sized-type-not-at-end'

/** What a header has of the kernel's types, with the names that it is to give them. */
function namesIn(btf: Btf): Map<number, string> {
  const times = new Map<string, number>()
  const names = new Map<number, string>()
  for (const type of btf.types()) {
    const tag = tagOf(type)
    if (type.name === '' || tag === undefined) continue
    // What is only declared has no name of its own where one struct has it.
    if (type.kind === 'fwd' && btf.findAll(type.name, type.of).length === 1) continue
    const key = tag === '' ? `typedef ${type.name}` : type.name
    const time = (times.get(key) ?? 0) + 1
    times.set(key, time)
    const name = time === 1 ? type.name : `${type.name}___${time}`
    // Compilers have a type of their own of this name.
    const own = name.startsWith('__builtin_') && tag === '' ? `${name}___btf` : name
    if (type.kind !== 'fwd') names.set(type.id, `${tag}${own}`)
  }
  return names
}

function tagOf(type: BtfType): string | undefined {
  switch (type.kind) {
    case 'struct':
    case 'union':
    case 'enum':
      return `${type.kind} `
    case 'enum64':
      return 'enum '
    case 'fwd':
      return `${type.of} `
    case 'typedef':
      return ''
    default:
      return undefined
  }
}

/** So many types in one object: the time that clang takes for them grows with their square. */
const AT_ONCE = 1500

/** Whether a variable can be of it. */
function hasSize(btf: Btf, type: BtfType): boolean {
  try {
    btf.sizeOf(type.id)
    return !(type.kind === 'enum' && type.values.length === 0)
  } catch {
    return false
  }
}

describe("the kernel's types as C", function () {
  this.timeout(300_000)

  before(function () {
    requireFeature(this, 'kernelBtf')
    requireClang(this)
  })

  it('compile, and are then what they were: all of them, each size, offset, bit field and type', function () {
    const btf = Btf.kernel()
    const names = namesIn(btf)
    const used = [...names].filter(([id]) => hasSize(btf, btf.type(id)))
    const header = btf.toC()
    const differences: string[] = []
    for (let i = 0; i < used.length; i += AT_ONCE) {
      const part = used.slice(i, i + AT_ONCE)
      const lines = part.map(([id, name]) => `${name} use_${id};`)
      const bytes = withFolder((folder) => sectionOf(compile(`${header}\n${lines.join('\n')}\n`, folder), '.BTF'))
      const compiled = Btf.parse(bytes, { name: 'compiled' })
      const comparison = new Comparison(btf, compiled)
      for (const [id, name] of part) comparison.add(id, compiled.require(`use_${id}`, 'var').type, name)
      differences.push(...comparison.differences)
    }
    expect(differences.slice(0, 10)).to.deep.equal([])
    const count = (kind: string) => used.filter(([id]) => btf.kindOf(id) === kind).length
    expect(count('struct')).to.be.greaterThan(1000)
    if (this.test !== undefined) this.test.title += ` (${count('struct')} structs, ${count('union')} unions)`
  })

  for (const standard of ['gnu11', 'gnu17', 'gnu2x']) {
    it(`compile as ${standard} without a warning`, () => {
      warned(Btf.kernel().toC(), standard)
    })
  }

  it('compile each by itself with what it needs', () => {
    const btf = Btf.kernel()
    for (const name of ['task_struct', 'sk_buff', 'bpf_map', 'bpf_prog_type', 'atomic_t', 'vm_operations_struct']) {
      const text = btf.toC(name, { deep: true })
      warned(text, 'gnu17')
      const lines = text.trimEnd().split('\n').length
      expect(lines).to.be.lessThan(btf.toC().split('\n').length / 4)
    }
  })
})

/** Throws what clang has to say. */
function warned(source: string, standard: string): void {
  const args = ['-target', 'bpf', `-std=${standard}`, '-fsyntax-only', '-Wall', '-Werror', QUIET, '-x', 'c', '-']
  const { status, stderr } = spawnSync(CLANG, args, { input: source, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}
