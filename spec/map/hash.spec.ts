import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  bytes,
  HashMap,
  LpmTrie,
  LruHashMap,
  LruPerCpuHashMap,
  MapMismatchError,
  mapped,
  possibleCpus,
  struct,
  u8,
  u16be,
  u32,
  u64,
} from '../../lib'
import { ipv4, ipv4Prefix, ipv6 } from '../../lib/codec'
import { errorOf } from '../support/error'
import { linuxBefore, needs, pending, requireFeature, requireRoot } from '../support/kernel'
import { bpftoolDump, fdNumber, needsBpftool, openFds } from './kit'

describe('HashMap', () => {
  let map: HashMap<number, bigint>
  /** The same map through another handle. */
  let other: HashMap<number, bigint>

  before(function () {
    requireRoot(this)
  })
  beforeEach(() => {
    map = HashMap.create({ name: 'ports', key: u16be, value: u64, maxEntries: 8 })
    other = HashMap.fromId(map.id, { key: u16be, value: u64 })
  })
  afterEach(() => {
    map.close()
    other.close()
  })

  it('is what was asked for, by its fd in /proc', () => {
    expect(fdNumber(map.fd, 'map_type')).to.equal(1)
    expect(fdNumber(map.fd, 'key_size')).to.equal(2)
    expect(fdNumber(map.fd, 'value_size')).to.equal(8)
    expect(fdNumber(map.fd, 'max_entries')).to.equal(8)
    expect(fdNumber(map.fd, 'map_id')).to.equal(map.id)
    expect(other.name).to.equal('ports')
    expect(other.info()).to.deep.equal({ ...map.info() })
  })

  it('sets, gets, tests and deletes, for everybody to see', () => {
    expect(map.set(443, 1n)).to.equal(map)
    expect(other.get(443)).to.equal(1n)
    expect(other.has(443)).to.equal(true)
    other.set(443, 2n)
    expect(map.get(443)).to.equal(2n)
    expect(map.delete(443)).to.equal(true)
    expect(other.get(443)).to.equal(undefined)
    expect(other.has(443)).to.equal(false)
    expect(other.delete(443)).to.equal(false)
  })

  it('writes the bytes that another tool reads', function () {
    needsBpftool(this)
    map.set(443, 0x0102030405060708n)
    expect(bpftoolDump(map)).to.deep.equal(new Map([['01bb', '0807060504030201']]))
  })

  it('creates only, and replaces only', () => {
    map.set(1, 1n, { only: 'create' })
    const exists = errorOf(() => map.set(1, 2n, { only: 'create' }))
    expect(exists).to.include({ code: 'EEXIST', syscall: 'bpf', command: 'BPF_MAP_UPDATE_ELEM' })
    expect(exists.message).to.match(/HashMap#\d+ 'ports'.*an entry with this key exists/)
    const absent = errorOf(() => map.set(2, 2n, { only: 'replace' }))
    expect(absent.code).to.equal('ENOENT')
    map.set(1, 3n, { only: 'replace' })
    expect(other.snapshot()).to.deep.equal(new Map([[1, 3n]]))
    expect(() => map.set(1, 1n, { only: 'never' as 'create' })).to.throw(TypeError, "only is 'create' or 'replace'")
  })

  it('says what is full', () => {
    for (let i = 0; i < 8; i++) map.set(i, 0n)
    expect(errorOf(() => map.set(8, 0n)).message).to.match(/^E2BIG: .*the map is full: maxEntries is 8/)
    expect(other.size).to.equal(8)
  })

  it('gives an entry away in one step', function () {
    requireFeature(this, 'lookupAndDelete')
    map.set(7, 70n)
    expect(map.getAndDelete(7)).to.equal(70n)
    expect(map.getAndDelete(7)).to.equal(undefined)
    expect(other.size).to.equal(0)
    using lru = LruHashMap.create({ name: 'lru', key: u32, value: u32, maxEntries: 64 })
    lru.set(9, 99)
    expect([lru.getAndDelete(9), lru.getAndDelete(9)]).to.deep.equal([99, undefined])
  })

  it('refuses what does not fit before the kernel is asked, with the path of it', () => {
    expect(() => map.set(65536, 0n)).to.throw(RangeError, /^key: 65536/)
    expect(() => map.set(1, -1n)).to.throw(RangeError, /^value: -1/)
    expect(() => map.get('1' as never)).to.throw(TypeError, /^key:/)
    expect(other.size).to.equal(0)
  })

  it('is listed in full, entry by entry', () => {
    const entries: [number, bigint][] = [1, 2, 3, 4, 5].map((n) => [n, BigInt(n * n)])
    for (const [key, value] of entries) map.set(key, value)
    expect([...other]).to.have.deep.members(entries)
    expect([...other.entries()]).to.have.deep.members(entries)
    expect([...other.keys()]).to.have.members([1, 2, 3, 4, 5])
    expect([...other.values()]).to.have.members([1n, 4n, 9n, 16n, 25n])
    const seen = new Map<number, bigint>()
    other.forEach((value, key, of) => {
      expect(of).to.equal(other)
      seen.set(key, value)
    })
    expect(seen).to.deep.equal(new Map(entries))
    expect(other.snapshot()).to.deep.equal(new Map(entries))
  })

  it('is printed with its entries while they are few', () => {
    map.set(443, 5n)
    expect(inspect(map)).to.equal(`HashMap#${map.id} 'ports' u16be → u64 1/8 fd ${map.fd}\n  443 → 5n`)
    using blobs = HashMap.create({ key: bytes(3), value: bytes(40), maxEntries: 2 })
    blobs.set(Uint8Array.of(1, 2, 255), new Uint8Array(40).fill(7))
    expect(inspect(blobs).split('\n')[1]).to.equal(`  <01 02 ff> → <${'07 '.repeat(32)}... 8 more>`)
    using points = HashMap.create({ key: u8, value: struct({ x: u32, y: u32 }), maxEntries: 2 })
    points.set(1, { x: 1, y: 2 })
    expect(inspect(points)).to.match(/1\/2 fd \d+\n {2}1 → \{ x: 1, y: 2 \}$/)
    map.close()
    expect(inspect(map)).to.match(/^HashMap#\d+ 'ports' u16be → u64 closed$/)
  })

  for (const size of [1, 3, 17, 512, 4096]) {
    it(`has keys of ${size} bytes`, function () {
      if (size > 512 && linuxBefore(6, 1)) pending(this, 'Linux 5.10 takes keys of up to 512 bytes')
      using odd = HashMap.create({ key: bytes(size), value: bytes(size), maxEntries: 300 })
      const keyOf = (n: number) => new Uint8Array(size).fill(n)
      odd.setMany(Array.from({ length: 200 }, (_, n) => [keyOf(n), keyOf(255 - n)] as const))
      using again = HashMap.fromId(odd.id, { key: bytes(size), value: bytes(size) })
      expect(again.size).to.equal(200)
      for (const [key, value] of again) expect(value).to.deep.equal(keyOf(255 - (key[0] as number)))
      expect(again.get(keyOf(199))).to.deep.equal(keyOf(56))
      expect(odd.deleteMany([keyOf(0), keyOf(250), keyOf(1)])).to.equal(2)
      expect(again.size).to.equal(198)
    })
  }

  it('refuses codecs that are not the map’s, and names both sizes', () => {
    const fds = openFds()
    const wrongKey = errorOf(() => HashMap.fromId(map.id, { key: u32, value: u64 }))
    expect(wrongKey).to.be.instanceOf(MapMismatchError)
    expect(wrongKey).to.include({ attribute: 'keySize', expected: 4, actual: 2 })
    expect(wrongKey.message).to.match(/map 'ports' has a keySize of 2 bytes, the codec of HashMap<u32, u64> 4/)
    const wrongValue = errorOf(() => HashMap.fromId(map.id, { key: u16be, value: u32 }))
    expect(wrongValue).to.include({ attribute: 'valueSize', expected: 4, actual: 8 })
    const wrongType = errorOf(() => LruHashMap.fromId(map.id, { key: u16be, value: u64 }))
    expect(wrongType).to.include({ attribute: 'type', expected: 'LRU_HASH', actual: 'HASH' })
    expect(openFds()).to.equal(fds)
  })

  it('refuses descriptions that no kernel takes', () => {
    const make = (more: object) => () => HashMap.spec({ key: u32, value: u32, maxEntries: 1, ...more })
    expect(make({ name: 'a-b' })).to.throw(RangeError, /"a-b" cannot be a map's name/)
    expect(make({ name: 'sixteencharacter' })).to.throw(RangeError, /cannot be a map's name/)
    expect(make({ name: 7 })).to.throw(TypeError, /name must be a string/)
    expect(make({ max_entries: 5 })).to.throw(
      TypeError,
      "no option is called 'max_entries': did you mean 'maxEntries'?",
    )
    expect(make({ flag: ['NO_PREALLOC'] })).to.throw(TypeError, "'flag': did you mean 'flags'?")
    expect(make({ zzz: 1 })).to.throw(
      TypeError,
      /no option is called 'zzz': HashMap takes key, value, maxEntries, name,/,
    )
    expect(make({ flags: ['NO_SUCH'] })).to.throw(RangeError, /no map flag is called NO_SUCH: there are NO_PREALLOC, /)
    expect(make({ flags: ['NO_PREALOC'] })).to.throw(RangeError, /NO_PREALOC: did you mean NO_PREALLOC\?$/)
    expect(make({ flags: ['BPF_F_NO_PREALLOC'] })).to.throw(RangeError, /: write NO_PREALLOC, without BPF_F_$/)
    expect(make({ flags: 'NO_PREALLOC' })).to.throw(TypeError, /a list of names/)
    expect(make({ maxEntries: -1 })).to.throw(RangeError, /-1 cannot be maxEntries/)
    expect(make({ maxEntries: 2 ** 32 })).to.throw(RangeError, /4294967296 cannot be maxEntries/)
    expect(make({ maxEntries: 1.5 })).to.throw(RangeError, /1.5 cannot be maxEntries/)
    expect(make({ maxEntries: '1' })).to.throw(TypeError, /maxEntries must be a number/)
    expect(make({ numaNode: -1 })).to.throw(RangeError, /numaNode/)
    expect(make({ mapExtra: -1n })).to.throw(RangeError, /-1 cannot be mapExtra/)
    expect(make({ mapExtra: 2n ** 64n })).to.throw(RangeError, /cannot be mapExtra/)
    expect(make({ mapExtra: 2 ** 53 })).to.throw(RangeError, /cannot be mapExtra/)
    expect(make({ btf: { fd: 0, keyTypeId: 1, valueTypeId: 1 } })).to.throw(RangeError, /btf.fd/)
    expect(make({ key: 4 })).to.throw(TypeError, /expected a codec/)
    expect(() => HashMap.spec(undefined as never)).to.throw(TypeError, /takes an object of options/)
    expect(() => HashMap.fromId(-1, { key: u32, value: u32 })).to.throw(RangeError, /-1 cannot be id/)
    expect(() => HashMap.create({ key: u32, value: u32 } as never)).to.throw(
      TypeError,
      /^maxEntries is missing: how many entries the HashMap is to hold$/,
    )
    expect(make({ maxEntries: 0 })).to.throw(RangeError, /^0 cannot be maxEntries: integers from 1/)
    expect(make({ value: undefined })).to.throw(TypeError, /^HashMap\.value: expected a codec .*, not undefined/)
    const Constructor = HashMap as unknown as new (options: object) => unknown
    expect(() => new Constructor({ key: u32, value: u32, maxEntries: 1 })).to.throw(
      TypeError,
      /HashMap\.create\(\{ \.\.\. \}\) makes one/,
    )
  })

  it('LPM tries refuse an address for a key, and say what to use', () => {
    for (const [key, use] of [
      [ipv4, 'ipv4Prefix'],
      [ipv6, 'ipv6Prefix'],
    ] as const) {
      expect(() => LpmTrie.spec({ key, value: u32, maxEntries: 2 })).to.throw(TypeError, `use ${use}`)
    }
  })

  it('passes the refusals of the kernel on, in words, and leaves nothing open', () => {
    const fds = openFds()
    const huge = errorOf(() => HashMap.create({ key: u32, value: u32, maxEntries: 0xffffffff }))
    expect(huge.message).to.match(/^E2BIG: BPF_MAP_CREATE on HashMap: the map would be too large/)
    const lru = errorOf(() => LruHashMap.create({ key: u32, value: u32, maxEntries: 1, flags: ['NO_PREALLOC'] }))
    expect(lru.code).to.equal('ENOTSUPP')
    const gone = errorOf(() => HashMap.fromId(0x7fffffff, { key: u32, value: u32 }))
    expect(gone.message).to.match(/^ENOENT: BPF_MAP_GET_FD_BY_ID on map#2147483647: no map has this id/)
    expect(openFds()).to.equal(fds)
  })

  it('decodes through functions of the user’s', () => {
    const celsius = mapped(
      u32,
      (raw) => raw / 10,
      (degrees: number) => degrees * 10,
      'celsius',
    )
    using mappedMap = HashMap.create({ key: u32, value: celsius, maxEntries: 2 })
    mappedMap.set(1, 21.5)
    using raw = HashMap.fromId(mappedMap.id, { key: u32, value: u32 })
    expect(raw.get(1)).to.equal(215)
    expect(mappedMap.get(1)).to.equal(21.5)
  })
})

describe('LruHashMap', () => {
  it('makes room by dropping old entries', function () {
    requireRoot(this)
    using lru = LruHashMap.create({ name: 'lru', key: u32, value: u32, maxEntries: 64 })
    for (let i = 0; i < 1000; i++) lru.set(i, i)
    using other = LruHashMap.fromId(lru.id, { key: u32, value: u32 })
    const entries = [...other]
    expect(entries.length).to.be.within(1, 64)
    for (const [key, value] of entries) expect(value).to.equal(key)
    expect(other.get(999)).to.equal(999)
    expect(lru.delete(999)).to.equal(true)
    expect(lru.clear()).to.equal(entries.length - 1)
    expect(other.size).to.equal(0)
  })

  for (const Kind of [LruHashMap, LruPerCpuHashMap]) {
    it(`(${Kind.name}) has room for as many on each CPU where each has a list of its own`, function () {
      requireRoot(this)
      needs(this, possibleCpus() > 1, 'two CPUs')
      using lru = Kind.create({ key: u32, value: u32, maxEntries: 1, flags: ['NO_COMMON_LRU'] })
      // Reading makes room for as many at a time as there may be in one bucket: all of them.
      expect(lru.maxEntries).to.equal(possibleCpus())
      expect(lru.maxEntries).to.equal(fdNumber(lru.fd, 'max_entries'))
    })
  }
})

describe('LpmTrie', () => {
  it('finds the most specific prefix', function () {
    requireRoot(this)
    using map = LpmTrie.create({ name: 'routes', key: ipv4Prefix, value: u32, maxEntries: 16 })
    map.setMany([
      ['10.0.0.0/8', 8],
      ['10.1.0.0/16', 16],
      ['10.1.2.0/24', 24],
      ['0.0.0.0/0', 0],
    ])
    using other = LpmTrie.fromId(map.id, { key: ipv4Prefix, value: u32 })
    const at = (address: string) => other.get(`${address}`)
    expect(at('10.1.2.3')).to.equal(24)
    expect(at('10.1.9.9')).to.equal(16)
    expect(at('10.9.9.9')).to.equal(8)
    expect(at('192.168.0.1')).to.equal(0)
    expect(other.size).to.equal(4)
    expect(map.delete('10.1.2.0/24')).to.equal(true)
    expect(map.delete('10.1.2.0/24')).to.equal(false)
    expect(at('10.1.2.3')).to.equal(16)
    expect(map.clear()).to.equal(3)
    expect([...other]).to.deep.equal([])
    expect(map.info().flags).to.deep.equal(['NO_PREALLOC'])
  })
})
