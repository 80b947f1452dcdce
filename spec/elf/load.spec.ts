import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { BpfMap, BpfObject } from '../../lib'
import { ArrayMap, HashMap, type HashOfMaps, MapMismatchError, u32, VerifierError } from '../../lib'
import { bpftool, needsBpftool } from '../program/kit'
import { errorOf } from '../support/error'
import { eventually, hasFeature, mapIds, pending, requireFeature, useBpffs } from '../support/kernel'
import { needsKernel, open, PACKET } from './kit'

const dump = (kind: 'map' | 'prog', ...args: string[]) => JSON.parse(bpftool('-j', kind, ...args))

/** What the specs know of the maps of the fixtures. */
type Outer = HashOfMaps<number, ArrayMap<number>>

/** Where the kernel has no callbacks, all the rest loads. */
function functions(): BpfObject {
  const object = open('functions')
  const { each } = object.programs
  if (each !== undefined && hasFeature('helper', 'bpf_for_each_map_elem') === false) each.autoload = false
  return object
}

describe('BpfObject.load', function () {
  this.timeout(300_000)
  const bpffs = useBpffs()

  beforeEach(function () {
    needsKernel(this)
  })

  it('links functions of .text, of the own section and of others', () => {
    using app = functions().load()
    expect(app.programs.sum?.run({ data: PACKET }).retval).to.equal(28 + 29 + 42)
    expect(app.programs.across?.run({ data: PACKET }).retval).to.equal(42)
    expect(app.programs).not.to.have.property('optional')
  })

  it('takes functions as callbacks', function () {
    requireFeature(this, 'helper', 'bpf_for_each_map_elem')
    using app = open('functions').load()
    const numbers = app.maps.numbers as ArrayMap<bigint>
    numbers.setMany([1n, 2n, 3n, 4n].entries())
    expect(app.programs.each?.run({ data: PACKET }).retval).to.equal(10)
  })

  it('says in words that a kernel has no callbacks', function () {
    if (hasFeature('callbacks') !== false) pending(this, 'the kernel has callbacks')
    const fds = readdirSync('/proc/self/fd').length
    const error = errorOf(() => open('functions').load())
    expect(error).to.include({ name: 'UnsupportedError', object: "Program 'each'", since: '5.13' })
    expect(error.message).to.match(/has no functions as arguments of helpers \(callbacks\)/)
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })

  it('loads what bpftool has made of two files, with functions of one name in both', () => {
    using app = open('linked').load()
    ;(app.maps.shared as ArrayMap<number>).set(0, 1000)
    // here(add_three(4)) of the one is 10 * (4 + 1 + 2)
    expect(app.programs.first?.run({ data: PACKET }).retval).to.equal(1070)
    expect(app.programs.second?.run({ data: PACKET }).retval).to.equal(5)
    if (app.globals.base !== undefined) app.globals.base.value = 5
    expect(app.programs.second?.run({ data: PACKET }).retval).to.equal(6)
  })

  it('loads what bpftool has made of weak maps and variables, which stand elsewhere than their types say', () => {
    // Linked once more, the types tell the places, and not in order.
    for (const name of ['weak_once', 'weak_twice']) {
      using app = open(name).load()
      const run = (program: string) => app.programs[program]?.run({ data: PACKET }).retval
      expect([run('first'), run('second')]).to.deep.equal([12, 22])
      if (app.globals.limit !== undefined) app.globals.limit.value = 5
      ;(app.maps.common as ArrayMap<number>).set(0, 100)
      expect([run('first'), run('second')]).to.deep.equal([115, 125])
    }
  })

  it('gives the kernel the names of functions and the lines of the source', function () {
    requireFeature(this, 'helper', 'bpf_for_each_map_elem')
    needsBpftool(this)
    using app = open('functions').load()
    const insns = dump('prog', 'dump', 'xlated', 'id', `${app.programs.sum?.id}`, 'linum') as {
      proto?: string
      src?: string
    }[]
    const protos = insns.flatMap(({ proto }) => proto ?? [])
    expect(protos.map((proto) => /(\w+)\(/.exec(proto)?.[1])).to.have.members([
      'sum',
      'twice',
      'twice_and_one',
      'thrice',
    ])
    expect(insns.some(({ src }) => src?.includes('return n * 3'))).to.equal(true)
  })

  it('makes maps as described, with their BTF, as bpftool sees them', function () {
    requireFeature(this, 'mapType', 'bloom_filter')
    needsBpftool(this)
    using app = open('maps').load()
    const shown = dump('map', 'show', 'id', `${app.maps.connections?.id}`)
    expect(shown).to.include({ type: 'hash', name: 'connections', bytes_key: 8, bytes_value: 8, max_entries: 16 })
    expect(shown.btf_id).to.be.above(0)
    expect(app.programs.touch?.run({ data: PACKET }).retval).to.equal(2)
    const [entry] = dump('map', 'dump', 'id', `${app.maps.connections?.id}`)
    expect(entry.formatted).to.deep.equal({ key: { address: 0, port: 80, protocol: 0 }, value: 1 })
    const connections = app.maps.connections as HashMap<unknown, bigint>
    expect([...connections]).to.deep.equal([[{ address: 0, port: 80, protocol: 0 }, 1n]])
    expect(app.maps.ring?.maxEntries).to.be.at.least(4096)
    expect(app.maps.events?.maxEntries).to.be.above(0)
  })

  it('takes changes to the description', function () {
    requireFeature(this, 'mapType', 'bloom_filter')
    const object = open('maps')
    const { connections } = object.maps
    if (connections === undefined) throw new Error('there is no map')
    connections.maxEntries = 3
    connections.flags = []
    using app = object.load()
    expect(app.maps.connections?.info()).to.deep.include({ maxEntries: 3, flags: [] })
  })

  it('makes an outer map that is as good as one of our own', () => {
    type Calls = { by_uid: HashOfMaps<number, HashMap<number, number>>; uid_hits: HashMap<unknown, bigint> }
    using app = open('uid-syscalls').load() as unknown as { maps: Calls } & Disposable
    const { by_uid } = app.maps
    by_uid.set(1000, [
      [257, 1],
      [80, 1],
    ])
    expect(by_uid.use(1000, (inner) => inner.get(257))).to.equal(1)
    expect(by_uid.snapshot()).to.deep.equal(
      new Map([
        [
          1000,
          new Map([
            [257, 1],
            [80, 1],
          ]),
        ],
      ]),
    )
    using inner = by_uid.createInner()
    expect(inner.info()).to.include({ type: 'HASH', maxEntries: 64 })
  })

  it('fills the slots that the source fills: maps in one batch, and programs', () => {
    using app = open('values').load()
    const [first, second] = [app.maps.first, app.maps.second] as ArrayMap<number>[]
    const [byIndex, byKey] = [app.maps.by_index, app.maps.by_key] as [Outer, Outer]
    expect([...byIndex]).to.deep.equal([
      [0, first?.id],
      [2, second?.id],
    ])
    expect(new Map(byKey)).to.deep.equal(
      new Map([
        [1, second?.id],
        [3, first?.id],
      ]),
    )
    first?.set(0, 30)
    second?.set(0, 4)
    expect(app.programs.read?.run({ data: PACKET }).retval).to.equal(34)
    expect(app.programs.call?.run({ data: PACKET }).retval).to.equal(6)
    byIndex.set(2, [[0, 100]])
    expect(app.programs.read?.run({ data: PACKET }).retval).to.equal(130)
  })

  it('loads the array of devmaps of the kernel’s documentation', () => {
    using app = open('devmaps').load()
    const { inner_map1, inner_map2, outer_map } = app.maps
    expect([...(outer_map as Outer)].map(([, id]) => id)).to.deep.equal([inner_map1?.id, inner_map2?.id])
    // The devmap is empty: XDP_DROP is what the program asks for then.
    expect(app.programs.redirect?.run({ data: PACKET }).retval).to.equal(1)
  })

  it('takes from the caller what a map of words does not tell', () => {
    const object = open('tutorial')
    expect(errorOf(() => object.load()).message).to.match(/'outer_map' holds maps.*inner: \{ outer_map:/)
    using app = object.load({ inner: { outer_map: ArrayMap.spec({ value: u32, maxEntries: 1 }) } })
    expect(app.programs.test_func?.run({ data: PACKET }).retval).to.equal(1)
    const key = new Uint8Array(new Uint32Array([42]).buffer)
    ;(app.maps.outer_map as HashOfMaps<Uint8Array, ArrayMap<number>>).set(key, [[0, 77]])
    expect(app.programs.test_func?.run({ data: PACKET }).retval).to.equal(77)
  })

  it('takes the inner map of iproute2 that its id names', () => {
    using app = open('iproute2').load()
    ;(app.maps.map_inner as ArrayMap<Uint8Array>).set(0, new Uint8Array([9, 0, 0, 0]))
    expect(app.programs.read?.run({ data: PACKET }).retval).to.equal(9)
  })

  for (const story of ['devmap-array', 'live-config', 'port-stats', 'uid-syscalls']) {
    it(`loads the program of the story ${story}`, () => {
      const object = open(story)
      // One slot a CPU: not so many as the source has room for.
      if (object.maps.port_stats !== undefined) object.maps.port_stats.maxEntries = 4
      using app = object.load()
      expect(Object.keys(app.programs)).to.deep.equal(Object.keys(object.programs))
    })
  }

  it('leaves nothing behind when it fails, and shows the line of the source', () => {
    const fds = readdirSync('/proc/self/fd').length
    const object = open('pinned')
    const { refused } = object.programs
    if (refused === undefined) throw new Error('there is no such program')
    refused.autoload = true
    const error = errorOf(() => object.load({ pins: join(bpffs.path, 'half') }))
    expect(error).to.be.instanceOf(VerifierError)
    expect(error.message).to.match(/return \*count/)
    expect(readdirSync(bpffs.path)).not.to.include('half')
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })

  it('pins by name, and takes what is pinned with what is in it', () => {
    const pins = join(bpffs.path, 'app')
    let inner: number | undefined
    {
      using app = open('pinned').load({ pins })
      const outer = app.maps.pinned_outer as HashOfMaps<number, HashMap<number, number>>
      outer.set(5, [[1, 2]])
      outer.delete(1)
      inner = outer.idOf(5)
      ;(app.maps.pinned_array as ArrayMap<bigint>).set(1, 9n)
    }
    expect(readdirSync(pins)).to.have.members(['pinned_outer', 'pinned_array'])
    using app = open('pinned').load({ pins })
    const outer = app.maps.pinned_outer as HashOfMaps<number, HashMap<number, number>>
    // As they were: what the source puts in is for new maps.
    expect([...outer]).to.deep.equal([[5, inner]])
    expect(outer.use(5, (map) => map.get(1))).to.equal(2)
    expect((app.maps.pinned_array as ArrayMap<bigint>).get(1)).to.equal(9n)
  })

  it('makes all folders on the way to its pins, and takes back those that it has made', () => {
    const pins = join(bpffs.path, 'one', 'two', 'three')
    const refused = open('pinned')
    Object.assign(refused.programs.refused ?? {}, { autoload: true })
    expect(errorOf(() => refused.load({ pins }))).to.be.instanceOf(VerifierError)
    expect(readdirSync(bpffs.path)).not.to.include('one')
    {
      using _ = open('pinned').load({ pins })
    }
    expect(readdirSync(pins)).to.have.members(['pinned_outer', 'pinned_array'])
    // What was there before stays, and what else is in it.
    expect(errorOf(() => refused.load({ pins: join(pins, '..', 'four') }))).to.be.instanceOf(VerifierError)
    expect(readdirSync(join(bpffs.path, 'one', 'two'))).to.deep.equal(['three'])
  })

  it('says in words where pins cannot be, before anything is made', () => {
    const fds = readdirSync('/proc/self/fd').length
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    try {
      for (const pins of [folder, join(folder, 'missing', 'too')]) {
        const error = errorOf(() => open('pinned').load({ pins }))
        expect(error).to.be.instanceOf(RangeError)
        expect(error.message).to.match(/^pins: .* is not on a bpf file system \(mount -t bpf/)
      }
      expect(readdirSync(folder)).to.deep.equal([])
    } finally {
      rmdirSync(folder)
    }
    const dotted = errorOf(() => open('pinned').load({ pins: join(bpffs.path, 'fine', 'a.b') }))
    expect(dotted).to.be.instanceOf(RangeError)
    expect(dotted.message).to.match(/a\.b cannot be made: names there may not hold a dot/)
    expect(readdirSync(bpffs.path)).not.to.include('fine')
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
    // What pins nothing does not ask.
    using app = open('values').load({ pins: folder })
    expect(app.closed).to.equal(false)
  })

  it('refuses a pinned map that differs, with the attribute, and leaves it alone', () => {
    const pins = join(bpffs.path, 'other')
    {
      using _ = open('pinned').load({ pins })
    }
    const object = open('pinned')
    const { pinned_array } = object.maps
    if (pinned_array === undefined) throw new Error('there is no such map')
    pinned_array.maxEntries = 7
    const error = errorOf(() => object.load({ pins })) as MapMismatchError
    expect(error).to.be.instanceOf(MapMismatchError)
    expect(error).to.include({ attribute: 'maxEntries', expected: 7, actual: 2 })
    pinned_array.maxEntries = 2
    pinned_array.flags = ['MMAPABLE']
    expect(errorOf(() => object.load({ pins })).message).to.match(/: its flags are none, not MMAPABLE$/)
    pinned_array.flags = []
    pinned_array.type = 'PERCPU_ARRAY'
    expect(errorOf(() => object.load({ pins })).message).to.match(/: its type is ARRAY, not PERCPU_ARRAY$|type ARRAY/)
    expect(readdirSync(pins)).to.have.members(['pinned_outer', 'pinned_array'])
  })

  it('uses maps of the caller, which stay open', () => {
    using own = ArrayMap.create({ value: u32, maxEntries: 4 })
    expect(errorOf(() => functions().load({ maps: { numbers: own } }))).to.include({ attribute: 'valueSize' })
    expect(errorOf(() => functions().load({ maps: { nombers: own } })).message).to.match(/did you mean 'numbers'/)
    const none = errorOf(() => functions().load({ maps: { numbers: {} as never } }))
    expect(none.message).to.equal('maps.numbers takes a map, not {}')
    using eight = functions().load()
    {
      using app = functions().load({ maps: { numbers: eight.maps.numbers as BpfMap } })
      expect(app.maps.numbers).to.equal(eight.maps.numbers)
    }
    expect(eight.maps.numbers?.closed).to.equal(false)
  })

  it('leaves maps of maps that say so once it is closed', () => {
    const app = open('tutorial').load({ inner: { outer_map: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }) } })
    const outer = app.maps.outer_map as HashOfMaps<unknown, HashMap<number, number>>
    app.close()
    expect(errorOf(() => outer.set(1, [[1, 1]]))).to.include({ code: 'ERR_EBPF_CLOSED' })
    expect(errorOf(() => outer.createInner())).to.include({ code: 'ERR_EBPF_CLOSED' })
  })

  it('can be done again, and ends all of it', async () => {
    const object = open('values')
    let id = 0
    {
      using one = object.load()
      using other = object.load()
      id = other.maps.first?.id ?? 0
      expect(one.maps.first?.id).not.to.equal(id)
      one.close()
      one.close()
      expect(one.maps.first?.closed).to.equal(true)
      expect(other.maps.first?.closed).to.equal(false)
    }
    await eventually(() => !mapIds().includes(id), 'the map is gone')
  })
})
