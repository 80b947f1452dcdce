import { expect } from 'chai'
import { u32, u64 } from '../../lib'
import { pageSize } from '../../lib/cpu/page-size'
import { Arena } from '../../lib/map/arena'
import { errorOf } from '../support/error'
import { collect } from '../support/gc'
import { eventually, requireFeature } from '../support/kernel'

/** Far from what processes have mapped, and not where other specs are. */
const PLACE = 3n << 43n

describe('the memory of an Arena', () => {
  beforeEach(function () {
    requireFeature(this, 'mapType', 'arena')
  })

  it('is all of it, zeros at first, and one however often it is asked for', () => {
    using arena = Arena.create({ pages: 3 })
    const { memory, address } = arena
    expect(memory.byteLength).to.equal(3 * pageSize())
    expect(address % BigInt(pageSize())).to.equal(0n)
    expect(arena.memory).to.equal(memory)
    const words = new Uint32Array(memory)
    expect(words.every((word) => word === 0)).to.equal(true)
    words[words.length - 1] = 7
    expect(arena.read(address + BigInt(memory.byteLength - 4), u32)).to.equal(7)
  })

  it('is found by pointers: whole, or the lower half of one', () => {
    using arena = Arena.create({ pages: 2 })
    const { address } = arena
    expect(arena.offsetOf(address)).to.equal(0)
    expect(arena.offsetOf(address + 100n)).to.equal(100)
    expect(arena.offsetOf(BigInt.asUintN(32, address + 100n))).to.equal(100)
    arena.write(address + 8n, u64, 12345n)
    expect(new BigUint64Array(arena.memory)[1]).to.equal(12345n)
    const end = address + BigInt(2 * pageSize())
    for (const pointer of [end, address - 1n, 0n, 2n ** 63n]) {
      const error = errorOf(() => arena.offsetOf(pointer))
      expect(error).to.be.instanceOf(RangeError)
      expect(error.message).to.match(/^0x[0-9a-f]+ is not in Arena#\d+: 0x[0-9a-f]+ to 0x[0-9a-f]+$/)
    }
    expect(errorOf(() => arena.read(end - 4n, u64)).message).to.match(
      /^u64 has 8 bytes, and Arena#\d+ ends 4 bytes further$/,
    )
    expect(errorOf(() => arena.write(address, u32, -1)).name).to.equal('RangeError')
    expect(errorOf(() => arena.offsetOf('x' as never)).name).to.equal('TypeError')
    expect(errorOf(() => arena.read(address, {} as never)).name).to.equal('TypeError')
  })

  it('is where mapExtra says, unless something is there', () => {
    using arena = Arena.create({ pages: 2, mapExtra: PLACE })
    expect(arena.address).to.equal(PLACE)
    new Uint8Array(arena.memory).fill(1)
    using same = Arena.fromId(arena.id)
    expect(errorOf(() => same.memory)).to.include({ code: 'EEXIST', command: 'mmap' })
    using other = Arena.create({ pages: 1, mapExtra: PLACE })
    expect(errorOf(() => other.address)).to.include({ code: 'EEXIST' })
    expect(new Uint8Array(arena.memory).every((byte) => byte === 1)).to.equal(true)
    // What is left of it is not of this size.
    arena.close()
    expect(errorOf(() => other.address)).to.include({ code: 'EEXIST' })
    using next = Arena.create({ pages: 2, mapExtra: PLACE })
    expect(next.address).to.equal(PLACE)
    expect(new Uint8Array(next.memory).every((byte) => byte === 0)).to.equal(true)
  })

  it('is given back once nobody has what was there before, also of another size', async () => {
    const place = PLACE + 2n ** 33n
    const use = (pages: number): void => {
      using arena = Arena.create({ pages, mapExtra: place })
      expect(arena.address).to.equal(place)
      new Uint8Array(arena.memory)[0] = pages
    }
    use(2)
    await eventually(() => {
      collect()
      use(3)
      return true
    }, 'the addresses are free')
    // At once, also where it is collected and what gives the addresses back has not been called.
    for (let round = 0; round < 3; round++) {
      use(3)
      collect()
      use(3)
    }
  })

  it('of another handle has its address, where that is told', () => {
    using arena = Arena.create({ pages: 1 })
    expect(arena.memory.byteLength).to.equal(pageSize())
    using same = Arena.fromId(arena.id)
    const error = errorOf(() => same.memory)
    expect(error).to.include({ code: 'EINVAL' })
    expect(error.message).to.match(/mapped already, at an address that the kernel does not tell/)
    using marked = Arena.create({ pages: 1, mapExtra: PLACE + 2n ** 32n })
    using opened = Arena.fromId(marked.id)
    new Uint8Array(opened.memory)[0] = 5
    expect(opened.address).to.equal(PLACE + 2n ** 32n)
  })

  it('ends with it', () => {
    const arena = Arena.create({ pages: 1 })
    const bytes = new Uint8Array(arena.memory)
    bytes[0] = 1
    arena.close()
    arena.close()
    expect(bytes[0]).to.equal(0)
    expect(errorOf(() => arena.memory).name).to.equal('ClosedError')
    expect(errorOf(() => arena.address).name).to.equal('ClosedError')
  })

  it('is not to be had where reading it may end the process', () => {
    using arena = Arena.create({ pages: 1, flags: ['SEGV_ON_FAULT'] })
    const error = errorOf(() => arena.memory)
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.match(/has SEGV_ON_FAULT/)
    expect(arena.address % BigInt(pageSize())).to.equal(0n)
    expect(arena.address).to.not.equal(0n)
  })

  it('is up to 4 GiB', () => {
    using arena = Arena.create({ pages: 2 ** 32 / pageSize() })
    const { memory, address } = arena
    expect(memory.byteLength).to.equal(2 ** 32)
    arena.write(address + 2n ** 32n - 8n, u64, 9n)
    expect(new DataView(memory).getBigUint64(2 ** 32 - 8, true)).to.equal(9n)
  })
})
