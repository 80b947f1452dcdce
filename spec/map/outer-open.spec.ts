import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { ArrayMap, ArrayOfMaps, HashMap, HashOfMaps, LruHashMap, possibleCpuIds, u8, u16, u32, u64 } from '../../lib'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, mapIds, pending, requireRoot, useBpffs } from '../support/kernel'
import { idsOfMapsNamed } from '../support/named'
import { runInChild } from '../support/run'

const Allowed = HashMap.spec({ key: u32, value: u32, maxEntries: 10 })

/** Specs that differ from `Allowed` in one attribute each. */
const wrong = [
  { attribute: 'type', inner: LruHashMap.spec({ key: u32, value: u32, maxEntries: 10 }) },
  { attribute: 'keySize', inner: HashMap.spec({ key: u64, value: u32, maxEntries: 10 }) },
  { attribute: 'valueSize', inner: HashMap.spec({ key: u32, value: u64, maxEntries: 10 }) },
  { attribute: 'flags', inner: HashMap.spec({ key: u32, value: u32, maxEntries: 10, flags: ['NO_PREALLOC'] }) },
]

describe('opening an outer map', () => {
  before(function () {
    requireRoot(this)
  })
  const bpffs = useBpffs()

  it('that is occupied checks the inner spec against an inner map, and names what differs', () => {
    using outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 4, inner: Allowed })
    outer.set(1, [[1, 2]])
    using again = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    expect(again.snapshot()).to.deep.equal(new Map([[1, new Map([[1, 2]])]]))
    for (const { attribute, inner } of wrong) {
      const error = errorOf(() => HashOfMaps.fromId(outer.id, { key: u32, inner: inner as never }))
      expect(error).to.include({ code: 'ERR_EBPF_MISMATCH', attribute })
      expect(error.message).to.match(/HashOfMaps#\d+ 'outer' does not hold maps like/)
    }
  })

  it('that is an occupied array of maps checks it too', () => {
    const Numbers = ArrayMap.spec({ value: u32, maxEntries: 3 })
    using outer = ArrayOfMaps.create({ maxEntries: 4, inner: Numbers })
    outer.set(2, [[0, 7]])
    using again = ArrayOfMaps.fromId(outer.id, { inner: Numbers })
    expect(again.snapshot()).to.deep.equal(new Map([[2, [7, 0, 0]]]))
    const longer = errorOf(() => ArrayOfMaps.fromId(outer.id, { inner: ArrayMap.spec({ value: u32, maxEntries: 4 }) }))
    expect(longer).to.include({ attribute: 'maxEntries', expected: 4, actual: 3 })
    const other = errorOf(() => ArrayOfMaps.fromId(outer.id, { inner: Allowed }))
    expect(other).to.include({ attribute: 'type' })
  })

  it('that is an empty hash asks the kernel, without effect', async () => {
    using outer = HashOfMaps.create({ name: 'empty', key: u32, maxEntries: 4, inner: Allowed })
    const Asked = HashMap.spec({ name: 'asked_with', key: u32, value: u32, maxEntries: 10 })
    using again = HashOfMaps.fromId(outer.id, { key: u32, inner: Asked })
    expect([again.size, outer.size]).to.deep.equal([0, 0])
    for (const { inner } of wrong) {
      const error = errorOf(() => HashOfMaps.fromId(outer.id, { key: u32, inner: inner as never }))
      expect(error).to.include({ code: 'ERR_EBPF_MISMATCH', attribute: 'inner' })
    }
    expect(outer.size).to.equal(0)
    await eventually(() => idsOfMapsNamed('asked_with').length === 0, 'nothing that was made for asking is left')
  })

  it('asks with a key that is not there, also where most keys are', () => {
    using outer = HashOfMaps.create({ key: u8, maxEntries: 256, inner: Allowed })
    outer.setMany(Array.from({ length: 250 }, (_, key) => [key, []] as const))
    const ids = new Map(outer)
    // Without CAP_SYS_ADMIN no inner map can be opened, and the kernel is asked instead: here in this process, by hand.
    const verifiable = outer.verifiable()
    for (let key = 0; key < 256; key++) {
      using inner = outer.createInner()
      const there = verifiable.existsBytes(new Uint8Array([key]))
      if (!there) expect(verifiable.tryUpdate(new Uint8Array([key]), inner, 2)).to.equal('ENOENT')
    }
    expect(new Map(outer)).to.deep.equal(ids)
  })

  it('by another type or with another key is refused', () => {
    using outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 4, inner: Allowed })
    expect(errorOf(() => ArrayOfMaps.fromId(outer.id, { inner: Allowed })).message).to.match(
      /map 'outer' is of type HASH_OF_MAPS, not ARRAY_OF_MAPS/,
    )
    expect(errorOf(() => HashOfMaps.fromId(outer.id, { key: u16, inner: Allowed })).message).to.match(
      /keySize of 4 bytes, the codec .* 2/,
    )
    expect(errorOf(() => HashMap.fromId(outer.id, { key: u32, value: u32 })).message).to.match(
      /is of type HASH_OF_MAPS, not HASH/,
    )
    expect(errorOf(() => HashOfMaps.fromId(outer.id, { key: u32 } as never)).message).to.match(/needs `inner`/)
    expect(errorOf(() => HashOfMaps.fromId(0, { key: u32, inner: Allowed }))).to.be.instanceOf(RangeError)
    expect(errorOf(() => HashOfMaps.fromId(0x7fffffff, { key: u32, inner: Allowed }))).to.include({ code: 'ENOENT' })
  })

  it('from a pin finds what another process has left', async () => {
    const path = join(bpffs.path, 'tenants')
    const { stderr } = await runInChild(`
      const { HashMap, HashOfMaps, u32 } = require('./lib')
      const outer = HashOfMaps.create({ name: 'tenants', key: u32, maxEntries: 8, inner: HashMap.spec({ key: u32, value: u32, maxEntries: 10 }) })
      outer.set(42, [[12, 34]])
      outer.pin(${JSON.stringify(path)})
    `)
    expect(stderr).to.equal('')
    {
      using outer = HashOfMaps.fromPin(path, { key: u32, inner: Allowed })
      expect(outer.snapshot()).to.deep.equal(new Map([[42, new Map([[12, 34]])]]))
      expect(outer.unpin(path)).to.equal(true)
      expect(outer.unpin(path)).to.equal(false)
    }
    const gone = errorOf(() => HashOfMaps.fromPin(path, { key: u32, inner: Allowed }))
    expect(gone).to.include({ code: 'ENOENT' })
    expect(gone.message).to.match(/nothing is pinned at this path/)
  })

  it('from an fd takes the fd over, and leaves it alone where it refuses', () => {
    const outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
    outer.set(1, [[1, 2]])
    const lent = outer.handle.duplicate()
    expect(errorOf(() => HashOfMaps.fromFd(lent.fd, { key: u16, inner: Allowed }))).to.include({ attribute: 'keySize' })
    expect(errorOf(() => HashOfMaps.fromFd(lent.fd, { key: u32, inner: wrong[2]?.inner as never }))).to.include({
      attribute: 'valueSize',
    })
    expect(outer.info().id).to.equal(outer.id)
    // Still open after both refusals.
    using still = lent
    expect(execFileSync('readlink', [`/proc/${process.pid}/fd/${still.fd}`], { encoding: 'utf8' }).trim()).to.equal(
      'anon_inode:bpf-map',
    )
    outer.close()
  })
})

