import { expect } from 'chai'
import { HashOfMaps, type MapSpec, u32 } from '../../lib'
import { pageSize } from '../../lib/cpu/page-size'
import { Arena } from '../../lib/map/arena'
import { RingBuf, UserRingBuf } from '../../lib/map/ring'
import { mapFile, PROT_READ } from '../../syscalls/memory'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { fdInfo, fdNumber, openFds } from './kit'

describe('maps that are memory', () => {
  before(function () {
    requireRoot(this)
  })

  for (const Kind of [RingBuf, UserRingBuf]) {
    describe(Kind.name, () => {
      before(function () {
        if (Kind === UserRingBuf) requireFeature(this, 'mapType', 'user_ringbuf')
      })

      it('has the size that it was given', () => {
        using ring = Kind.create({ name: 'ring', size: pageSize() * 2 })
        expect(ring.size).to.equal(pageSize() * 2)
        expect(fdNumber(ring.fd, 'max_entries')).to.equal(pageSize() * 2)
        using other = Kind.fromId(ring.id)
        expect(other.size).to.equal(pageSize() * 2)
        // The first page of a RINGBUF is the consumer's, of a USER_RINGBUF the kernel's: both may be read.
        using region = mapFile(ring.fd, pageSize(), PROT_READ)
        expect(new DataView(region.buffer).getBigUint64(0, true)).to.equal(0n)
      })

      it('refuses sizes that cannot be, before the kernel is asked', () => {
        const refused = (size: unknown) => expect(() => Kind.create({ size: size as number }))
        refused(0).to.throw(RangeError, /0 cannot be size/)
        refused(100).to.throw(RangeError, /100 bytes cannot be the size of a ring buffer.*such as \d+$/)
        refused(3 * pageSize()).to.throw(RangeError, new RegExp(`such as ${2 * pageSize()} or ${4 * pageSize()}$`))
        refused(2 ** 32).to.throw(RangeError, /cannot be size/)
        refused(2 ** 31 + pageSize()).to.throw(RangeError, /such as 2147483648$/)
        refused('4096').to.throw(TypeError, /size must be a number/)
        refused(undefined).to.throw(TypeError, /^size is missing: how many bytes the \w+ is to hold$/)
        const spec = Kind.spec({ size: pageSize() })
        expect(() => spec.create({ maxEntries: 5000 })).to.throw(RangeError, /5000 bytes cannot be/)
        using larger = spec.create({ maxEntries: pageSize() * 4 })
        expect(larger.size).to.equal(pageSize() * 4)
      })

      it('is an inner map, of any size', () => {
        using outer = HashOfMaps.create({
          key: u32,
          maxEntries: 2,
          inner: Kind.spec({ size: pageSize() }) as MapSpec<RingBuf>,
        })
        using large = Kind.create({ size: pageSize() * 8 })
        outer.set(1, large as never)
        expect(outer.use(1, (inner) => inner.size)).to.equal(pageSize() * 8)
        const fds = openFds()
        expect(() => outer.set(2, [] as never)).to.throw(TypeError, /cannot be filled from a list/)
        expect(openFds()).to.equal(fds)
      })
    })
  }

  describe('Arena', () => {
    before(function () {
      requireFeature(this, 'mapType', 'arena')
    })

    it('has pages, at an address where it was given one', () => {
      const mapExtra = 1n << 44n
      using arena = Arena.create({ name: 'arena', pages: 16, mapExtra })
      expect(arena.pages).to.equal(16)
      expect(fdInfo(arena.fd, 'map_extra')).to.equal(`0x${mapExtra.toString(16)}`)
      expect(arena.info()).to.deep.include({ flags: ['MMAPABLE'], mapExtra: Number(mapExtra), maxEntries: 16 })
      using other = Arena.fromId(arena.id)
      expect(other.attributes.mapExtra).to.equal(mapExtra)
    })

    it('refuses what cannot be', () => {
      expect(() => Arena.create({} as never)).to.throw(TypeError, /^pages is missing: how many pages the Arena/)
      expect(() => Arena.create({ pages: 0 })).to.throw(RangeError, /0 cannot be pages/)
      expect(errorOf(() => Arena.create({ pages: 0x7fffffff })).message).to.match(/E2BIG.*at most 4 GiB/)
      expect(errorOf(() => Arena.create({ pages: 1, mapExtra: 5 })).message).to.match(/EINVAL.*the address of a page/)
    })
  })
})
