import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import * as fc from 'fast-check'
import {
  type ArrayMap,
  Btf,
  type BtfValue,
  bytes,
  codecOf,
  HashMap,
  type HashOfMaps,
  i16be,
  i32be,
  i64be,
  type LpmTrie,
  MapNameError,
  maps,
  openMap,
  type PerCpuArrayMap,
  type PerCpuHashMap,
  possibleCpus,
  struct,
  u16be,
  u32,
  u32be,
  u64be,
  u64nbe,
} from '../../lib'
import { btfLoad } from '../../syscalls/bpf-btf'
import { closeFd } from '../../syscalls/fd'
import { requireBpftool } from '../btf/bpftool'
import { Image } from '../btf/image'
import { errorOf } from '../support/error'
import { needs, requireRoot, useBpffs } from '../support/kernel'
import { runInChild } from '../support/run'
import { openFds } from './kit'
import { flowAsPrinted, formattedDump, loadTyped, plain } from './open-btf-kit'

type Table = HashMap<BtfValue, BtfValue>

const KEY = { v4: 0x0100007f, port: 443, proto: 'PROTO_TCP' }
const FLOW = {
  name: 'eth0',
  counts: [
    { packets: 1n, bytes: 2n },
    { packets: 3n, bytes: 0xffff_ffff_ffff_ffffn },
  ],
  ...{ syn: 1, window: 100_000, skew: -3, inner: 'PROTO_UDP', total: 0xff_ffff_fffen, seen: true, closed: true },
  ...{ trend: 'FALLING', verdict: 'REDIRECT' },
  matrix: [
    [1, 2, 3],
    [4, 5, 65535],
  ],
  ...{ low: 1, high: 2, mixed: { raw: [1, 2, 3, 4, 5, 6, 7, 8] } },
  ...{ tight: { delta: -5n, letter: 65 }, next: 0xffff_8880_1234_5678n, temperature: -40 },
}

