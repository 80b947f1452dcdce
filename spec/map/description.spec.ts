import { expect } from 'chai'
import { ArrayMap, bytes, HashMap, HashOfMaps, PerCpuArrayMap, u8, u16, u32, u64 } from '../../lib'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { openFds } from './kit'

/** What the kernel copies is a matter of the map's sizes alone: nothing that a caller changes later may part codecs from them. */
describe('a description of maps', () => {
  beforeEach(function () {
    requireRoot(this)
  })

  it('makes maps of another name and size, and of nothing else', () => {
    const described = HashMap.spec({ key: u32, value: u32, maxEntries: 8, name: 'one' })
    using map = described.create({ name: 'other', maxEntries: 2 })
    expect(map.info()).to.include({ name: 'other', maxEntries: 2, keySize: 4, valueSize: 4, type: 'HASH' })
    using outer = HashOfMaps.create({ key: u32, maxEntries: 1, inner: map.spec as typeof Inner })
    const before = openFds()
    for (const [name, value] of Object.entries({ keySize: 8, valueSize: 64, type: 2, flags: 1, key: u32 })) {
      const changes = { [name]: value } as { name?: string }
      expect(() => described.create(changes)).to.throw(TypeError, `no option is called '${name}'`)
      expect(() => outer.createInner(changes)).to.throw(TypeError, `no option is called '${name}'`)
    }
    expect(openFds()).to.equal(before)
  })

  const changed = [
    ['a HashMap', HashMap.spec, { key: u32, value: bytes(64), maxEntries: 1 }, { value: u8 }],
    ['the key of a HashMap', HashMap.spec, { key: u32, value: u32, maxEntries: 1 }, { key: u16 }],
    ['an ArrayMap', ArrayMap.spec, { value: u64, maxEntries: 1 }, { value: u32 }],
    ['a PerCpuArrayMap', PerCpuArrayMap.spec, { value: bytes(16), maxEntries: 1 }, { value: u64 }],
  ] as const
  for (const [what, describe, options, change] of changed) {
    it(`refuses codecs of ${what} that were put in place of its own later`, () => {
      const own = { ...options }
      const spec = (describe as (options: unknown) => typeof Inner)(own)
      Object.assign(own, change)
      const before = openFds()
      expect(errorOf(() => spec.create()).message).to.match(/was described with a key of 4 bytes and a value of \d+/)
      expect(openFds()).to.equal(before)
    })
  }
})

const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 8 })
