import { join } from 'node:path'
import { expect } from 'chai'
import type * as Library from '../../lib'
import { pageSize } from '../../lib/cpu/page-size'
import { mapFile, PROT_READ } from '../../syscalls/memory'
import { bpftool, needsBpftool } from '../program/kit'
import { ROOT } from '../support/built'
import { mapIds, requireFeature, requireRoot } from '../support/kernel'
import { moduleName, moduleOf, needsTypeScript, Project } from './kit'
import type {
  FlowsModule,
  NamesModule,
  OpenEndsModule,
  OuterMapInnerModule,
  TutorialModule,
  ValuesModule,
} from './modules'

const PACKET = new Uint8Array(14)
/** What the program of flows.bpf.c counts a packet for. */
const FLOW = { saddr: 0x0a000001, daddr: 0x0a000002, sport: 4000, dport: 443, protocol: 6 }

/** Entries as bpftool finds them by the BTF that the kernel has of the map. */
const dump = (map: { readonly id: number }): { key: unknown; value: unknown }[] =>
  JSON.parse(bpftool('-j', 'map', 'dump', 'id', `${map.id}`)).map(
    ({ formatted }: { formatted: { key: unknown; value: unknown } }) => formatted,
  )

/** The id that an outer map has under a key of 4 bytes. */
function innerId(map: { readonly id: number }, key: number): number {
  const entry = bpftool('-j', 'map', 'lookup', 'id', `${map.id}`, 'key', `${key}`, '0', '0', '0')
  const { value } = JSON.parse(entry) as { value: string[] }
  return new DataView(Uint8Array.from(value, Number).buffer).getUint32(0, true)
}

