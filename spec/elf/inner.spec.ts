import { expect } from 'chai'
import { type ArrayOfMaps, type BpfMap, HashMap, type HashOfMaps, openMap, struct, u16, u32, u64 } from '../../lib'
import { bpftool, needsBpftool } from '../program/kit'
import { errorOf } from '../support/error'
import { needsKernel, open } from './kit'

const Flow = struct({ address: u32, port: u16, protocol: u16 })
const Traffic = struct({ packets: u64, bytes: u64 })

type Outer = ArrayOfMaps<HashMap<unknown, unknown>> | HashOfMaps<number, HashMap<unknown, unknown>>

/** The object without the outer map of whose inner maps it tells too little. */
function known() {
  const object = open('inner')
  Object.assign(object.maps.by_tenant ?? {}, { autocreate: false })
  return object
}

describe('inner maps of objects', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
  })

  it('have keys and values by the names of the struct that nothing but they are of', function () {
    using app = known().load()
    const outer = app.maps.by_slot as unknown as Outer
    const rows: [unknown, unknown][] = [
      [
        { number: 443, protocol: 6 },
        { first: 1, last: 2 },
      ],
    ]
    outer.set(1, rows)
    expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map(rows)]]))
    using again = openMap({ id: outer.id }) as unknown as Outer & BpfMap
    expect(again.snapshot()).to.deep.equal(new Map([[1, new Map(rows)]]))
    expect(again.use(1, (inner) => [...inner])).to.deep.equal(rows)
    // Without the library: the kernel's copy of the types is the inner map's own.
    needsBpftool(this)
    const [entry] = JSON.parse(bpftool('-j', 'map', 'dump', 'id', `${outer.idOf(1)}`))
    expect(entry.formatted).to.deep.equal({ key: rows[0]?.[0], value: rows[0]?.[1] })
  })

  it('have those that a size is told of as bytes', () => {
    using app = known().load()
    const outer = app.maps.sized as unknown as Outer
    const key = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])
    outer.set(0, [[key, { first: 3, last: 4 }]])
    expect(outer.use(0, (inner) => [...inner])).to.deep.equal([[key, { first: 3, last: 4 }]])
  })

  it('are told by the caller where the object only names them', () => {
    const rows: [unknown, unknown][] = [
      [
        { address: 1, port: 2, protocol: 3 },
        { packets: 4n, bytes: 5n },
      ],
    ]
    const object = open('inner')
    const error = errorOf(() => object.load())
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.match(/'by_tenant': the keys of its inner maps are struct flow, which the BTF only names/)
    expect(error.message).to.match(/load\(\{ inner: \{ by_tenant: /)
    expect(error.message).to.match(/tell its size; a global variable of it, struct flow unused_key;, its fields too$/)
    const inner = HashMap.spec({ key: Flow, value: Traffic, maxEntries: 8 })
    using given = object.load({ inner: { by_tenant: inner } })
    Object.assign(object.maps.by_tenant?.inner ?? {}, { key: Flow, value: Traffic })
    using described = object.load()
    for (const app of [given, described]) {
      const outer = app.maps.by_tenant as unknown as Outer
      outer.set(7, rows)
      expect(outer.snapshot()).to.deep.equal(new Map([[7, new Map(rows)]]))
    }
  })
})
