import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { ArrayMap, bpf, enableStats, HashMap, Program, programIds, programs, struct, u32, u64 } from '../../lib'
import { closeFd, duplicateFd } from '../../syscalls'
import { errorOf } from '../support/error'
import { collect } from '../support/gc'
import { eventually, mapIds, requireFeature, requireRoot, useBpffs } from '../support/kernel'
import { runInChild } from '../support/run'
import { bpftool, fdInfo, loadXdp, needsBpftool, PASS, returning, shown } from './kit'

const packet = new Uint8Array(64)

describe('a program', () => {
  let table: HashMap<number, bigint>
  let array: ArrayMap<number>
  let program: Program

  before(function () {
    requireRoot(this)
    table = HashMap.create({ name: 'table', key: u32, value: u64, maxEntries: 1 })
    array = ArrayMap.create({ name: 'array', value: u32, maxEntries: 1 })
    program = loadXdp({
      name: 'looked_at',
      code: bpf`
        *(u32 *)(r10 - 4) = 0
        r1 = ${table} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        r1 = ${array} ll
        r0 = 2
        exit`,
    })
  })
  after(() => {
    program?.close()
    table?.close()
    array?.close()
  })

  describe('info', () => {
    it('is what bpftool tells', function () {
      needsBpftool(this)
      const its = shown(program)
      const info = program.info()
      expect(info).to.include({ id: its.id, type: its.type, name: its.name, tag: its.tag, uid: its.uid })
      expect(info).to.include({ gplCompatible: true, xlatedSize: its.bytes_xlated, memlock: its.bytes_memlock })
      expect(info.jitedSize).to.equal(its.bytes_jited ?? 0)
      expect(info.mapIds).to.have.members(its.map_ids as number[])
      expect(Math.abs(info.loadedAt.getTime() / 1000 - its.loaded_at)).to.be.lessThan(2)
    })

    it('is what /proc tells', () => {
      const info = program.info()
      expect(info.tag).to.equal(fdInfo(program, 'prog_tag'))
      expect(`${info.id}`).to.equal(fdInfo(program, 'prog_id'))
      const verified = fdInfo(program, 'verified_insns')
      if (verified !== undefined) expect(`${info.verifiedInstructions}`).to.equal(verified)
      expect([...info.mapIds].sort()).to.deep.equal([table.id, array.id].sort())
      expect(Math.abs(info.loadedAt.getTime() - Date.now())).to.be.lessThan(60_000)
    })

    it('can be written down as JSON', () => {
      const said = JSON.parse(JSON.stringify(program)) as Record<string, unknown>
      expect(said).to.include({ id: program.id, type: 'xdp', name: 'looked_at', runs: '0' })
    })
  })

  it('opens the maps that it uses, and closes them again', () => {
    table.set(0, 7n)
    const seen: unknown[] = []
    for (const map of program.maps()) {
      seen.push(map.name)
      // By the BTF that the map was made with.
      if (map instanceof HashMap) seen.push(map.get(0))
    }
    expect(seen).to.have.deep.members(['table', 7n, 'array'])
    for (const map of program.maps()) {
      expect(map.closed).to.equal(false)
      break
    }
  })

  it('shows its instructions as bpftool does', function () {
    needsBpftool(this)
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    try {
      const file = join(folder, 'xlated')
      bpftool('prog', 'dump', 'xlated', 'id', `${program.id}`, 'file', file)
      expect(Buffer.from(program.xlated())).to.deep.equal(readFileSync(file))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('shows its machine code', function () {
    needsBpftool(this)
    const jited = program.jited()
    expect(jited).to.have.length(shown(program).bytes_jited ?? 0)
    if (jited.length > 0) expect(jited.some((byte) => byte !== 0)).to.equal(true)
  })

  it('shows its instructions as text', () => {
    const lines = program.instructions({ syntax: 'kernel' }).split('\n')
    expect(lines[0]).to.equal('*(u32 *)(r10 -4) = 0')
    expect(lines[1]).to.match(new RegExp(`map\\[id:${table.id}\\]`))
    expect(lines.at(-1)).to.equal('exit')
  })

  it('is printed on one line', () => {
    const text = inspect(program)
    const { tag, xlatedSize } = program.info()
    expect(text).to.equal(`Program#${program.id} 'looked_at' xdp tag ${tag} ${xlatedSize / 8} insns fd ${program.fd}`)
    expect(`${program}`).to.equal(`Program#${program.id} 'looked_at'`)
    const closed = loadXdp({ name: 'gone' })
    const { id } = closed
    closed.close()
    expect(inspect(closed)).to.equal(`Program#${id} 'gone' xdp closed`)
  })

  describe('statistics', () => {
    beforeEach(function () {
      requireFeature(this, 'statistics')
    })

    it('are kept as long as somebody wants them', () => {
      using counted = loadXdp()
      counted.run({ data: packet, repeat: 10 })
      expect(counted.stats.runs).to.equal(0n)
      {
        using stats = enableStats()
        expect(stats).to.have.property('close')
        counted.run({ data: packet, repeat: 10 })
      }
      const { runs, nanoseconds } = counted.stats
      expect(runs).to.equal(10n)
      expect(nanoseconds > 0n).to.equal(true)
      expect(fdInfo(counted, 'run_cnt')).to.equal('10')
      expect(fdInfo(counted, 'run_time_ns')).to.equal(`${nanoseconds}`)
      expect(counted.info()).to.include({ runs, nanoseconds })
      counted.run({ data: packet })
      expect(counted.stats.runs).to.equal(10n)
    })
  })

  describe('opened again', () => {
    it('by its id', () => {
      using other = Program.fromId(program.id)
      expect(other.fd).to.not.equal(program.fd)
      expect(other).to.include({ id: program.id, type: 'xdp', name: 'looked_at', log: '' })
      expect(other.run({ data: packet }).retval).to.equal(PASS)
    })

    it('by an fd, which is its own from then on', () => {
      const fd = duplicateFd(program.fd)
      {
        using other = Program.fromFd(fd)
        expect(other.id).to.equal(program.id)
      }
      expect(() => closeFd(fd)).to.throw('EBADF')
    })

    it('not by the fd of a map, which stays the caller’s', () => {
      const fd = duplicateFd(table.fd)
      expect(() => Program.fromFd(fd)).to.throw(TypeError, 'bpf-map')
      closeFd(fd)
    })

    it('not by an id that is none', () => {
      using gone = loadXdp()
      const { id } = gone
      gone.close()
      const error = errorOf(() => {
        for (let i = 0; i < 1000; i++) Program.fromId(id).close()
      })
      expect(error).to.include({ code: 'ENOENT', object: `Program#${id}` })
    })
  })

  describe('pinned', () => {
    const bpffs = useBpffs()

    it('outlives its handle, and is opened by its path', async () => {
      const path = `${bpffs.path}/spec_prog`
      const first = loadXdp({ name: 'pinned' })
      const { id } = first
      first.pin(path)
      expect(errorOf(() => first.pin(path)).code).to.equal('EEXIST')
      first.close()
      using again = Program.fromPin(path)
      expect(again).to.include({ id, name: 'pinned' })
      expect(again.unpin(path)).to.equal(true)
      expect(again.unpin(path)).to.equal(false)
      again.close()
      await eventually(() => !mapIds('prog').includes(id), 'the program is gone')
    })

    it('knows where it was pinned', () => {
      using own = loadXdp()
      expect(() => own.unpin()).to.throw(TypeError, 'say the path')
      own.pin(`${bpffs.path}/own`)
      expect(own.unpin()).to.equal(true)
      expect(errorOf(() => Program.fromPin(`${bpffs.path}/own`)).code).to.equal('ENOENT')
      const dotted = errorOf(() => own.pin(`${bpffs.path}/a.b`))
      expect(dotted.message).to.include("a pin's name may not hold a dot")
      expect(errorOf(() => own.pin('/tmp/no-pin')).message).to.include('not on a bpf file system')
    })

    it('refuses the pin of a map', () => {
      const path = `${bpffs.path}/spec_map`
      table.pin(path)
      try {
        expect(() => Program.fromPin(path)).to.throw(TypeError, `${path} is a bpf-map, not a bpf-prog`)
      } finally {
        table.unpin(path)
      }
    })
  })

  it('keeps a map that is bound to it', async () => {
    const Settings = struct({ version: u32 })
    using holder = loadXdp()
    const map = ArrayMap.create({ name: 'bound', value: Settings, maxEntries: 1 })
    const { id } = map
    expect(holder.info().mapIds).to.deep.equal([])
    holder.bindMap(map)
    map.close()
    expect(holder.info().mapIds).to.deep.equal([id])
    expect(mapIds()).to.include(id)
    holder.close()
    await eventually(() => !mapIds().includes(id), 'the map is gone')
    expect(() => program.bindMap(0)).to.throw(RangeError)
    expect(errorOf(() => program.bindMap(program)).code).to.equal('EINVAL')
  })

  describe('among others', () => {
    it('is found by walking all of them', () => {
      expect(programIds()).to.deep.equal(mapIds('prog'))
      const kept: Program[] = []
      let found: string | undefined
      for (const each of programs()) {
        kept.push(each)
        if (each.id === program.id) found = each.name
      }
      expect(found).to.equal('looked_at')
      expect(kept.every((each) => each.closed)).to.equal(true)
    })

    it('is left at once, and closed', () => {
      let first: Program | undefined
      for (const each of programs()) {
        first = each
        break
      }
      expect(first?.closed).to.equal(true)
    })
  })

  it('is closed with a warning where nobody did', async () => {
    const before = mapIds('prog')
    const warnings: Error[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    const id = (() => loadXdp({ name: 'leaked' }).id)()
    try {
      await eventually(() => {
        collect()
        return warnings.length > 0
      }, 'the warning')
      await eventually(() => !mapIds('prog').includes(id), 'the program is gone')
    } finally {
      process.off('warning', listen)
    }
    expect(before).to.not.include(id)
    expect(warnings[0]?.message).to.match(new RegExp(`^Program#${id} 'leaked' \\(fd \\d+\\) was collected open`))
  })

  it('needs CAP_SYS_ADMIN to be found', async function () {
    this.timeout(300_000)
    const script = `
      const { Program, programs } = require('./lib')
      for (const look of [() => [...programs()], () => Program.fromId(${program.id})])
        try { look() } catch (error) { console.log(error.code, error.message) }`
    const { stdout } = await runInChild(script, { without: ['sys_admin'] })
    expect(stdout.split('\n')[0]).to.match(/^EPERM .*BPF_PROG_GET_NEXT_ID: needs CAP_SYS_ADMIN/)
    expect(stdout.split('\n')[1]).to.match(/^EPERM .*BPF_PROG_GET_FD_BY_ID.* needs CAP_SYS_ADMIN/)
  })

  it('returns what it returns', () => {
    using own = loadXdp({ code: returning(-1) })
    const { retval } = own.run({ data: packet })
    expect([retval, retval | 0]).to.deep.equal([0xffffffff, -1])
  })
})
