import { expect } from 'chai'
import * as lib from '../../lib'
import { u32, u64 } from '../../lib/codec'

const options = (given: object) => given as never
const sizes = { key: u32, value: u32, maxEntries: 8 }

/** What takes options, with one that it has, mistyped as somebody in a hurry does it. */
const SLIPS: readonly (readonly [
  name: string,
  run: (given: never, maps: ReturnType<typeof makeMaps>) => unknown,
  option: string,
  slip: string,
])[] = [
  ['get', (given, { hash }) => hash.get(1, given), 'lock', 'lokc'],
  ['set', (given, { hash }) => hash.set(1, 1, given), 'only', 'olny'],
  ['setMany', (given, { hash }) => hash.setMany([[1, 1]], given), 'only', 'onyl'],
  ['getMany of an array', (given, { array }) => array.getMany([1], given), 'lock', 'locks'],
  ['set of an array', (given, { array }) => array.set(1, 1, given), 'lock', 'lcok'],
  ['push', (given, { queue }) => queue.push(1, given), 'overwrite', 'override'],
  ['pushMany', (given, { queue }) => queue.pushMany([1], given), 'overwrite', 'overwrites'],
  ['set of a hash of maps', (given, { outer }) => outer.set(1, [[1, 1]], given), 'only', 'olny'],
  ['set of an array of maps', (given, { slots }) => slots.set(1, [[1, 1]], given), 'maxEntries', 'maxEntrys'],
  ['createInner', (given, { outer }) => outer.createInner(given), 'maxEntries', 'max_entries'],
  ['MapSpec.create', (given) => lib.HashMap.spec(sizes).create(given), 'name', 'nmae'],
  ['MapSpec.fromId', (given, { hash }) => lib.HashMap.spec(sizes).fromId(hash.id, given), 'access', 'acces'],
  ['MapSpec.fromPin', (given) => lib.HashMap.spec(sizes).fromPin('/nowhere', given), 'access', 'acess'],
  ['openMap', (given, { hash }) => lib.openMap({ id: hash.id }, given), 'value', 'valeu'],
  ['maps()', (given) => lib.maps(given).next(), 'access', 'accces'],
]

function makeMaps() {
  const inner = lib.HashMap.spec(sizes)
  return {
    hash: lib.HashMap.create(sizes).set(1, 7),
    array: lib.ArrayMap.create({ value: u32, maxEntries: 8 }),
    queue: lib.Queue.create({ value: u32, maxEntries: 8 }),
    outer: lib.HashOfMaps.create({ key: u32, inner, maxEntries: 8 }),
    slots: lib.ArrayOfMaps.create({ inner, maxEntries: 8 }),
  }
}

