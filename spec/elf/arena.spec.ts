import { expect } from 'chai'
import {
  type Arena,
  BpfObject,
  ElfError,
  KernelError,
  type LoadedObject,
  struct,
  UnsupportedError,
  u64,
} from '../../lib'
import { errorOf } from '../support/error'
import { hasFeature, pending, requireFeature } from '../support/kernel'
import { bytesOf, needsFixtures, needsKernel } from './kit'

const Node = struct({ next: u64, value: u64 })

/** Far from what processes have mapped. */
const PLACE = 1n << 44n

interface Shape {
  readonly maps: { readonly shared: Arena }
  readonly globals: {
    head: bigint
    length: number
    start: bigint
    greeting: string
    inner: { next: bigint; value: bigint }
    to_inner: bigint
    big: readonly number[]
    sum: bigint
  }
}

const arenaObject = () => BpfObject.open<Shape>(bytesOf('arena'), { name: 'arena.bpf.o' })

const run = (app: LoadedObject<Shape>, name: 'build' | 'add_up' | 'follow', ctx = new Uint8Array(8)) => {
  const program = (app.programs as Readonly<Record<string, { run(options: { ctx: Uint8Array }): { retval: number } }>>)[
    name
  ]
  return program?.run({ ctx }).retval
}

describe('objects with an arena', () => {
  beforeEach(function () {
    needsFixtures(this)
  })

  it('tell what it is, and the variables in it', () => {
    const { maps, globals } = arenaObject()
    expect(maps.shared).to.include({ type: 'ARENA', keySize: 0, valueSize: 0, maxEntries: 16, mapExtra: 0n })
    expect(maps.shared.flags).to.deep.equal(['MMAPABLE'])
    expect(Object.keys(maps)).to.have.members(['shared', '.bss'])
    expect(globals.start).to.include({ section: '.addr_space.1', size: 8, constant: false, value: 1000n })
    expect(globals.greeting.value).to.equal('hello')
    expect(globals.inner.value).to.deep.equal({ next: 0n, value: 7n })
    expect(globals.big.value[2047]).to.equal(99)
    expect(globals.head.section).to.equal('.bss')
  })

  /** The object with the last relocation of data, of `to_inner`, and the type of the map changed. */
  function broken(offset: bigint | undefined, symbol: number): () => BpfObject {
    const bytes = bytesOf('arena')
    const view = new DataView(bytes.buffer)
    for (let at = 0; at + 16 <= bytes.length; at += 8) {
      if (view.getBigUint64(at, true) !== 0x28n || view.getUint32(at + 8, true) !== 2) continue
      if (offset !== undefined) view.setBigUint64(at, offset, true)
      view.setUint32(at + 12, symbol, true)
      return () => BpfObject.open(bytes, { name: 'broken' })
    }
    throw new Error('there is no such relocation')
  }

  it('are refused where a pointer is to what is elsewhere, or to nothing', () => {
    // The symbols are, by llvm-readelf: 3 the arena itself, 4 the function that allocates pages.
    expect(broken(undefined, 3)).to.throw(
      ElfError,
      /^broken at offset \d+ \(0x[0-9a-f]+\): a pointer at 40 of \.addr_space\.1 is to 'shared', which is not in the arena$/,
    )
    expect(broken(undefined, 4)).to.throw(ElfError, /is to 'bpf_arena_alloc_pages', which is not in the arena/)
    expect(broken(0x2040n, 14)).to.throw(ElfError)
    // What stands in the place is added: here the bytes of "hello".
    expect(broken(8n, 14)).to.throw(
      ElfError,
      /a pointer at 8 of \.addr_space\.1 is to 'inner', which is not in the arena/,
    )
  })

  it('are refused where no map is an arena', () => {
    const bytes = bytesOf('arena')
    const view = new DataView(bytes.buffer)
    // The type of a map is the length of an array in BTF, four words behind the kind: 33 is ARENA, 2 ARRAY.
    for (let at = 16; at + 4 <= bytes.length; at += 4) {
      if (view.getUint32(at, true) === 33 && view.getUint32(at - 16, true) === 3 << 24) view.setUint32(at, 2, true)
    }
    expect(() => BpfObject.open(bytes)).to.throw(ElfError, /variables of an arena, and no map of the object is one/)
  })
})

