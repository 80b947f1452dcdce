import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import {
  ArrayMap,
  ArrayOfMaps,
  type BpfMap,
  ClosedError,
  HashMap,
  HashOfMaps,
  LruHashMap,
  PerCpuArrayMap,
  ProgArray,
  Queue,
  u32,
  u64,
  XskMap,
} from '../../lib'
import { errorOf, rejectionOf } from '../support/error'
import { eventually, requireRoot } from '../support/kernel'
import { idsOfMapsNamed } from '../support/named'

const Allowed = HashMap.spec({ name: 'refusal', key: u32, value: u32, maxEntries: 10 })

describe('what an outer map refuses', () => {
  let outer: HashOfMaps<number, HashMap<number, number>>
  let fds: number

  beforeEach(function () {
    requireRoot(this)
    outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 2, inner: Allowed })
    outer.set(1, [[1, 1]])
    fds = readdirSync('/proc/self/fd').length
  })

  afterEach(async () => {
    // The one inner map that was there before.
    await eventually(() => idsOfMapsNamed('refusal').length === 1, 'a refusal leaves no map behind')
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
    if (!outer.closed) expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map([[1, 1]])]]))
    outer.close()
  })

  const misfits = [
    {
      attribute: 'type',
      actual: 'LRU_HASH',
      expected: 'HASH',
      make: () => LruHashMap.create({ key: u32, value: u32, maxEntries: 10 }),
    },
    {
      attribute: 'type',
      actual: 'ARRAY',
      expected: 'HASH',
      make: () => ArrayMap.create({ value: u32, maxEntries: 10 }),
    },
    {
      attribute: 'keySize',
      actual: 8,
      expected: 4,
      make: () => HashMap.create({ key: u64, value: u32, maxEntries: 10 }),
    },
    {
      attribute: 'valueSize',
      actual: 8,
      expected: 4,
      make: () => HashMap.create({ key: u32, value: u64, maxEntries: 10 }),
    },
    {
      attribute: 'flags',
      actual: 'NO_PREALLOC',
      expected: 'none',
      make: () => HashMap.create({ key: u32, value: u32, maxEntries: 10, flags: ['NO_PREALLOC'] }),
    },
    {
      attribute: 'flags',
      actual: 'RDONLY_PROG',
      expected: 'none',
      make: () => HashMap.create({ key: u32, value: u32, maxEntries: 10, flags: ['RDONLY_PROG'] }),
    },
  ]
  for (const { attribute, actual, expected, make } of misfits) {
    it(`an inner map whose ${attribute} is ${actual}, naming both values`, async () => {
      using misfit = make() as unknown as HashMap<number, number>
      for (const error of [
        errorOf(() => outer.set(1, misfit)),
        errorOf(() =>
          outer.setMany([
            [1, misfit],
            [2, misfit],
          ]),
        ),
        await outer.setAsync(1, misfit).then(
          () => expect.fail('it was taken'),
          (reason) => reason,
        ),
      ]) {
        expect(error).to.be.instanceOf(TypeError)
        expect(error).to.include({ name: 'MapMismatchError', code: 'ERR_EBPF_MISMATCH', attribute, expected, actual })
        expect(error.message).to.include(`${actual}`).and.include(`${expected}`)
      }
    })
  }

  it('the same misfits as the kernel does, and no others', () => {
    using raw = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    for (const { make } of misfits) {
      using misfit = make()
      // Straight to the kernel, past our own comparison.
      const answer = raw.verifiable().tryUpdate(new Uint8Array([2, 0, 0, 0]), misfit as never, 0)
      expect(answer).to.equal('EINVAL')
    }
    for (const fit of [
      HashMap.create({ name: 'other', key: u32, value: u32, maxEntries: 99 }),
      HashMap.create({ key: u32, value: u32, maxEntries: 10, flags: ['RDONLY'] }),
    ]) {
      using inner = fit
      outer.set(2, inner)
      expect(outer.delete(2)).to.equal(true)
    }
  })

  it('an XskMap of another size, which the kernel compares as it does that of an array', () => {
    using sockets = HashOfMaps.create({ key: u32, maxEntries: 2, inner: XskMap.spec({ maxEntries: 2 }) })
    using more = XskMap.create({ maxEntries: 4 })
    expect(sockets.verifiable().tryUpdate(new Uint8Array(4), more, 0)).to.equal('EINVAL')
    const error = errorOf(() => sockets.set(1, more))
    expect(error).to.include({ name: 'MapMismatchError', attribute: 'maxEntries', expected: 2, actual: 4 })
    expect(error.message).not.to.include('dynamicSize')
    using same = sockets.createInner()
    expect(sockets.set(1, same).size).to.equal(1)
  })

  it('a value that is neither a map nor entries', () => {
    for (const content of [5, null, undefined, 'text', {}, Allowed, outer.idOf(1)]) {
      const error = errorOf(() => outer.set(1, content as never))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.match(
        /an inner map is given as a HashMap<u32, u32>, or as its entries, \[\[key, value\], \.\.\.\] or a Map; .* is neither/,
      )
    }
  })

  it('content of another form, with the form that the inner maps take', async () => {
    for (const [inner, form] of [
      [
        ArrayMap.spec({ value: u32, maxEntries: 2 }),
        /as its entries, \[\[index, value\], \.\.\.\] or list\.entries\(\); /,
      ],
      [Queue.spec({ value: u32, maxEntries: 2 }), /as its values, \[value, \.\.\.\]; /],
    ] as const) {
      using maps = HashOfMaps.create<number, BpfMap>({ key: u32, inner, maxEntries: 2 })
      expect(() => maps.set(1, { 0: 1 } as never)).to.throw(TypeError, form)
    }
    expect(() => outer.setMany({ 1: [[1, 2]] } as never)).to.throw(TypeError, 'setMany takes [key, value] pairs')
    expect(() => outer.deleteMany(1 as never)).to.throw(TypeError, 'deleteMany takes a list of keys, not 1')
    expect(await rejectionOf(outer.setManyAsync(1 as never))).to.include({
      message: 'setManyAsync takes [key, value] pairs, as a list or a Map, not 1',
    })
    expect(await rejectionOf(outer.deleteManyAsync(1 as never))).to.include({
      message: 'deleteManyAsync takes a list of keys, not 1',
    })
  })

  it('entries that are no pairs, or do not fit, with the place', () => {
    expect(errorOf(() => outer.set(1, [1, 2] as never)).message).to.match(
      /entry 0 is 1, a number, not a pair \[key, value\]/,
    )
    expect(errorOf(() => outer.set(1, [[1, 2, 3]] as never)).message).to.match(/entry 0 is \[ 1, 2, 3 \], not a pair/)
    expect(
      errorOf(() =>
        outer.set(1, [
          [1, 2],
          [3, -4],
        ]),
      ).message,
    ).to.match(/^\[1\]\.value: -4 is out of range for u32/)
    const many = errorOf(() =>
      outer.setMany([
        [1, []],
        [2, [[7, 2 ** 32]]],
      ]),
    )
    expect(many.message).to.match(/^\[1\]\[0\]\.value: 4294967296 is out of range for u32/)
  })

  it('more entries than the inner map holds', () => {
    const entries = Array.from({ length: 11 }, (_, i): [number, number] => [i, i])
    const error = errorOf(() => outer.set(1, entries))
    expect(error).to.include({ code: 'E2BIG', done: 10 })
    expect(error.message).to.match(
      /HashMap#\d+ 'refusal' \(10 done before\): filling a new inner map: the map is full: maxEntries is 10/,
    )
  })

  it('anything once it is closed', async () => {
    const gone = HashOfMaps.create({
      key: u32,
      maxEntries: 4,
      inner: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }),
    })
    gone.close()
    const before = readdirSync('/proc/self/fd').length
    for (const write of [() => gone.set(1, [[1, 1]]), () => gone.setMany([[1, [[1, 1]]]]), () => gone.createInner()]) {
      expect(errorOf(write)).to.include({ code: 'ERR_EBPF_CLOSED' })
    }
    expect(await gone.setAsync(1, [[1, 1]]).catch((error: Error) => error)).to.include({ code: 'ERR_EBPF_CLOSED' })
    expect(readdirSync('/proc/self/fd').length).to.equal(before)
  })

  it('to give an inner map that nobody would close', () => {
    const why = 'an inner map is a handle that wants closing: use(key, run), open(key) or snapshot()'
    // @ts-expect-error Nor would the compiler let it pass.
    expect(() => outer.get(1)).to.throw(TypeError, why)
    using array = ArrayOfMaps.create({ maxEntries: 1, inner: Allowed })
    expect(() => array.get(0 as never)).to.throw(TypeError, why)
  })

  it('the use of an inner map that was closed for its user, and says by whom', async () => {
    const lent = (how: string) =>
      new RegExp(`^HashMap#\\d+ 'refusal' is closed: ${how}; open\\(key\\) gives one to keep$`)
    const used = outer.use(1, (inner) => inner)
    expect(() => used?.get(1)).to.throw(ClosedError, lent('use\\(\\) closes it when its function is done'))
    const later = await outer.use(1, async (inner) => inner)
    expect(() => later?.get(1)).to.throw(ClosedError, lent('use\\(\\) closes it when its function is done'))
    const [first] = [...outer.inners()]
    expect(() => first?.[1].get(1)).to.throw(ClosedError, lent('inners\\(\\) closes it when its step ends'))
    const opened = outer.open(1)
    opened?.close()
    expect(() => opened?.get(1)).to.throw(ClosedError, /is closed \(`using` ends with its block/)
  })

  it('a closed inner map', () => {
    const closed = outer.createInner()
    closed.close()
    expect(errorOf(() => outer.set(1, closed))).to.include({ code: 'ERR_EBPF_CLOSED' })
  })

  it('a third entry where there is room for two, with that reason', () => {
    outer.set(2, [])
    const error = errorOf(() => outer.set(3, []))
    expect(error).to.include({ code: 'E2BIG', command: 'BPF_MAP_UPDATE_ELEM' })
    expect(error.message).to.match(/the outer map is full: maxEntries is 2/)
    outer.delete(2)
  })

  it('writes once it is frozen, and says so', () => {
    using frozen = HashOfMaps.create({ key: u32, maxEntries: 2, inner: Allowed })
    frozen.set(1, [[1, 2]])
    frozen.freeze()
    for (const write of [
      () => frozen.set(2, []),
      () => frozen.delete(1),
      () =>
        frozen.setMany([
          [1, []],
          [2, []],
        ]),
    ]) {
      const error = errorOf(write)
      expect(error).to.include({ code: 'EPERM' })
      expect(error.message).to.match(/the map is frozen/)
    }
    expect(frozen.snapshot()).to.deep.equal(new Map([[1, new Map([[1, 2]])]]))
  })

  it('writes through a read-only handle, and says so', () => {
    using readOnly = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed, access: 'read-only' })
    const error = errorOf(() => readOnly.set(2, []))
    expect(error).to.include({ code: 'EPERM' })
    expect(error.message)
      .to.match(/this handle is read-only/)
      .and.not.match(/frozen is|map is frozen/)
    expect(readOnly.use(1, (inner) => inner.get(1))).to.equal(1)
  })

  it('reads through a write-only handle, and says so', () => {
    using writeOnly = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed, access: 'write-only' })
    const error = errorOf(() => writeOnly.idOf(1))
    expect(error).to.include({ code: 'EPERM' })
    expect(error.message).to.match(/this handle is write-only/)
  })
})

