import { inspect } from 'node:util'
import { expect } from 'chai'
import { type BpfMap, ClosedError, HashOfMaps, MapMismatchError, u32 } from '../../lib'
import { openMap } from '../../lib/map/open'
import { duplicateFd } from '../../syscalls/fd'
import { errorOf } from '../support/error'
import { eventually, mapIds, requireFeature, requireRoot } from '../support/kernel'
import { FAMILIES } from './families'
import { fdNumber, openFds } from './kit'

/** A class's own way to open by id, whatever codecs it wants: the spec has them. */
describe('every family of maps', () => {
  before(function () {
    requireRoot(this)
  })

  for (const { spec, is, shown, uses, notInner } of FAMILIES) {
    describe(`${spec.typeName} (type ${is[0]})`, () => {
      beforeEach(function () {
        requireFeature(this, 'mapType', spec.family.type)
      })

      it('is made as asked, and opened again', () => {
        using map = spec.create()
        const told = ['map_type', 'key_size', 'value_size', 'max_entries'].map((field) => fdNumber(map.fd, field))
        expect(told).to.deep.equal(is)
        expect(map.info()).to.include({ id: map.id, name: 'one', keySize: is[1], valueSize: is[2], maxEntries: is[3] })
        expect(mapIds()).to.include(map.id)
        using again = spec.fromId(map.id)
        expect(again.constructor).to.equal(map.constructor)
        expect([again.id, again.name, again.type]).to.deep.equal([map.id, 'one', map.type])
        using taken = spec.fromFd(duplicateFd(map.fd))
        expect(taken.id).to.equal(map.id)
      })

      it('is opened by its type alone, as the same class', () => {
        using map = spec.create()
        using found = openMap({ id: map.id })
        expect(found.constructor).to.equal(map.constructor)
        expect(found.attributes).to.deep.include({ keySize: is[1], valueSize: is[2], maxEntries: is[3] })
        // What was found is a description to make more from.
        using more = (found.spec as typeof spec).create()
        expect(['map_type', 'key_size', 'value_size', 'max_entries'].map((f) => fdNumber(more.fd, f))).to.deep.equal(is)
        expect(more.info().flags).to.deep.equal(map.info().flags)
        expect(more.info().mapExtra).to.equal(map.info().mapExtra)
      })

      it('is printed on a line', () => {
        using map = spec.create()
        const [line] = inspect(map).split('\n')
        expect(line).to.equal(`${spec.family.name}#${map.id} 'one' ${shown} fd ${map.fd}`)
      })

      it('refuses to be another, and leaves nothing open', () => {
        const other = FAMILIES.find((one) => one.is[0] !== is[0]) as (typeof FAMILIES)[number]
        using map = spec.create()
        const fds = openFds()
        const error = errorOf(() => other.spec.fromId(map.id))
        expect(error).to.be.instanceOf(MapMismatchError)
        expect(error).to.include({ attribute: 'type', actual: map.type })
        expect(openFds()).to.equal(fds)
        expect(() => other.spec.fromFd(map.fd)).to.throw(MapMismatchError)
        expect(map.info().name).to.equal('one')
      })

      it('says so once it is closed', async () => {
        const map = spec.create()
        const { id } = map
        map.close()
        map.close()
        expect(map.closed).to.equal(true)
        const all: ((map: BpfMap) => unknown)[] = [
          ...uses,
          (m) => m.fd,
          (m) => m.info(),
          (m) => m.freeze(),
          (m) => m.pin('/sys/fs/bpf/x'),
        ]
        for (const use of all)
          expect(() => use(map), use.toString()).to.throw(
            ClosedError,
            / is closed \(`using` ends with its block, at a prompt with its line\)$/,
          )
        expect(inspect(map)).to.match(/^\w+#\d+ 'one'.* closed$/)
        await eventually(() => !mapIds().includes(id), 'the map is gone')
      })

      it(notInner === undefined ? 'is an inner map' : 'is no inner map', () => {
        const make = () => HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 2, inner: spec })
        if (notInner !== undefined) {
          expect(make).to.throw(TypeError, notInner)
          return
        }
        using outer = make()
        using inner = outer.createInner({ name: 'inner' })
        outer.set(1, inner as never)
        expect(outer.idOf(1)).to.equal(inner.id)
        using again = outer.open(1)
        expect(again?.name).to.equal('inner')
        using opened = openMap({ id: outer.id })
        expect(opened).to.be.instanceOf(HashOfMaps)
        const [first] = [...(opened as HashOfMaps<Uint8Array, BpfMap>).inners()]
        expect(first?.[1].constructor).to.equal(inner.constructor)
      })
    })
  }
})
