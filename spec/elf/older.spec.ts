import { expect } from 'chai'
import { BpfObject } from '../../lib/elf'
import type { ArrayMap, HashMap } from '../../lib/map'
import { bpftool, needsBpftool } from '../program/kit'
import { requireFeature } from '../support/kernel'
import { bytesOf, needsFixtures, needsKernel, open } from './kit'

describe('objects of other compilers, for other loaders', () => {
  before(function () {
    needsFixtures(this)
  })

  it('have maps of plain words in sections of their own: of gobpf, of ir-keytable', () => {
    const { maps, programs } = open('sections')
    expect(Object.keys(maps)).to.have.members(['hits', 'lengths', 'decoder_state'])
    expect(maps.hits).to.include({ type: 'HASH', keySize: 4, valueSize: 8, maxEntries: 4 })
    // Named after its variable, not after its section.
    expect(maps.lengths).to.include({ type: 'ARRAY', valueSize: 4, maxEntries: 1 })
    expect(maps.decoder_state).to.include({ type: 'ARRAY', valueSize: 12, maxEntries: 1 })
    expect(programs.count).to.include({ kind: 'socket', target: 'count' })
  })

  it('have maps of plain words that want to be pinned: of older iproute2, of gobpf', () => {
    const { shared, near, kept, placed } = open('plain_pins').maps
    // As long as a map of the kernel's samples, where the same word is a node: it counts where one is asked for.
    expect(shared).to.include({ maxEntries: 2, pinning: 'by-name', numaNode: undefined })
    expect(near).to.include({ maxEntries: 2, pinning: 'none', numaNode: 2 })
    expect(kept).to.include({ type: 'HASH', pinning: 'by-name' })
    expect(placed).to.include({ type: 'HASH', pinning: 'by-name' })
  })

  it('use those maps', function () {
    needsKernel(this)
    using app = open('sections').load()
    const { hits, lengths, decoder_state } = app.maps
    // 14 bytes of them are the Ethernet header, which the program's length leaves out.
    for (let i = 0; i < 3; i++) app.programs.count?.run({ data: new Uint8Array(20) })
    const key = new Uint8Array(4)
    const [n] = new BigUint64Array((hits as HashMap<Uint8Array, Uint8Array>).get(key)?.slice().buffer as ArrayBuffer)
    expect(n).to.equal(3n)
    expect((lengths as ArrayMap<Uint8Array>).get(0)?.[0]).to.equal(6)
    expect((decoder_state as ArrayMap<Uint8Array>).get(0)?.[8]).to.equal(6)
  })

  it('have constants that belong to programs which do not use them: bpftool shows what they say', function () {
    needsKernel(this)
    needsBpftool(this)
    using app = open('metadata').load()
    const { nothing } = app.programs
    expect(nothing?.info().mapIds).to.deep.equal([app.maps['.rodata']?.id])
    const shown = JSON.parse(bpftool('-j', 'prog', 'show', 'id', `${nothing?.id}`))
    expect(shown.metadata).to.deep.equal({ team: 'edge', release: 7 })
  })

  it('leave sizes to whoever loads them, who is told which', function () {
    needsKernel(this)
    // One of the fixture's maps.
    requireFeature(this, 'mapType', 'bloom_filter')
    const object = open('maps')
    const { connections, stacks } = object.maps
    if (connections === undefined || stacks === undefined) throw new Error('the fixture has these')
    connections.maxEntries = 0
    stacks.valueSize = 0
    expect(() => object.load()).to.throw(
      RangeError,
      /'connections'.*how many entries.*maps\.connections\.maxEntries = /,
    )
    connections.maxEntries = 8
    expect(() => object.load()).to.throw(RangeError, /'stacks'.*how deep.*maps\.stacks\.valueSize = /)
    stacks.valueSize = 32 * 8
    using app = object.load()
    expect(app.maps.stacks?.attributes.valueSize).to.equal(256)
  })

  it('have variables in maps whose names are those that libbpf gives', function () {
    needsKernel(this)
    // A program of the fixture prints with it.
    requireFeature(this, 'helper', 'bpf_snprintf')
    needsBpftool(this)
    const given = (name: string, bytes: Uint8Array) => {
      using app = BpfObject.open(bytes, { name }).load()
      const ids = Object.values(app.maps).map((map) => map.id)
      const shown: { id: number; name: string }[] = JSON.parse(bpftool('-j', 'map', 'show'))
      return shown.filter(({ id }) => ids.includes(id)).map((map) => map.name)
    }
    expect(given('relations_read.bpf.o', bytesOf('metadata'))).to.deep.equal(['relation.rodata'])
    // '.bss' has room for more of the object's name, and does without: all maps of an object begin alike.
    expect(given('relations_read.bpf.o', bytesOf('globals'))).to.include.members(['relation.rodata', 'relation.bss'])
  })

  it('have BTF of a header alone, as of gcc: the same as none', () => {
    const bytes = bytesOf('tutorial')
    const at = Buffer.from(bytes.buffer).indexOf(Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0]))
    const header = new DataView(bytes.buffer, at)
    header.setUint32(12, 0, true)
    header.setUint32(16, 0, true)
    header.setUint32(20, 0, true)
    const object = BpfObject.open(bytes)
    expect(object.btf).to.equal(undefined)
    expect(object.maps.hits).to.include({ type: 'ARRAY', valueSize: 8 })
  })
})