describe('an outer map without CAP_SYS_ADMIN', () => {
  before(function () {
    requireRoot(this)
  })
  const bpffs = useBpffs()
  const setUp = `
    const { HashMap, HashOfMaps, LruHashMap, perCpuMaps, hasCapability, u32, u64 } = require('./lib')
    const Allowed = HashMap.spec({ key: u32, value: u32, maxEntries: 10 })
    const attempt = (run) => { try { return run() } catch (error) { return error.code + ' ' + error.message } }
    const fds = () => require('fs').readdirSync('/proc/self/fd').length
    const out = []
    const say = (...values) => out.push(...values)
    process.on('exit', () => console.log(JSON.stringify(out)))
    say(hasCapability('CAP_SYS_ADMIN'))
  `
  async function inChild(script: string): Promise<unknown[]> {
    const { stdout, stderr } = await runInChild(setUp + script, { without: ['sys_admin'] })
    expect(stderr).to.equal('')
    return JSON.parse(stdout)
  }

  it('says what opening an inner map by id needs', async () => {
    const [admin, message, id] = await inChild(`
      const outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
      outer.set(1, [[1, 2]])
      say(attempt(() => outer.open(1)), typeof outer.idOf(1))
    `)
    expect([admin, id]).to.deep.equal([false, 'number'])
    expect(message).to.match(/^EPERM EPERM: BPF_MAP_GET_FD_BY_ID on HashOfMaps#\d+: .*needs CAP_SYS_ADMIN.*hold: true/)
  })

  it('reads back what it holds', async () => {
    const answers = await inChild(`
      const outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed, hold: true })
      const mine = outer.createInner()
      mine.set(7, 8)
      const before = fds()
      outer.set(1, [[1, 2]]).set(2, mine)
      say(fds() - before) // one each
      mine.close()
      say(outer.use(1, (inner) => inner.get(1)), outer.use(2, (inner) => inner.get(7)))
      outer.setMany([[1, [[1, 3]]], [3, [[3, 3]]]])
      say(outer.use(1, (inner) => inner.get(1)), [...outer.snapshot()].length)
      outer.delete(2)
      say(fds() - before)
      outer.setAsync(2, [[5, 6]]).then(async () => {
        say(outer.use(2, (inner) => inner.get(5)))
        await outer.deleteManyAsync([1, 2])
        say(fds() - before, outer.use(1, () => 1) ?? 'absent', outer.size)
        outer.clear()
        say(fds() - before)
        outer.close() // and the BTF for inner maps
        say(fds() - before)
      })
    `)
    expect(answers).to.deep.equal([false, 2, 2, 8, 3, 3, 1, 6, 0, 'absent', 1, -1, -3])
  })

  it('counts per CPU', async () => {
    const answers = await inChild(`
      const counters = perCpuMaps({ inner: HashMap.spec({ key: u32, value: u64, maxEntries: 4 }) })
      for (const cpu of counters.cpus) counters.use(cpu, (inner) => inner.set(80, BigInt(cpu + 1)))
      say(Number(counters.merge().get(80)))
    `)
    expect(answers).to.deep.equal([false, possibleCpuIds().reduce((sum, cpu) => sum + cpu + 1, 0)])
  })

  it('opens a pin, and checks its inner spec by asking the kernel', async () => {
    const path = join(bpffs.path, 'asked')
    const answers = await inChild(`
      const outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
      outer.set(1, [[1, 2]])
      outer.pin(${JSON.stringify(path)})
      const again = HashOfMaps.fromPin(${JSON.stringify(path)}, { key: u32, inner: Allowed })
      again.set(2, [[3, 4]])
      say(outer.size)
      say(attempt(() => HashOfMaps.fromPin(${JSON.stringify(path)}, { key: u32, inner: LruHashMap.spec({ key: u32, value: u32, maxEntries: 10 }) })))
      say(outer.size, outer.unpin())
    `)
    expect(answers.slice(0, 2)).to.deep.equal([false, 2])
    expect(answers[2]).to.match(/^ERR_EBPF_MISMATCH .*does not take inner maps like LruHashMap<u32, u32>/)
    expect(answers.slice(3)).to.deep.equal([2, true])
  })
})

describe('an outer map without any privilege', () => {
  before(function () {
    requireRoot(this)
  })
  const bpffs = useBpffs()

  it('is read and emptied through a pin', async function () {
    // syscall.c, __sys_bpf: until then kernel.unprivileged_bpf_disabled forbade all commands.
    if (linuxBefore(5, 19)) pending(this, 'before Linux 5.19 there is no bpf(2) at all without CAP_BPF')
    const paths = ['filled', 'empty'].map((name) => join(bpffs.path, name)) as [string, string]
    using filled = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
    using empty = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
    filled.set(1, [[1, 2]])
    const id = filled.idOf(1)
    filled.pin(paths[0])
    empty.pin(paths[1])
    const { stdout, stderr } = await runInChild(
      `
      const { HashMap, HashOfMaps, u32 } = require('./lib')
      const options = { key: u32, inner: HashMap.spec({ key: u32, value: u32, maxEntries: 10 }) }
      const attempt = (run) => { try { return run() } catch (error) { return error.code + ' ' + error.command } }
      const say = ${JSON.stringify(paths)}.map((path) => attempt(() => {
        const outer = HashOfMaps.fromPin(path, options)
        return [[...outer], attempt(() => outer.set(2, [])), outer.delete(1)]
      }))
      console.log(JSON.stringify(say))
      `,
      { without: ['sys_admin', 'bpf'] },
    )
    expect(JSON.parse(stdout), stderr).to.deep.equal([
      [[[1, id]], 'EPERM BPF_MAP_CREATE', true],
      [[], 'EPERM BPF_MAP_CREATE', false],
    ])
  })
})

describe('holding inner maps', () => {
  before(function () {
    requireRoot(this)
  })

  it('notices that somebody else has replaced an entry', async () => {
    using outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed, hold: true })
    using other = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    outer.setMany([
      [1, [[1, 1]]],
      [2, [[2, 2]]],
    ])
    const [first, second] = [outer.idOf(1), outer.idOf(2)]
    other.set(1, [[1, 99]])
    other.delete(2)
    expect(mapIds()).to.include(first) // held, and reached by nobody
    expect(outer.use(1, (inner) => inner.get(1))).to.equal(99)
    expect(outer.use(2, () => 'there')).to.equal(undefined)
    await eventually(() => !mapIds().includes(first ?? 0) && !mapIds().includes(second ?? 0), 'what was held is gone')
  })

  it('gives handles that may be closed without harm', () => {
    using outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed, hold: true })
    outer.set(1, [[1, 1]])
    const inner = outer.open(1)
    inner?.close()
    for (const [, each] of outer.inners()) each.close()
    expect(outer.use(1, (again) => again.get(1))).to.equal(1)
  })
})
