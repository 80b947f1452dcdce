import { readdirSync } from 'node:fs'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { ArrayMap, HashMap, HashOfMaps, ipv4, struct, u32, u64 } from '../../lib'
import { errorOf } from '../support/error'
import { eventually, mapIds, requireRoot } from '../support/kernel'
import { idsOfMapsNamed } from '../support/named'

const Allowed = HashMap.spec({ key: u32, value: u32, maxEntries: 10 })

const openFds = () => readdirSync('/proc/self/fd').length

describe('HashOfMaps', () => {
  let outer: HashOfMaps<number, HashMap<number, number>>

  before(function () {
    requireRoot(this)
  })
  beforeEach(() => {
    outer = HashOfMaps.create({ name: 'by_uid', key: u32, maxEntries: 8, inner: Allowed })
  })
  afterEach(() => outer.close())

  /** The inner map as the kernel has it: its id through another handle of the outer map, its entries by that id. */
  function readBack(key: number): Map<number, number> | undefined {
    using again = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    const id = again.idOf(key)
    if (id === undefined) return undefined
    using inner = HashMap.fromId(id, { key: u32, value: u32 })
    return inner.snapshot()
  }

  it('leaves no template behind', async () => {
    const Named = HashMap.spec({ name: 'template', key: u32, value: u32, maxEntries: 10 })
    using other = HashOfMaps.create({ name: 'made_of_it', key: u32, maxEntries: 8, inner: Named })
    await eventually(() => {
      expect(idsOfMapsNamed('template')).to.deep.equal([])
    }, 'the template is gone')
    expect(idsOfMapsNamed('made_of_it')).to.deep.equal([other.id])
  })

  it('makes, fills, installs and closes an inner map in one step', () => {
    const fds = openFds()
    expect(
      outer.set(1000, [
        [257, 1],
        [80, 2],
      ]),
    ).to.equal(outer)
    expect(openFds()).to.equal(fds)
    expect(readBack(1000)).to.deep.equal(
      new Map([
        [257, 1],
        [80, 2],
      ]),
    )
  })

  it('takes an empty list, a Map, and a generator for the entries', () => {
    outer.set(1, [])
    outer.set(2, new Map([[5, 6]]))
    outer.set(
      3,
      (function* () {
        yield [7, 8] as const
      })(),
    )
    expect(outer.snapshot()).to.deep.equal(
      new Map([
        [1, new Map()],
        [2, new Map([[5, 6]])],
        [3, new Map([[7, 8]])],
      ]),
    )
  })

  it('names and sizes the new inner map where asked to', () => {
    outer.set(1, [[1, 1]], { name: 'tenant_1', maxEntries: 20 })
    using inner = HashMap.fromId(outer.idOf(1) ?? 0, { key: u32, value: u32 })
    expect([inner.info().name, inner.info().maxEntries]).to.deep.equal(['tenant_1', 20])
  })

  it('installs a map that the caller holds, and leaves the handle alone', () => {
    using mine = outer.createInner({ name: 'mine' })
    mine.set(1, 2)
    outer.set(7, mine)
    expect(mine.closed).to.equal(false)
    expect(outer.idOf(7)).to.equal(mine.id)
    mine.set(3, 4) // the same map, not a copy
    expect(readBack(7)).to.deep.equal(
      new Map([
        [1, 2],
        [3, 4],
      ]),
    )
  })

  it('replaces the whole inner map, and lets the old one go', async () => {
    outer.set(1, [[1, 1]])
    const old = outer.idOf(1) as number
    outer.set(1, [[2, 2]])
    expect(outer.idOf(1)).to.not.equal(old)
    expect(readBack(1)).to.deep.equal(new Map([[2, 2]]))
    await eventually(() => !mapIds().includes(old), 'the replaced map is gone')
  })

  it('creates or replaces only, where asked to', () => {
    outer.set(1, [[1, 1]], { only: 'create' })
    const first = outer.idOf(1)
    const exists = errorOf(() => outer.set(1, [[2, 2]], { only: 'create' }))
    expect(exists).to.include({ name: 'KernelError', code: 'EEXIST' })
    expect(outer.idOf(1)).to.equal(first)
    outer.set(1, [[3, 3]], { only: 'replace' })
    expect(readBack(1)).to.deep.equal(new Map([[3, 3]]))
    const absent = errorOf(() => outer.set(2, [[2, 2]], { only: 'replace' }))
    expect(absent).to.include({ name: 'KernelError', code: 'ENOENT' })
    expect(outer.has(2)).to.equal(false)
    expect(errorOf(() => outer.set(2, [], { only: 'maybe' as 'create' })).message).to.match(
      /only is 'create' or 'replace'/,
    )
  })

  it('opens inner maps that live on their own', () => {
    outer.set(1, [[1, 1]])
    using inner = outer.open(1) as HashMap<number, number>
    expect(inner.id).to.equal(outer.idOf(1))
    outer.delete(1)
    expect(inner.get(1)).to.equal(1)
    expect(outer.open(1)).to.equal(undefined)
  })

  it('uses an inner map and closes it, whatever the function does', async () => {
    outer.set(1, [[1, 11]])
    const fds = openFds()
    expect(outer.use(1, (inner) => inner.get(1))).to.equal(11)
    expect(outer.use(2, () => expect.fail('there is no such entry'))).to.equal(undefined)
    expect(errorOf(() => outer.use(1, undefined as never)).message).to.match(/use\(key, run\) takes a function/)
    expect(
      errorOf(() =>
        outer.use(1, () => {
          throw new Error('mine')
        }),
      ).message,
    ).to.equal('mine')
    expect(openFds()).to.equal(fds)

    let seen: HashMap<number, number> | undefined
    const promise = outer.use(1, async (inner) => {
      seen = inner
      await new Promise((resolve) => setImmediate(resolve))
      return inner.get(1)
    })
    expect(seen?.closed).to.equal(false)
    expect(await promise).to.equal(11)
    expect(seen?.closed).to.equal(true)

    // As at the prompt of a REPL with a context of its own, whose promises are another class.
    type Get = (inner: HashMap<number, number>) => Promise<number>
    const foreign = runInNewContext('async (inner) => (await null, inner.get(1))') as Get
    expect(await outer.use(1, foreign)).to.equal(11)
    expect(openFds()).to.equal(fds)
  })

  it('deletes, and the memory of the inner map is gone', async () => {
    outer.set(1, [[1, 1]])
    const id = outer.idOf(1) as number
    expect(outer.delete(1)).to.equal(true)
    expect(outer.delete(1)).to.equal(false)
    expect(readBack(1)).to.equal(undefined)
    await eventually(() => !mapIds().includes(id), 'the inner map is gone')
  })

  it('iterates over ids, which need no closing', () => {
    outer.setMany([
      [1, []],
      [2, []],
      [3, []],
    ])
    const fds = openFds()
    const entries = [...outer]
    expect(openFds()).to.equal(fds)
    expect(new Set(entries.map(([key]) => key))).to.deep.equal(new Set([1, 2, 3]))
    for (const [key, id] of entries) expect(id).to.equal(outer.idOf(key))
    expect(new Set(outer.keys())).to.deep.equal(new Set([1, 2, 3]))
    expect(outer.size).to.equal(3)
  })

  it('closes each inner map when its step of inners() ends, also when the loop is left', () => {
    outer.setMany([
      [1, [[1, 1]]],
      [2, [[2, 2]]],
      [3, [[3, 3]]],
    ])
    const fds = openFds()
    const handles: HashMap<number, number>[] = []
    for (const [key, inner] of outer.inners()) {
      expect(inner.get(key)).to.equal(key)
      expect(handles.every((earlier) => earlier.closed)).to.equal(true)
      handles.push(inner)
    }
    expect(handles.length).to.equal(3)
    for (const [, inner] of outer.inners()) {
      handles.push(inner)
      break
    }
    expect(handles.every((handle) => handle.closed)).to.equal(true)
    expect(openFds()).to.equal(fds)
  })

  it('passes over entries that vanish while it iterates', () => {
    outer.setMany([
      [1, []],
      [2, []],
      [3, []],
      [4, []],
    ])
    using other = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    const given: number[] = []
    for (const [key] of outer.inners()) {
      if (given.length === 0) for (const gone of [1, 2, 3, 4]) if (gone !== key) other.delete(gone)
      given.push(key)
    }
    expect(given.length).to.equal(1)
  })

  it('gives an entry that is replaced while it iterates as it then is', () => {
    outer.setMany([
      [1, [[0, 1]]],
      [2, [[0, 1]]],
    ])
    using other = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    const seen = new Map<number, number | undefined>()
    for (const [key, inner] of outer.inners()) {
      seen.set(key, inner.get(0))
      if (seen.size === 1) other.set(3 - key, [[0, 2]])
    }
    expect([...seen.values()]).to.deep.equal([1, 2])
  })

  it('gives the whole tree as plain data', () => {
    outer.set(0, [[1, 2]]).set(5, [])
    const tree: Map<number, Map<number, number>> = outer.snapshot()
    expect(tree).to.deep.equal(
      new Map([
        [0, new Map([[1, 2]])],
        [5, new Map()],
      ]),
    )
  })

  it('clears', async () => {
    outer.setMany([
      [1, []],
      [2, []],
      [3, []],
    ])
    const ids = [...outer].map(([, id]) => id)
    expect(outer.clear()).to.equal(3)
    expect([...outer]).to.deep.equal([])
    await eventually(() => mapIds().every((id) => !ids.includes(id)), 'all inner maps are gone')
  })

  it('prints as one line, and its entries where they are few', () => {
    expect(inspect(outer)).to.equal(`HashOfMaps#${outer.id} 'by_uid' u32 → HashMap<u32, u32> 0/8 fd ${outer.fd}`)
    outer.set(1000, [])
    expect(inspect(outer).split('\n')).to.deep.equal([
      `HashOfMaps#${outer.id} 'by_uid' u32 → HashMap<u32, u32> 1/8 fd ${outer.fd}`,
      `  1000 → HashMap#${outer.idOf(1000)} 0/10`,
    ])
    const { id } = outer
    outer.close()
    expect(inspect(outer)).to.equal(`HashOfMaps#${id} 'by_uid' u32 → HashMap<u32, u32> closed`)
  })

  it('refuses every use after close', async () => {
    using mine = outer.createInner()
    outer.set(1, [])
    outer.close()
    outer.close()
    const uses = [
      () => outer.set(1, []),
      () => outer.set(1, mine),
      () => outer.setMany([[1, mine]]),
      () =>
        outer.setMany([
          [1, []],
          [2, []],
        ]),
      () => outer.open(1),
      () => outer.use(1, () => 1),
      () => outer.idOf(1),
      () => outer.has(1),
      () => outer.delete(1),
      () => outer.deleteMany([1]),
      () => outer.clear(),
      () => [...outer],
      () => outer.snapshot(),
      () => outer.size,
      () => outer.fd,
      () => outer.freeze(),
      () => outer.info(),
    ]
    for (const use of uses) expect(errorOf(use), String(use)).to.include({ code: 'ERR_EBPF_CLOSED' })
    for (const use of [() => outer.setAsync(1, []), () => outer.setManyAsync([[1, []]]), () => outer.deleteAsync(1)]) {
      const error = await use().then(
        () => undefined,
        (reason) => reason,
      )
      expect(error, String(use)).to.include({ code: 'ERR_EBPF_CLOSED' })
    }
  })

  it('keys by structs, and by text', () => {
    const Key = struct({ address: ipv4, zone: u32 })
    using byAddress = HashOfMaps.create({ key: Key, maxEntries: 4, inner: Allowed })
    byAddress.set({ address: '10.0.0.1', zone: 3 }, [[1, 2]])
    expect(byAddress.snapshot()).to.deep.equal(new Map([[{ address: '10.0.0.1', zone: 3 }, new Map([[1, 2]])]]))
    expect(byAddress.has({ address: '10.0.0.2', zone: 3 })).to.equal(false)
  })

  it('carries the types through', () => {
    using typed = HashOfMaps.create({ key: u64, maxEntries: 2, inner: ArrayMap.spec({ value: u64, maxEntries: 2 }) })
    typed.set(1n, [[0, 7n]])
    const value: bigint | undefined = typed.use(1n, (inner) => inner.get(0))
    const tree: Map<bigint, bigint[]> = typed.snapshot()
    expect([value, tree]).to.deep.equal([7n, new Map([[1n, [7n, 0n]]])])
    // @ts-expect-error keys are bigints here
    expect(errorOf(() => typed.set(1, []))).to.be.instanceOf(TypeError)
    // @ts-expect-error and so are the values of the inner maps
    expect(errorOf(() => typed.set(1n, [[0, 7]]))).to.be.instanceOf(TypeError)
  })
})