describe('a generated module, loaded', function () {
  this.timeout(300_000)
  let project: Project
  let Flows: FlowsModule['Flows']

  before(function () {
    requireRoot(this)
    needsTypeScript(this)
    needsBpftool(this)
    project = new Project()
    const names = ['flows', 'names', 'values', 'tutorial', 'open_ends', 'outer_map_inner'].map((name) => {
      const path = join(ROOT, 'spec', 'fixtures', `${name}.bpf.o`)
      project.write(`${name}.ts`, moduleOf(path))
      return `${moduleName(path)}.ts`
    })
    expect(project.compile(names)).to.deep.equal([])
    Flows = project.load<FlowsModule>('flows').Flows
  })

  it('has maps of structs, which programs and bpftool see alike', () => {
    using app = Flows.load()
    app.maps.flows.set(FLOW, { packets: 5n, bytes: 100n, last: 'DROP' })
    expect(app.programs.count.run({ data: PACKET }).retval).to.equal(103)
    expect(dump(app.maps.flows)).to.deep.equal([{ key: FLOW, value: { packets: 6, bytes: 114, last: 'DROP' } }])
    expect(app.maps.flows.get(FLOW)).to.deep.equal({ packets: 6n, bytes: 114n, last: 'DROP' })
    expect(app.maps.flows.delete(FLOW)).to.equal(true)
    expect(dump(app.maps.flows)).to.deep.equal([])
  })

  it('replaces inner maps under a running program, and reads the live ones', () => {
    using app = Flows.load()
    const rate = () => app.programs.count.run({ data: PACKET }).retval
    app.maps.defaults.set(443, { rate: 50, burst: 0, strict: false })
    expect(rate()).to.equal(50)
    app.maps.tenants.set(1, [[443, { rate: 7, burst: 1, strict: true }]])
    const before = innerId(app.maps.tenants, 1)
    expect(rate()).to.equal(7)
    app.maps.tenants.set(1, [[443, { rate: 9, burst: 2, strict: true }]])
    expect(rate()).to.equal(9)
    const id = innerId(app.maps.tenants, 1)
    expect(id).not.to.equal(before)
    expect(dump({ id })).to.deep.equal([{ key: 443, value: { rate: 9, burst: 2, strict: true } }])
    {
      using live = app.maps.tenants.open(1)
      expect(live?.id).to.equal(id)
      live?.set(443, { rate: 11, burst: 3, strict: false })
    }
    expect(rate()).to.equal(11)
    expect(app.maps.tenants.snapshot()).to.deep.equal(
      new Map([[1, new Map([[443, { rate: 11, burst: 3, strict: false }]])]]),
    )
    app.maps.common.set(0, app.maps.defaults)
    app.maps.tenants.delete(1)
    expect(rate()).to.equal(50)
    expect(innerId(app.maps.common, 0)).to.equal(app.maps.defaults.id)
  })

  it('fills slots as the source says, of arrays and of hashes of maps', () => {
    const { Values } = project.load<ValuesModule>('values')
    using app = Values.load()
    app.maps.first.set(0, 30)
    app.maps.second.set(0, 4)
    expect(app.programs.read.run({ data: PACKET }).retval).to.equal(34)
    app.maps.by_index.set(2, [[0, 100]])
    app.maps.by_key.set(3, [[0, 5]])
    expect(app.programs.read.run({ data: PACKET }).retval).to.equal(105)
    expect(dump({ id: innerId(app.maps.by_index, 2) })[0]).to.deep.equal({ key: 0, value: 100 })
    expect(innerId(app.maps.by_key, 1)).to.equal(app.maps.second.id)
  })

  it('takes the inner maps that its object does not tell of', () => {
    const { Tutorial } = project.load<TutorialModule>('tutorial')
    const { ArrayMap, u32 } = project.load<typeof Library>('node_modules/ebpf-ts')
    using app = Tutorial.load({ inner: { outer_map: ArrayMap.spec({ value: u32, maxEntries: 1 }) } })
    app.maps.outer_map.set(Uint8Array.of(42, 0, 0, 0), [[0, 77]])
    expect(app.programs.test_func.run({ data: PACKET }).retval).to.equal(77)
    expect(app.maps.outer_map.use(Uint8Array.of(42, 0, 0, 0), (inner) => inner.get(0))).to.equal(77)
  })

  it('takes them for each of several maps, also of one name but for its capitals', () => {
    const { OuterMapInner } = project.load<OuterMapInnerModule>('outer_map_inner')
    const { ArrayMap, HashMap, u32, u64 } = project.load<typeof Library>('node_modules/ebpf-ts')
    const inner = {
      outer: ArrayMap.spec({ value: u32, maxEntries: 1 }),
      Outer: HashMap.spec({ key: u32, value: u64, maxEntries: 2 }),
      outer_map: ArrayMap.spec({ value: u64, maxEntries: 3 }),
    }
    using app = OuterMapInner.load({ inner })
    const key = Uint8Array.of(1, 0, 0, 0)
    app.maps.outer.set(key, [[0, 2]])
    app.maps.Outer.set(key, [[7, 3n]])
    app.maps.outer_map.set(key, [[2, 4n]])
    expect(app.maps.outer.use(key, (its) => its.get(0))).to.equal(2)
    expect(app.maps.Outer.use(key, (its) => its.get(7))).to.equal(3n)
    expect(app.maps.outer_map.use(key, (its) => its.get(2))).to.equal(4n)
  })

  it('has variables: constants before it is loaded, all others at any time', () => {
    const object = Flows.open()
    object.globals.tenant.value = 2
    object.globals.fallback.value = { rate: 1000, burst: 0, strict: false }
    using app = object.load()
    expect(app.programs.count.run({ data: PACKET }).retval).to.equal(1003)
    app.globals.epoch.value = 30
    expect(app.programs.count.run({ data: PACKET, repeat: 4 }).retval).to.equal(1030)
    expect(app.globals.total.value).to.equal(5n)
    const [bss] = dump(app.maps['.bss'])
    expect(bss?.value).to.deep.equal({ '.bss': [{ total: 5 }] })
    const [rodata] = dump(app.maps['.rodata'])
    expect(JSON.stringify(rodata?.value)).to.match(/"tenant":2/)
    app.maps.tenants.set(2, [[443, { rate: 8, burst: 0, strict: true }]])
    expect(app.programs.count.run({ data: PACKET }).retval).to.equal(8)
    expect(() => Object.assign(app.globals.label, { value: 'other' })).to.throw(TypeError, 'constants are frozen')
  })

  it('has codecs of events, also where they have bit fields', () => {
    const { Refused } = project.load<FlowsModule>('flows')
    using app = Flows.load()
    expect(app.programs.refuse.run({ data: PACKET }).retval).to.equal(1)
    // A page for the reader, one for the writer, and the records behind: 8 bytes, and what the program has put there.
    const page = pageSize()
    const region = mapFile(app.maps.refusals.fd, 2 * page, PROT_READ, page)
    try {
      const event = Refused.read(new DataView(region.buffer), page + 8)
      expect(event).to.deep.equal({
        flow: { saddr: 0, daddr: 0, sport: 0, dport: 443, protocol: 0 },
        ...{ verdict: 'DROP', ingress: 7, mirrored: 1, program: 'refuse' },
      })
      const written = new DataView(new ArrayBuffer(Refused.size))
      Refused.write(written, 0, event)
      expect(new Uint8Array(written.buffer)).to.deep.equal(
        new Uint8Array(region.buffer, page + 8, Refused.size).slice(),
      )
    } finally {
      region.close()
    }
  })

  it('has codecs of events that end in an open array: of what is before it', () => {
    const { OpenEnds, Opened, Sampled } = project.load<OpenEndsModule>('open_ends')
    using app = OpenEnds.load()
    expect(app.programs.open.run({ data: PACKET }).retval).to.equal(1)
    const page = pageSize()
    const region = mapFile(app.maps.opens.fd, 2 * page, PROT_READ, page)
    try {
      const length = new DataView(region.buffer).getUint32(page, true)
      const record = new DataView(region.buffer, page + 8, length)
      expect(Opened.read(record, 0)).to.deep.equal({ header: { time: 1n << 40n, pid: 7 }, flags: 3 })
      // From the byte on that the comment tells.
      expect(Buffer.from(new Uint8Array(region.buffer, page + 8, length).slice(20)).toString()).to.equal('/etc\0')
    } finally {
      region.close()
    }
    const sampled = new DataView(Uint8Array.of(0x21, 0x43, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8).buffer)
    expect(Sampled.read(sampled, 0)).to.deep.equal({ kind: 1, cpu: 0x432 })
    // A value has no room for the array, and is what its comment says.
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i)
    app.maps.last.set(bytes.slice(0, 16), bytes)
    expect(app.maps.last.get(bytes.slice(0, 16))).to.deep.equal(bytes)
    expect(app.globals.latest.value).to.deep.equal(new Uint8Array(24))
  })

  it('says what names it has, however they are: keywords, dots, bits, unions, pointers', function () {
    requireFeature(this, 'btf', 'float')
    const { Names, ClassKey, Everything, Bits } = project.load<NamesModule>('names')
    const { HashMap } = project.load<typeof Library>('node_modules/ebpf-ts')
    using app = Names.load()
    expect(app.programs.function.run({ data: PACKET }).retval).to.equal(1)
    expect(app.programs.import.run({ data: PACKET }).retval).to.equal(1)
    expect(app.globals['function.calls'].value).to.equal(1)
    expect(app.maps.nodes.get(1)).to.deep.equal({ low: 5, sign: -3, which: 'NEGATIVE', on: true, wide: 1n << 39n })
    const bits = new DataView(new ArrayBuffer(8))
    Bits.write(bits, 0, app.maps.nodes.get(1) as Parameters<typeof Bits.write>[2])
    app.maps.nodes.set(0, Bits.read(bits, 0))
    expect(app.maps.nodes.get(0)).to.deep.equal(app.maps.nodes.get(1))
    // Written by the codecs that the object has, and read by those of the module through another fd.
    const zeros = new DataView(new ArrayBuffer(Everything.size))
    const value = { ...Everything.read(zeros, 0), name: 'all', huge: -1n & ((1n << 128n) - 1n), class: 3, ratio: 0.5 }
    app.maps.class.set({ a: 1, b: 2 }, value)
    using again = HashMap.fromId(app.maps.class.id, { key: ClassKey, value: Everything })
    expect([...again]).to.deep.equal([[{ a: 1, b: 2 }, value]])
    app.maps.outer.set({ of: 1 }, [[{ in: 2 }, { bpf_object: 3 }]])
    expect(dump({ id: innerId(app.maps.outer, 1) })).to.deep.equal([{ key: { in: 2 }, value: { bpf_object: 3 } }])
    app.globals.flags.value = 9
    expect(dump(app.maps['.data.custom.dots'])[0]?.value).to.deep.equal({ '.data.custom.dots': [{ flags: 9 }] })
    expect(app.globals.huge.value).to.equal(-5n)
  })

  it('loads and attaches what is asked for only, and leaves nothing behind', () => {
    const before = new Set(mapIds())
    const object = Flows.open()
    object.programs.delete.autoload = true
    const app = object.load()
    expect(app.programs.delete?.type).to.equal('tracepoint')
    const ours = Object.values(app.maps).map(({ id }) => id)
    expect(ours.every((id) => mapIds().includes(id) && !before.has(id))).to.equal(true)
    app[Symbol.dispose]()
    expect(app.closed).to.equal(true)
    expect(() => app.maps.flows.size).to.throw(/closed/)
  })
})