describe('options of maps', () => {
  let maps: ReturnType<typeof makeMaps>
  before(() => {
    maps = makeMaps()
  })
  after(() => {
    for (const map of Object.values(maps)) map.close()
  })

  for (const [name, run, option, slip] of SLIPS) {
    it(`are refused where nobody knows them, with the one that was meant: ${name}`, () => {
      // Whatever its value: one that is not looked at changes nothing.
      expect(() => run(options({ [slip]: undefined }), maps)).to.throw(
        TypeError,
        `no option is called '${slip}': did you mean '${option}'?`,
      )
      expect(() => run(7 as never, maps)).to.throw(TypeError, 'not by number')
      // What an options object inherits is read as well.
      expect(() => run(options(Object.create({ [slip]: 1 })), maps)).to.throw(TypeError, 'no option is called')
    })
  }

  it('are those of the family: what another one takes is refused where a map is described, made and opened', () => {
    const { array } = maps
    const given = { key: u64, value: u32, maxEntries: 2 }
    const refusal = /^no option is called 'key': ArrayMap takes value, dynamicSize, maxEntries, name, /
    for (const run of [
      () => lib.ArrayMap.create(options(given)),
      () => lib.ArrayMap.spec(options(given)),
      () => lib.ArrayMap.fromId(array.id, options(given)),
      () => lib.ArrayMap.fromFd(array.fd, options(given)),
      () => lib.ArrayMap.fromPin('/nowhere', options(given)),
      () => array.spec.fromId(array.id, options({ key: u64 })),
    ]) {
      expect(run).to.throw(TypeError, refusal)
    }
    const inner = lib.HashMap.spec(sizes)
    const own = { name: 'one', maxEntries: 2 }
    const STRAY: readonly (readonly [make: (given: never) => unknown, wrong: object, option: string])[] = [
      [lib.HashMap.spec, { ...sizes, dynamicSize: true }, 'dynamicSize'],
      [lib.LpmTrie.spec, { ...sizes, depth: 1 }, 'depth'],
      [lib.PerCpuArrayMap.spec, { ...own, value: u32, key: u32 }, 'key'],
      [lib.Queue.spec, { ...own, value: u32, key: u32 }, 'key'],
      [lib.BloomFilter.spec, { ...own, value: u32, mapExtra: 3 }, 'mapExtra'],
      [lib.StackTrace.spec, { ...own, value: u32 }, 'value'],
      [lib.ProgArray.spec, { ...own, value: u32 }, 'value'],
      [lib.DevMap.spec, { ...own, value: u32 }, 'value'],
      [lib.CpuMap.spec, { ...own, queueSize: 1 }, 'queueSize'],
      [lib.SockMap.spec, { ...own, key: u32 }, 'key'],
      [lib.XskMap.spec, { ...own, valueSize: 4 }, 'valueSize'],
      [lib.RingBuf.spec, { size: 4096, value: u32 }, 'value'],
      [lib.Arena.spec, { pages: 1, size: 4096 }, 'size'],
      [lib.SkStorage.spec, { value: u32, key: u32 }, 'key'],
      [lib.LegacyCgroupStorage.spec, { key: u64, value: u32, hold: true }, 'hold'],
      [lib.HashOfMaps.spec, { ...own, key: u32, inner, hashes: 1 }, 'hashes'],
      [lib.ArrayOfMaps.spec, { ...own, key: u32, inner }, 'key'],
      [lib.PerCpuMaps.create, { inner, maxEntries: 2 }, 'maxEntries'],
      [lib.HashMap.spec, { ...sizes, type: 2 }, 'type'],
    ]
    for (const [make, wrong, option] of STRAY) {
      expect(() => make(options(wrong)), option).to.throw(TypeError, `no option is called '${option}': `)
    }
    const twice = 'size is 4096, and maxEntries 5: size alone will do'
    expect(() => lib.RingBuf.spec(options({ size: 4096, maxEntries: 5 }))).to.throw(RangeError, twice)
    expect(() => lib.Arena.spec(options({ pages: 2, maxEntries: 5 }))).to.throw(RangeError, 'pages alone will do')
  })

  it('that were refused have written nothing', async () => {
    const { hash, array, queue, outer, slots } = maps
    expect(() => hash.set(1, 8, options({ olny: 'create' }))).to.throw(TypeError)
    expect(() => outer.set(2, [[1, 1]], options({ olny: 'create' }))).to.throw(TypeError)
    const refusal = await outer.setAsync(2, [[1, 1]], options({ olny: 'create' })).then(undefined, (error) => error)
    expect(refusal).to.be.instanceOf(TypeError)
    expect([[...hash], [...array.values()].every((value) => value === 0), queue.peek()]).to.deep.equal([
      [[1, 7]],
      true,
      undefined,
    ])
    expect([[...outer.inners()], [...slots.inners()]]).to.deep.equal([[], []])
  })

  it('say where a map is: one place', () => {
    const { hash } = maps
    for (const source of [{ id: hash.id, pin: '/nowhere' }, { id: hash.id, access: 'read-only' }, {}, { Id: 1 }]) {
      expect(() => lib.openMap(source as never)).to.throw(TypeError, /^openMap takes \{ id \}/)
    }
  })
})