describe('what no outer map can be made of', () => {
  before(function () {
    requireRoot(this)
  })
  const options = { key: u32, maxEntries: 4 }

  it('no inner spec, or something else', () => {
    expect(errorOf(() => HashOfMaps.create(options as never)).message).to.match(/HashOfMaps needs `inner`/)
    expect(errorOf(() => HashOfMaps.create({ ...options, inner: 5 as never })).message).to.match(/must be a spec/)
    using map = Allowed.create()
    expect(errorOf(() => HashOfMaps.create({ ...options, inner: map as never })).message).to.match(/its \.spec will do/)
    expect(errorOf(() => HashOfMaps.create(undefined as never))).to.be.instanceOf(TypeError)
  })

  it('a value of its own: its values are maps of 4 bytes', () => {
    const error = errorOf(() => HashOfMaps.create({ ...options, inner: Allowed, value: u64 } as never))
    expect(error.message).to.match(/takes no `value`: its values are maps, 4 bytes each/)
  })

  it('outer maps as inner maps', () => {
    for (const inner of [
      HashOfMaps.spec({ ...options, inner: Allowed }),
      ArrayOfMaps.spec({ maxEntries: 4, inner: Allowed }),
    ]) {
      const error = errorOf(() => ArrayOfMaps.create({ maxEntries: 2, inner: inner as never }))
      expect(error.message).to.match(/outer maps do not nest/)
    }
  })

  it('a PROG_ARRAY as inner map', () => {
    const error = errorOf(() => HashOfMaps.create({ ...options, inner: ProgArray.spec({ maxEntries: 4 }) }))
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.match(/PROG_ARRAY.*inner map/)
  })

  it('a PERCPU_ARRAY as outer map, with a pointer to perCpuMaps', () => {
    for (const wrong of [
      { value: Allowed, maxEntries: 4 },
      { value: u32, inner: Allowed, maxEntries: 4 },
    ]) {
      const error = errorOf(() => PerCpuArrayMap.create(wrong as never))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message)
        .to.match(/number/)
        .and.match(/perCpuMaps\(\{ inner \}\)/)
    }
    const error = errorOf(() => HashMap.create({ key: u32, value: Allowed as never, maxEntries: 4 }))
    expect(error.message).to.match(/holds bytes, not maps: HashOfMaps/)
  })

  it('sizes and names that the kernel would answer with EINVAL', () => {
    expect(errorOf(() => HashOfMaps.create({ ...options, inner: Allowed, name: 'by-uid' })).message).to.match(
      /"by-uid" cannot be a map's name/,
    )
    expect(errorOf(() => HashOfMaps.create({ ...options, inner: Allowed, maxEntries: -1 }))).to.be.instanceOf(
      RangeError,
    )
    expect(errorOf(() => HashOfMaps.create({ ...options, inner: Allowed, maxEntries: 1.5 }))).to.be.instanceOf(
      RangeError,
    )
    const flag = errorOf(() => HashOfMaps.create({ ...options, inner: Allowed, flags: ['NO_SUCH'] as never }))
    expect(flag.message).to.match(/no map flag is called NO_SUCH/)
  })
})
