import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import {
  ArrayMap,
  array,
  type BpfMap,
  bool,
  bytes,
  type Codec,
  cstring,
  enumOf,
  f32,
  f64,
  flagsOf,
  HashMap,
  HashOfMaps,
  InodeStorage,
  i8,
  i16,
  i64,
  ipv4,
  ipv4Prefix,
  ipv6,
  LpmTrie,
  mac,
  mapped,
  PerCpuHashMap,
  packed,
  Queue,
  struct,
  u8,
  u16,
  u16be,
  u32,
  u64,
  u64n,
} from '../../lib'
import { Btf } from '../../lib/btf'
import { BtfBuilder } from '../../lib/btf/build/builder'
import { CodecTypes } from '../../lib/btf/build/from-codec'
import { type Abi, abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import { BPF_BTF_LOAD, BPF_MAP_CREATE } from '../../syscalls/uapi-cmd'
import { requireFeature, requireRoot } from '../support/kernel'
import { requireBpftool } from './bpftool'

/** What bpftool makes of a map's entries by its BTF. */
function formatted(map: BpfMap): unknown[] {
  const text = execFileSync('bpftool', ['-j', 'map', 'dump', 'id', `${map.id}`], { encoding: 'utf8' })
  return (JSON.parse(text) as { formatted?: unknown }[]).map((entry) => entry.formatted)
}

/** Answers commands of bpf(2) in the kernel's place, with an errno, where it gives one. */
function interpose(answer: (command: number) => number | undefined): Disposable {
  const kernel = abi()
  const between: Abi = {
    ...kernel,
    syscall: (nr, a, ...rest) => (nr === NR.bpf ? answer(a) : undefined) ?? kernel.syscall(nr, a, ...rest),
  }
  setAbi(between)
  return { [Symbol.dispose]: () => void setAbi(kernel) }
}

/** A codec of a user's own, of which only the size is known. */
const own: Codec<number> = {
  ...u16,
  size: 3,
  write: (view, offset, value) => {
    u8.write(view, offset + 2, 0)
    u16.write(view, offset, value)
  },
}

/** Each codec, a value, and that value as bpftool shows it. */
const CODECS: readonly [name: string, Codec<never>, value: unknown, shown: unknown][] = [
  ['u8', u8, 200, 200],
  ['i8', i8, -3, -3],
  ['u16', u16, 65535, 65535],
  ['i16', i16, -2, -2],
  ['u64', u64, 1n << 40n, 2 ** 40],
  ['u64n', u64n, 5, 5],
  ['i64', i64, -5n, -5],
  // The kernel's __be16, which readers print in the machine's order.
  ['u16be', u16be, 0x0102, 0x0201],
  ['bool', bool, true, true],
  ['f32', f32, 1.5, [0, 0, 192, 63]],
  ['f64', f64, 2, [0, 0, 0, 0, 0, 0, 0, 64]],
  ['cstring', cstring(16), 'hello', 'hello'],
  ['bytes', bytes(3), Uint8Array.of(1, 2, 255), [1, 2, 255]],
  ['array', array(u16, 2), [7, 8], [7, 8]],
  ['enumOf', enumOf({ TCP: 6, UDP: 17 }), 'UDP', 'UDP'],
  ['enumOf i8', enumOf({ LESS: -1, MORE: 1 }, i8), 'LESS', 'LESS'],
  ['enumOf u16be', enumOf({ HTTP: 80 }, u16be), 'HTTP', 'HTTP'],
  ['flagsOf', flagsOf({ A: 1, B: 2 }), ['B'], 'B'],
  ['flagsOf two', flagsOf({ A: 1, B: 2 }), ['A', 'B'], 3],
  ['names', enumOf({ 'a-b': 1, a_b: 2, '3des': 3 }), 'a-b', 'a_b_2'],
  ['ipv4', ipv4, '10.0.0.1', [10, 0, 0, 1]],
  ['ipv6', ipv6, '2001:db8::1', [0x20, 1, 13, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ['mac', mac, '02:00:00:00:00:fe', [2, 0, 0, 0, 0, 254]],
  ['prefix', ipv4Prefix, '10.1.0.0/16', { prefixlen: 16, data: [10, 1, 0, 0] }],
  [
    'mapped',
    mapped(
      u32,
      (n) => n / 2,
      (n: number) => n * 2,
    ),
    21,
    42,
  ],
  ['struct', struct({ a: u8, b: u64 }), { a: 1, b: 2n }, { a: 1, b: 2 }],
  ['packed', packed({ a: u8, b: u32 }), { a: 1, b: 2 }, { a: 1, b: 2 }],
  ['a user codec', own, 0x0201, [1, 2, 0]],
] as unknown as readonly [string, Codec<never>, unknown, unknown][]

describe('BTF of maps, made of their codecs', () => {
  before(function () {
    requireRoot(this)
    requireBpftool(this)
  })

  it('shows the fields of a struct by name', () => {
    const Stats = struct({ packets: u64, bytes: u64 })
    using map = HashMap.create({ name: 'stats', key: u32, value: Stats, maxEntries: 4 })
    map.set(80, { packets: 3n, bytes: 180n })
    expect(formatted(map)).to.deep.equal([{ key: 80, value: { packets: 3, bytes: 180 } }])
  })

  for (const [name, codec, value, shown] of CODECS) {
    it(`shows the values of ${name}, alone, behind another field, and as a key`, () => {
      const Both = packed({ before: u8, it: codec as Codec<unknown> })
      using alone = ArrayMap.create({ value: codec as Codec<unknown>, maxEntries: 1 })
      using both = HashMap.create({ key: codec as Codec<unknown>, value: Both, maxEntries: 1 })
      alone.set(0, value)
      both.set(value, { before: 9, it: value })
      expect(formatted(alone)).to.deep.equal([{ key: 0, value: shown }])
      expect(formatted(both)).to.deep.equal([{ key: shown, value: { before: 9, it: shown } }])
    })
  }

  it('shows enums of 64 bits by name', function () {
    requireFeature(this, 'btf', 'enum64')
    using map = ArrayMap.create({ value: enumOf({ BIG: 1n << 40n }, u64), maxEntries: 1 })
    map.set(0, 'BIG')
    expect(formatted(map)).to.deep.equal([{ key: 0, value: 'BIG' }])
  })

  it('does without what a kernel before Linux 6.0 has not got', () => {
    const builder = new BtfBuilder()
    const types = new CodecTypes(builder, () => false)
    types.add(enumOf({ BIG: 1n << 40n }, u64) as Codec<unknown>)
    types.add(enumOf({ LESS: -1 }, i8) as Codec<unknown>)
    const btf = Btf.parse(builder.bytes())
    expect([...btf.types('enum64')]).to.deep.equal([])
    const [less, ...more] = [...btf.types('enum')]
    expect(more).to.deep.equal([])
    expect(less).to.deep.include({ signed: false, values: [{ name: 'LESS', value: 0xffff_ffff }] })
  })

  it('is there for tries, values per CPU and local storage', () => {
    using routes = LpmTrie.create({ key: bytes(8), value: struct({ via: ipv4 }), maxEntries: 4 })
    routes.set(Uint8Array.of(8, 0, 0, 0, 10, 0, 0, 0), { via: '10.0.0.1' })
    expect(formatted(routes)).to.deep.equal([
      { key: { prefixlen: 8, data: [10, 0, 0, 0] }, value: { via: [10, 0, 0, 1] } },
    ])
    using counts = PerCpuHashMap.create({ key: u32, value: struct({ n: u64 }), maxEntries: 1 })
    counts.set(1, counts.get(1) ?? Array.from({ length: cpus() }, (_, i) => ({ n: BigInt(i) })))
    const [entry] = formatted(counts) as { values: { value: unknown }[] }[]
    expect(entry?.values.map(({ value }) => value)).to.deep.equal(Array.from({ length: cpus() }, (_, n) => ({ n })))
    using storage = InodeStorage.create({ value: struct({ seen: u32 }) })
    expect(Btf.fromId(storage.info().btfId).find('unsigned int')).to.have.property('kind', 'int')
  })

  it('is one for all inner maps of an outer map, and fits whatever is installed', () => {
    using outer = HashOfMaps.create({
      key: u32,
      maxEntries: 4,
      inner: HashMap.spec({ key: u32, value: u64, maxEntries: 4 }),
    })
    outer.setMany([
      [1, [[1, 1n]]],
      [2, [[2, 2n]]],
    ])
    const ids: number[] = []
    for (const [, inner] of outer.inners()) ids.push(inner.info().btfId)
    expect(new Set(ids).size).to.equal(1)
    expect(ids[0]).to.be.above(0)
    expect(outer.use(2, formatted)).to.deep.equal([{ key: 2, value: 2 }])
    // The kernel does not compare it: bpf_map_meta_equal.
    using other = HashMap.create({ key: mapped(u32, Number, Number), value: bytes(8), maxEntries: 4 })
    expect(other.info().btfId).to.not.equal(ids[0])
    outer.set(3, other as never)
    expect(outer.has(3)).to.equal(true)
  })

  it('is not there where the kernel takes none, nor where it cannot be loaded, and no map fails for it', () => {
    using queue = Queue.create({ value: u32, maxEntries: 2 })
    expect(queue.info().btfId).to.equal(0)
    for (const [failing, errno] of [
      [BPF_BTF_LOAD, -1],
      [BPF_BTF_LOAD, -24],
    ] as const) {
      using _ = interpose((command) => (command === failing ? errno : undefined))
      using map = HashMap.create({ key: u32, value: u32, maxEntries: 2 })
      map.set(1, 2)
      expect(map.info().btfId).to.equal(0)
    }
    let asked = 0
    using _ = interpose((command) => (command === BPF_MAP_CREATE && asked++ === 0 ? -22 : undefined))
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 2 })
    expect(map.info().btfId).to.equal(0)
  })

  it('leaves the error that a map has without it', () => {
    expect(() => HashMap.create({ key: u32, value: u32, maxEntries: 2, flags: ['MMAPABLE'] })).to.throw(/EINVAL/)
  })
})

function cpus(): number {
  const [, last] =
    /(\d+)$/.exec(execFileSync('cat', ['/sys/devices/system/cpu/possible'], { encoding: 'utf8' }).trim()) ?? []
  return Number(last) + 1
}