describe('the arena of an object', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
  })

  it('is told by kernels that have none', function () {
    if (hasFeature('mapType', 'arena') !== false) pending(this, 'this kernel has them')
    const error = errorOf(() => arenaObject().load())
    expect(error).to.be.instanceOf(UnsupportedError)
    expect(error.message).to.match(/arena.*6\.9/)
  })

  describe('is memory', () => {
    beforeEach(function () {
      requireFeature(this, 'mapType', 'arena')
    })

    it('with what variables begin with, and what they point to', () => {
      const object = arenaObject()
      object.globals.greeting.value = 'changed'
      using app = object.load()
      const { globals, maps } = app
      expect(globals.greeting.value).to.equal('changed')
      expect(globals.start.value).to.equal(1000n)
      expect(globals.big.value[2047]).to.equal(99)
      expect(globals.to_inner.value).to.equal(maps.shared.address + BigInt(globals.inner.offset))
      expect(maps.shared.read(globals.to_inner.value, Node)).to.deep.equal({ next: 0n, value: 7n })
      expect(run(app, 'follow')).to.equal(7 + 99)
      globals.inner.value = { next: 0n, value: 1n }
      expect(run(app, 'follow')).to.equal(1 + 99)
    })

    it('that programs allocate, and lay lists in', () => {
      using app = arenaObject().load()
      const { globals, maps } = app
      globals.start.value = 100n
      expect(run(app, 'build', new Uint8Array([5, 0, 0, 0, 0, 0, 0, 0]))).to.equal(0)
      expect(globals.length.value).to.equal(5)
      const values: bigint[] = []
      for (let at = globals.head.value; at !== 0n; at = maps.shared.read(at, Node).next) {
        values.push(maps.shared.read(at, Node).value)
      }
      expect(values).to.deep.equal([104n, 103n, 102n, 101n, 100n])
      // The page is none of those that the variables are in.
      expect(maps.shared.offsetOf(globals.head.value)).to.be.above(globals.sum.offset)
    })

    it('in which programs find what was put there', () => {
      using app = arenaObject().load()
      const { globals, maps } = app
      // The last page: nobody has touched it so far.
      const page = maps.shared.address + BigInt(maps.shared.memory.byteLength - 4096)
      for (const [i, value] of [10n, 20n, 30n].entries()) {
        const next = i === 2 ? 0n : page + BigInt((i + 1) * Node.size)
        maps.shared.write(page + BigInt(i * Node.size), Node, { next, value })
      }
      globals.head.value = page
      expect(run(app, 'add_up')).to.equal(0)
      expect(globals.sum.value).to.equal(60n)
      // Programs allocate none of those that user space has taken.
      expect(run(app, 'build', new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]))).to.equal(0)
      expect(maps.shared.offsetOf(globals.head.value)).to.be.below(maps.shared.memory.byteLength - 4096)
      expect(maps.shared.read(page, Node).value).to.equal(10n)
    })

    it('that is gone when the object is closed', () => {
      const app = arenaObject().load()
      const { globals } = app
      const { memory } = app.maps.shared
      expect(new Uint8Array(memory, globals.greeting.offset, 5)).to.deep.equal(new Uint8Array(Buffer.from('hello')))
      app.close()
      expect(errorOf(() => globals.greeting.value).name).to.equal('ClosedError')
      expect(errorOf(() => app.maps.shared.memory).name).to.equal('ClosedError')
      expect(new Uint8Array(memory, 0, 64).every((byte) => byte === 0)).to.equal(true)
    })

    it('at an address of its own, as often as it is loaded', () => {
      const object = arenaObject()
      object.maps.shared.mapExtra = PLACE
      for (const value of [1n, 2n]) {
        using app = object.load()
        expect(app.maps.shared.address).to.equal(PLACE)
        expect(app.globals.start.value).to.equal(1000n)
        app.globals.start.value = value
        expect(app.globals.to_inner.value).to.equal(PLACE + BigInt(app.globals.inner.offset))
        expect(run(app, 'follow')).to.equal(106)
        const error = errorOf(() => object.load())
        expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EEXIST', syscall: 'mmap' })
        expect(error.message).to.match(/something is at the address of mapExtra in this process/)
        expect(app.globals.start.value).to.equal(value)
      }
    })

    it('that objects share, and the first fills', () => {
      using first = arenaObject().load()
      first.globals.start.value = 5n
      using second = arenaObject().load({ maps: { shared: first.maps.shared } })
      expect(second.globals.start.value).to.equal(5n)
      run(first, 'build', new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0]))
      second.globals.head.value = first.globals.head.value
      run(second, 'add_up')
      expect(first.globals.sum.value).to.equal(11n)
      second.close()
      expect(first.globals.sum.value).to.equal(11n)
    })

    it('that is too small, or is none, or ends processes, is refused', () => {
      const changed = (changes: object) => {
        const object = arenaObject()
        Object.assign(object.maps.shared, changes)
        return errorOf(() => object.load())
      }
      const small = changed({ maxEntries: 2 })
      expect(small).to.be.instanceOf(RangeError)
      expect(small.message).to.equal("map 'shared' has 2 pages, and the variables in it need 3")
      const other = changed({ type: 'HASH', keySize: 4, valueSize: 4, flags: [] })
      expect(other).to.be.instanceOf(TypeError)
      expect(other.message).to.equal("map 'shared' has to be an arena: the object has variables in it")
      const fatal = changed({ flags: ['MMAPABLE', 'SEGV_ON_FAULT'] })
      expect(fatal).to.be.instanceOf(TypeError)
      expect(fatal.message).to.match(/has SEGV_ON_FAULT: reading a page that is not there would end the process/)
      const without = changed({ autocreate: false })
      expect(without.message).to.match(/uses map 'shared', which was not to be created/)
    })
  })
})
