import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError } from '../../lib/btf'
import * as format from '../../lib/btf/format'
import { errorOf } from '../support/error'
import { dumped, firstDifference, requireBpftool } from './bpftool'
import { withFolder } from './folder'
import { everyKind, Image } from './image'

/** What goes on from everyKind. Its own ids begin with 31. */
function splitOf(base: Image, littleEndian = true): Image {
  const split = new Image({ littleEndian, base: { types: base.typeCount, stringBytes: base.stringBytes } })
  const nodes = split.array(7, 2)
  split.struct('pair', 56, [
    ['nodes', nodes, 0],
    ['same', 2, 384],
  ])
  split.typedef('node_t', nodes)
  // A name that the base has, in the base's strings.
  split.add(format.TYPEDEF, base.name('print'), 32)
  return split
}

describe('split BTF', function () {
  this.timeout(300_000)
  const base = everyKind()
  const parsedBase = Btf.parse(base.bytes(), { name: 'base' })
  const parse = () => Btf.parse(splitOf(base).bytes(), { base: parsedBase, name: 'split' })

  it('goes on where its base ends, with types and with strings', () => {
    const btf = parse()
    expect([btf.base, btf.firstId, btf.size]).to.deep.equal([parsedBase, 31, 4])
    expect([...btf.types()]).to.deep.equal([
      { id: 31, kind: 'array', name: '', type: 7, indexType: 1, length: 2 },
      {
        ...{ id: 32, kind: 'struct', name: 'pair', size: 56 },
        members: [
          { name: 'nodes', type: 31, bitOffset: 0, bitfieldSize: 0 },
          { name: 'same', type: 2, bitOffset: 384, bitfieldSize: 0 },
        ],
      },
      { id: 33, kind: 'typedef', name: 'node_t', type: 31 },
      { id: 34, kind: 'typedef', name: 'print', type: 32 },
    ])
    expect(btf.type(7)).to.equal(parsedBase.type(7))
    expect([btf.nameOf(7), btf.kindOf(7), btf.nameOf(32), btf.kindOf(32)]).to.deep.equal([
      ...['node', 'struct', 'pair', 'struct'],
    ])
    expect([btf.sizeOf(33), btf.alignOf(33), btf.sizeOf(7), btf.alignOf(32)]).to.deep.equal([48, 8, 24, 8])
    expect(btf.resolve(9)).to.equal(parsedBase.type(7))
  })

  it('is what bpftool finds', function () {
    requireBpftool(this)
    withFolder((folder) => {
      const [basePath, path] = [join(folder, 'base.btf'), join(folder, 'split.btf')]
      writeFileSync(basePath, base.bytes())
      writeFileSync(path, splitOf(base).bytes())
      expect(firstDifference(parse().types(), dumped(path, basePath))).to.equal(undefined)
    })
  })

  it('finds names of its base first', () => {
    const btf = parse()
    for (let i = 0; i < 5; i++) {
      expect(btf.findAll('node_t').map(({ id }) => id)).to.deep.equal([9, 33])
      expect(btf.find('node_t')?.id).to.equal(9)
      expect(btf.findAll('print').map(({ id }) => id)).to.deep.equal([19, 34])
      expect(btf.find('print', 'typedef')?.id).to.equal(34)
      expect(btf.find('pair')?.id).to.equal(32)
      expect(parsedBase.find('pair')).to.equal(undefined)
    }
    expect(errorOf(() => btf.require('pairs')).message).to.contain(
      "split: no type is called 'pairs': did you mean 'pair'",
    )
    expect(errorOf(() => btf.require('nodee')).message).to.contain("did you mean 'node'")
  })

  it('goes on from split BTF, too', () => {
    const second = new Image({ base: { types: 34, stringBytes: base.stringBytes + splitOf(base).stringBytes } })
    second.typedef('last', 32)
    const btf = Btf.parse(second.bytes(), { base: parse() })
    expect(btf.type(35)).to.deep.equal({ id: 35, kind: 'typedef', name: 'last', type: 32 })
    expect([btf.sizeOf(35), btf.nameOf(1), btf.nameOf(32)]).to.deep.equal([56, 'int', 'pair'])
    expect(btf.findAll('node_t').map(({ id }) => id)).to.deep.equal([9, 33])
  })

  it('has pointers of the size that its base has', () => {
    const narrow = new Image()
    narrow.int('long int', 4)
    const split = new Image({ base: { types: 1, stringBytes: narrow.stringBytes } })
    const ptr = split.ptr(1)
    const btf = Btf.parse(split.bytes(), { base: Btf.parse(narrow.bytes()) })
    expect([btf.pointerSize, btf.sizeOf(ptr), btf.alignOf(ptr)]).to.deep.equal([4, 4, 4])
  })

  it('may have no types, and no strings', () => {
    const empty = new Image({ base: { types: base.typeCount, stringBytes: base.stringBytes } })
    const btf = Btf.parse(empty.bytes(), { base: parsedBase })
    expect([btf.size, [...btf.types()].length, btf.find('node')?.id]).to.deep.equal([0, 0, 7])
  })

  it('cannot do without its base, nor have one of another byte order', () => {
    const bytes = splitOf(base).bytes()
    expect(() => Btf.parse(bytes)).to.throw(BtfError, 'the first string is not empty')
    const big = Btf.parse(everyKind({ littleEndian: false }).bytes(), { name: 'big' })
    expect(() => Btf.parse(bytes, { base: big })).to.throw(BtfError, 'its byte order is not that of its base big')
    const swapped = Btf.parse(splitOf(base, false).bytes(), { base: big })
    expect([...swapped.types()]).to.deep.equal([...parse().types()])
  })
})
