import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, type BtfType } from '../../lib/btf'
import { requireFeature } from '../support/kernel'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Comparison } from './print-same'

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
    if (type.kind !== 'fwd') names.set(type.id, `${tag}${name}`)
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
    const lines = used.map(([id, name]) => `${name.startsWith('__builtin_') ? `${name}___btf` : name} use_${id};`)
    const compiled = withFolder((folder) => {
      const source = `${btf.toC()}\n${lines.join('\n')}\n`
      return Btf.parse(sectionOf(compile(source, folder), '.BTF'), { name: 'compiled' })
    })
    const comparison = new Comparison(btf, compiled)
    for (const [id, name] of used) comparison.add(id, compiled.require(`use_${id}`, 'var').type, name)
    expect(comparison.differences.slice(0, 10)).to.deep.equal([])
    const count = (kind: string) => used.filter(([id]) => btf.kindOf(id) === kind).length
    expect(count('struct')).to.be.greaterThan(1000)
    if (this.test !== undefined) this.test.title += ` (${count('struct')} structs, ${count('union')} unions)`
  })
})