describe('opening maps that carry BTF', () => {
  const bpffs = useBpffs()
  let folder: string
  before(function () {
    requireRoot(this)
    needs(this, process.arch === 'x64' || process.arch === 'arm64', 'a little-endian machine: the object is')
    requireBpftool(this)
    folder = loadTyped(bpffs.path)
  })
  const pinned = <M>(name: string) => openMap({ pin: join(folder, name) }) as unknown as M & Disposable

  describe('a hash of structs', () => {
    it('writes what bpftool reads', () => {
      using flows = pinned<Table>('flows')
      flows.set(KEY, FLOW)
      expect(formattedDump(flows)).to.deep.equal([
        {
          key: { v4: 0x0100007f, v6: [127, 0, 0, 1, ...Array(12).fill(0)], port: 443, proto: 'PROTO_TCP' },
          value: {
            name: 'eth0',
            counts: [
              { packets: 1, bytes: 2 },
              { packets: 3, bytes: '18446744073709551615' },
            ],
            ...{ syn: '0x1', window: '0x186a0', skew: '0x1d', inner: '0x11', total: '0xfffffffffe', seen: '0x1' },
            // 200: bpftool takes enums of one byte for signed.
            ...{ closed: true, trend: 'FALLING', verdict: -56 },
            matrix: [
              [1, 2, 3],
              [4, 5, 65535],
            ],
            ...{ whole: 0x20001, low: 1, high: 2 },
            mixed: { number: '578437695752307201', raw: [1, 2, 3, 4, 5, 6, 7, 8] },
            ...{ tight: { delta: -5, letter: 65 }, next: '18446612682375452280', temperature: -40 },
          },
        },
      ])
      expect(flows.delete(KEY)).to.equal(true)
    })

    it('reads any bytes as bpftool does, and writes back what it has read', () => {
      const seed = Date.now() & 0x7fffffff
      using raw = openMap({ pin: join(folder, 'flows') }, { raw: true }) as unknown as HashMap<Uint8Array, Uint8Array>
      using flows = pinned<Table>('flows')
      const values = fc.sample(fc.uint8Array({ minLength: 128, maxLength: 128 }), { seed, numRuns: 12 })
      for (const [i, value] of values.entries()) {
        const key = Buffer.alloc(24)
        key.writeUInt32LE(i, 0)
        key.writeUInt32LE([0, 6, 17, 99][i % 4] as number, 20)
        // The name is a text; other bytes than 0 and 1 are no bool that C could have written.
        raw.set(key, Uint8Array.from([...Buffer.from('name'.padEnd(16, '\0')), ...value.subarray(16)]))
      }
      const read = [...flows]
      const dumped = formattedDump(flows)
      expect(dumped).to.have.length(values.length)
      const mine = read.map(([key, value]) => ({ key: plain(key), value: flowAsPrinted(value) }))
      expect(sorted(mine)).to.deep.equal(sorted(dumped), `seed ${seed}`)
      for (const [key, value] of read) flows.set(key, value, { only: 'replace' })
      expect(sorted(formattedDump(flows))).to.deep.equal(sorted(dumped))
      expect(flows.deleteMany(read.map(([key]) => key))).to.equal(values.length)
    })

    it('names the member that does not fit, and asks the kernel nothing', () => {
      using flows = pinned<Table>('flows')
      const wrong = (changes: object) => errorOf(() => flows.set(KEY, { ...FLOW, ...changes })).message
      const counts = [{ packets: 1n, bytes: 2n }]
      expect(wrong({ counts: [...counts, { packets: -1n, bytes: 0n }] })).to.match(
        /^value.counts\[1\].packets: -1n is out of range for u64/,
      )
      expect(wrong({ window: 131072 })).to.equal('value.window: 131072 is out of range for u17 (0 to 131071)')
      expect(wrong({ skew: -17 })).to.equal('value.skew: -17 is out of range for i5 (-16 to 15)')
      expect(wrong({ total: 1 })).to.equal('value.total: u40 takes a bigint: write 1n')
      expect(wrong({ trend: 'UP' })).to.match(/^value.trend: "UP" is not one of FALLING, STEADY, RISING$/)
      expect(wrong({ name: 'x'.repeat(16) })).to.match(
        /^value.name: .* takes 16 bytes: cstring\(16\) holds 15 and a NUL/,
      )
      expect(wrong({ whole: 1 })).to.match(/whole and low with high are in one place in struct flow, and say different/)
      expect(errorOf(() => flows.get({ port: 1, proto: 0 })).message).to.equal(
        'key: struct flow_key takes one of v4, v6: none is given',
      )
      expect(flows.has(KEY)).to.equal(false)
    })
  })

  it('leaves to the kernel what it keeps to itself', () => {
    using timed = pinned<ArrayMap<BtfValue>>('timed')
    timed.set(1, { rounds: 3, after: 4 }, { lock: true })
    expect(timed.get(1, { lock: true })).to.deep.equal({ rounds: 3, after: 4 })
    const [, second] = formattedDump(timed)
    expect(second?.value).to.deep.equal({ lock: { val: 0 }, rounds: 3, timer: { opaque: [0, 0] }, after: 4 })
    expect(() => timed.set(1, { rounds: 3, after: 4, timer: { opaque: [0n, 0n] } })).to.throw(
      TypeError,
      'value.timer: the kernel keeps a bpf_timer to itself: it is neither read nor written',
    )
  })

  it('reads a value for each CPU', () => {
    const cpus = possibleCpus()
    using counts = pinned<PerCpuArrayMap<BtfValue>>('per_cpu')
    const values = Array.from({ length: cpus }, (_, cpu) => ({ packets: BigInt(cpu + 1), bytes: 10n }))
    counts.set(1, values)
    expect(counts.get(1)).to.deep.equal(values)
    expect(counts.sum(1)).to.deep.equal({ packets: BigInt((cpus * (cpus + 1)) / 2), bytes: BigInt(10 * cpus) })
    const printed = values.map((value, cpu) => ({ cpu, value: plain(value) }))
    expect(formattedDump(counts)[1]).to.deep.equal({ key: 1, values: printed })

    using byProto = pinned<PerCpuHashMap<BtfValue, BtfValue>>('per_cpu_hash')
    byProto.set('PROTO_UDP', Array(cpus).fill(7))
    expect([...byProto]).to.deep.equal([['PROTO_UDP', Array(cpus).fill(7)]])
    expect(formattedDump(byProto).map(({ key }) => key)).to.deep.equal(['PROTO_UDP'])
  })

  it('reads prefixes, and the names of enums of one byte', () => {
    using routes = pinned<LpmTrie<BtfValue, BtfValue>>('routes')
    routes.set({ length: 8, address: [10, 0, 0, 0] }, 'DROP')
    expect(routes.get({ length: 32, address: Uint8Array.of(10, 1, 2, 3) })).to.equal('DROP')
    expect([...routes.keys()]).to.deep.equal([{ length: 8, address: Uint8Array.of(10, 0, 0, 0) }])
    expect(formattedDump(routes)).to.deep.equal([{ key: { length: 8, address: [10, 0, 0, 0] }, value: 'DROP' }])
  })

  it('reads variables by their names', () => {
    using constants = pinned<ArrayMap<BtfValue>>('typed_rodata')
    expect(constants.get(0)).to.deep.equal({ wanted: 'PROTO_UDP', device: 'eth0' })
    using data = pinned<ArrayMap<BtfValue>>('typed_data')
    expect(data.get(0)).to.deep.equal({ totals: { packets: 1n, bytes: 2n } })
    data.set(0, { totals: { packets: 5n, bytes: 6n } })
    expect(formattedDump(data)[0]?.value).to.deep.equal({ '.data': [{ totals: { packets: 5, bytes: 6 } }] })
  })

  it('gives bytes where nothing can be made of the BTF, and says why when it is looked at', () => {
    using open = pinned<HashMap<number, Uint8Array>>('open')
    open.set(5, Uint8Array.of(1, 0, 0, 0))
    expect([...open]).to.deep.equal([[5, Uint8Array.of(1, 0, 0, 0)]])
    expect(inspect(open)).to.match(
      /^HashMap#\d+ 'open' u32 → bytes\(4\) 1\/4 fd \d+\n {2}values are bytes: BTF#\d+: struct open.rest is an array of open length.*\n {2}5 → <01 00 00 00>$/,
    )
    using raw = openMap({ id: open.id }, { raw: true })
    expect(inspect(raw)).to.match(/^HashMap#\d+ 'open' bytes\(4\) → bytes\(4\) 1\/4 fd \d+\n {2}<05 00 00 00> → <.*>$/)
    open.delete(5)
  })

  it('reads what is in network byte order as the number that it is', () => {
    const value = struct({ a: u32be, b: u64be, c: i16be, d: i32be, e: i64be, f: u64nbe })
    using made = HashMap.create({ name: 'network', key: u16be, value, maxEntries: 1 })
    made.set(443, { a: 1, b: 2n, c: -3, d: -4, e: -5n, f: 6 })
    using map = openMap({ id: made.id }) as Table
    expect([...map]).to.deep.equal([[443, { a: 1, b: 2n, c: -3, d: -4, e: -5n, f: 6n }]])
    map.set(443, { a: 0x01020304, b: 2n, c: 3, d: 4, e: 5n, f: 6n })
    expect(made.get(443)?.a).to.equal(0x01020304)
    const address = new DataView(Uint8Array.of(2, 0, 1, 187, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0).buffer)
    const { sin_port, sin_addr } = codecOf<Record<string, BtfValue>>(Btf.kernel(), 'sockaddr_in').read(address, 0)
    expect([sin_port, sin_addr]).to.deep.equal([443, { s_addr: 0x7f000001 }])
  })

  it('takes the codecs that are given, and BTF for the others', () => {
    using flows = openMap({ pin: join(folder, 'flows') }, { value: bytes(128) })
    expect(inspect(flows)).to.match(/struct flow_key → bytes\(128\) 0\/16/)
    using first = openMap({ pin: join(folder, 'first') }, { key: bytes(4) })
    expect(inspect(first)).to.match(/bytes\(4\) → counts_t 0\/4/)
  })

  it('finds them among all maps of the system', () => {
    using flows = pinned<Table>('flows')
    const seen: string[] = []
    for (const map of maps()) if (map.id === flows.id) seen.push(inspect(map))
    for (const map of maps({ raw: true })) if (map.id === flows.id) seen.push(inspect(map))
    expect(seen).to.have.length(2)
    expect(seen[0]).to.include('struct flow_key → struct flow')
    expect(seen[1]).to.include('bytes(24) → bytes(128)')
  })

  it('reads the BTF of an object once, and leaves no fd', () => {
    const fds = openFds()
    const { fromId } = Btf
    const asked: number[] = []
    Btf.fromId = (id) => {
      asked.push(id)
      return fromId.call(Btf, id)
    }
    try {
      // In one turn, and held: no garbage collection can come between.
      const opened = ['flows', 'timed', 'per_cpu', 'first', 'typed_bss'].map((name) => pinned<Table>(name))
      const ids = new Set(opened.map((map) => map.info().btfId))
      expect(ids.size).to.equal(1)
      expect(asked.filter((id) => ids.has(id)).length).to.be.at.most(1)
      for (const map of opened) map.close()
    } finally {
      Btf.fromId = fromId
    }
    expect(openFds()).to.equal(fds)
  })

  it('gives bytes without CAP_SYS_ADMIN, and says so', async () => {
    const { stdout, stderr } = await runInChild(
      `
      const { openMap } = require('./lib')
      const map = openMap({ pin: ${JSON.stringify(join(folder, 'first'))} })
      console.log(require('util').inspect(map))
    `,
      { without: ['sys_admin'] },
    )
    expect(stderr).to.equal('')
    expect(stdout).to.match(
      /^HashMap#\d+ 'first' bytes\(4\) → bytes\(16\) 0\/4 fd \d+\n {2}keys are bytes: EPERM: .*CAP_SYS_ADMIN/,
    )
    expect(stdout).to.match(/\n {2}values are bytes: EPERM: /)
  })

  describe('inner maps', () => {
    const Counts = { packets: 1n, bytes: 2n }
    const one = Uint8Array.of(1, 0, 0, 0)
    const three = Uint8Array.of(3, 0, 0, 0)
    /** libbpf tells the kernel no types of outer maps. */
    type Outer = HashOfMaps<Uint8Array, Table>

    it('are read by their BTF when they are opened through the outer map', () => {
      const fds = openFds()
      {
        using outer = pinned<Outer>('outer')
        outer.use(one, (inner) => inner.set(7, Counts))
        using first = pinned<Table>('first')
        expect(formattedDump(first)).to.deep.equal([{ key: 7, value: { packets: 1, bytes: 2 } }])
        const [, entries] = [...outer.snapshot()].find(([key]) => key[0] === 1) ?? []
        expect(entries).to.deep.equal(new Map([[7, Counts]]))
        first.delete(7)
      }
      expect(openFds()).to.equal(fds)
    })

    it('that are made through it carry the same types', () => {
      using outer = pinned<Outer>('outer')
      outer.set(three, [[9, Counts]])
      using inner = outer.open(three) as Table
      expect(inner.info().btfId).to.be.greaterThan(0)
      expect([...inner]).to.deep.equal([[9, Counts]])
      expect(formattedDump(inner)).to.deep.equal([{ key: 9, value: { packets: 1, bytes: 2 } }])
      outer.delete(three)
    })

    it('are read each by its own', () => {
      const image = new Image()
      const [key, half] = [image.int('unsigned int', 4), image.int('long', 8, { encoding: 1 })]
      const value = image.struct('other', 16, [
        ['left', half, 0],
        ['right', half, 64],
      ])
      const btfFd = btfLoad({ btf: image.bytes() })
      using own = HashMap.create({
        ...{ name: 'own', key: u32, value: bytes(16), maxEntries: 4 },
        btf: { fd: btfFd, keyTypeId: key, valueTypeId: value },
      })
      closeFd(btfFd)
      own.set(1, new Uint8Array(16).fill(0xff))
      using outer = pinned<Outer>('outer')
      outer.set(three, own as never)
      expect(outer.use(three, (inner) => [...inner])).to.deep.equal([[1, { left: -1n, right: -1n }]])
      expect(outer.use(one, (inner) => inspect(inner))).to.include('u32 → counts_t')
      using raw = openMap({ id: outer.id }, { raw: true }) as unknown as HashOfMaps<
        Uint8Array,
        HashMap<Uint8Array, Uint8Array>
      >
      expect(raw.use(three, (inner) => [...inner])).to.deep.equal([[one, new Uint8Array(16).fill(0xff)]])
      outer.delete(three)
    })
  })
})

describe('opening a map by its name', () => {
  before(function () {
    requireRoot(this)
  })

  it('finds the one that has it, and leaves the others alone', () => {
    using map = HashMap.create({ name: 'by_name_only', key: u32, value: u32, maxEntries: 3 })
    const fds = openFds()
    using found = openMap({ name: 'by_name_only' }, { key: u32, value: u32 })
    expect([found.id, found.name]).to.deep.equal([map.id, 'by_name_only'])
    expect(openFds()).to.equal(fds + 1)
  })

  it('refuses one that several have, and tells their ids', () => {
    using one = HashMap.create({ name: 'by_name_twice', key: u32, value: u32, maxEntries: 3 })
    using two = HashMap.create({ name: 'by_name_twice', key: u32, value: u32, maxEntries: 3 })
    const fds = openFds()
    const error = errorOf(() => openMap({ name: 'by_name_twice' }))
    expect(error).to.be.instanceOf(MapNameError)
    const ids = [one.id, two.id].sort((a, b) => a - b)
    expect(error).to.deep.include({ code: 'ERR_EBPF_AMBIGUOUS', ids })
    expect(error.message).to.equal(`2 maps are called 'by_name_twice': ids ${ids.join(', ')}; { id } opens one of them`)
    expect(openFds()).to.equal(fds)
  })

  it('says what is near where none has it', () => {
    using map = HashMap.create({ name: 'by_name_near', key: u32, value: u32, maxEntries: 3 })
    const error = errorOf(() => openMap({ name: 'by_name_neer' }))
    expect(error).to.be.instanceOf(MapNameError)
    expect(error).to.include({ code: 'ENOENT' })
    expect(error.message).to.equal(`no map is called 'by_name_neer': did you mean '${map.name}'?`)
  })

  it('refuses what can be no name', () => {
    expect(() => openMap({ name: '' })).to.throw(RangeError, /'' is what maps without a name have/)
    expect(() => openMap({ name: 'a_rather_long_name' })).to.throw(
      RangeError,
      /the kernel keeps the first 15 characters, so that it may be 'a_rather_long_n'/,
    )
    expect(() => openMap({ name: 5 as never })).to.throw(TypeError, /name must be a string/)
  })
})

/** In the order of their texts: a hash has none. */
function sorted(entries: readonly object[]): object[] {
  const text = (entry: object) => JSON.stringify(entry)
  return [...entries].sort((a, b) => (text(a) < text(b) ? -1 : 1))
}
