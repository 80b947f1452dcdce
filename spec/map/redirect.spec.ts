import { inspect } from 'node:util'
import { expect } from 'chai'
import { HashOfMaps, u32 } from '../../lib'
import { CpuMap, DevMap, DevMapHash } from '../../lib/map/redirect'
import { progInfo, progLoad } from '../../syscalls/bpf-prog'
import { closeFd } from '../../syscalls/fd'
import { BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, BPF_XDP_DEVMAP } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { returning } from '../support/programs'
import { bpftoolDump, needsBpftool } from './kit'

/** The loopback interface is number 1 in every network namespace. */
const LO = 1

describe('maps to redirect through', () => {
  const fds: number[] = []

  before(function () {
    requireRoot(this)
  })
  afterEach(() => {
    for (const fd of fds.splice(0)) closeFd(fd)
  })

  function xdp(expected_attach_type: number): number {
    const fields = { prog_type: BPF_PROG_TYPE_XDP, insns: returning(2), license: 'GPL', expected_attach_type }
    const fd = progLoad(fields)
    fds.push(fd)
    return fd
  }

  for (const [name, make, key] of [
    ['DevMap', () => DevMap.create({ name: 'ports', maxEntries: 3 }), 1],
    ['DevMapHash', () => DevMapHash.create({ name: 'ports', maxEntries: 3 }), 5000],
  ] as const) {
    it(`${name} holds interfaces by their numbers`, () => {
      using map = make()
      expect(map.set(key, LO)).to.equal(map)
      using other = map.spec.fromId(map.id) as typeof map
      expect([other.get(key), other.get(0), other.has(key)]).to.deep.equal([LO, undefined, true])
      expect([...other]).to.deep.equal([[key, LO]])
      expect(inspect(other)).to.match(new RegExp(`ifindex 1/3 fd \\d+\\n  ${key} → 1$`))
      expect(errorOf(() => map.set(key, 0x7ffffff0)).message).to.match(/EINVAL.*no such interface/)
      expect([map.delete(key), map.delete(key)]).to.deep.equal([true, false])
      expect(other.size).to.equal(0)
      for (const wrong of [0, -1, 1.5, 2 ** 31]) {
        expect(() => map.set(key, wrong)).to.throw(RangeError, new RegExp(`value: ${wrong} is no ifindex`))
      }
      expect(() => map.set(key, 0)).to.throw(RangeError, /delete\(key\) empties an entry/)
      expect(() => map.set(key, { ifindex: 1 } as never)).to.throw(TypeError, /ifindex must be a number/)
    })
  }

  it('DevMap has an end, DevMapHash a limit and conditions', () => {
    using array = DevMap.create({ maxEntries: 3 })
    expect(errorOf(() => array.set(3, LO)).message).to.match(/E2BIG.*there are 3 slots/)
    expect(errorOf(() => array.delete(3)).message).to.match(/EINVAL.*there are 3 slots/)
    using hash = DevMapHash.create({ maxEntries: 2 })
    hash.setMany([
      [10, LO],
      [20, LO],
    ])
    expect(errorOf(() => hash.set(10, LO, { only: 'create' })).code).to.equal('EEXIST')
    expect(errorOf(() => hash.set(30, LO)).message).to.match(/the map is full: maxEntries is 2/)
  })

  it('DevMap and DevMapHash run a program for each interface', () => {
    const prog = xdp(BPF_XDP_DEVMAP)
    for (const map of [
      DevMap.create({ maxEntries: 3, programs: true }),
      DevMapHash.create({ maxEntries: 3, programs: true }),
    ]) {
      using owned = map
      owned.set(1, { ifindex: LO, program: { fd: prog } })
      owned.set(2, { ifindex: LO })
      const { id } = progInfo(prog)
      expect(owned.snapshot()).to.deep.equal(
        new Map([
          [1, { ifindex: LO, programId: id }],
          [2, { ifindex: LO, programId: undefined }],
        ]),
      )
      expect(errorOf(() => owned.set(0, { ifindex: LO, program: xdp(BPF_XDP_CPUMAP) })).message).to.match(
        /EINVAL.*not of attach type xdp_devmap/,
      )
      expect(() => owned.set(0, 1 as never)).to.throw(TypeError, /a value is \{ ifindex, program\? \}, not 1/)
      expect(() => owned.set(0, { ifindex: LO, programId: id } as never)).to.throw(TypeError, /an id cannot be written/)
      expect(() => owned.set(0, { ifindex: LO, program: 0 })).to.throw(RangeError, /standard input/)
    }
  })

  it('CpuMap holds queues by CPU, each with a program where asked for', () => {
    using plain = CpuMap.create({ name: 'cpus', maxEntries: 2 })
    plain.set(0, 128)
    using other = CpuMap.fromId(plain.id)
    expect([...other]).to.deep.equal([[0, 128]])
    expect([plain.delete(0), plain.delete(0)]).to.deep.equal([true, false])
    expect(() => plain.set(0, 16385)).to.throw(RangeError, /16385 is no queueSize \(1 to 16384\)/)
    expect(() => plain.set(0, 0)).to.throw(RangeError, /delete\(cpu\) empties a slot/)
    using rich = CpuMap.create({ maxEntries: 2, programs: true })
    const prog = xdp(BPF_XDP_CPUMAP)
    rich.set(0, { queueSize: 64, program: prog })
    expect(rich.get(0)).to.deep.equal({ queueSize: 64, programId: progInfo(prog).id })
    expect(errorOf(() => rich.set(0, { queueSize: 64, program: xdp(BPF_XDP_DEVMAP) })).message).to.match(
      /the program is not of attach type xdp_cpumap/,
    )
    expect(errorOf(() => CpuMap.fromId(rich.id))).to.include({ attribute: 'valueSize', expected: 4, actual: 8 })
    expect(errorOf(() => CpuMap.create({ maxEntries: 1 << 20 })).message).to.match(/more than the CPUs that the kernel/)
    using wide = CpuMap.create({ maxEntries: 64 })
    expect(errorOf(() => wide.set(63, 64)).message).to.match(/ENODEV.*there is no such CPU/)
  })

  it('are for another tool what they are here', function () {
    needsBpftool(this)
    using map = DevMap.create({ maxEntries: 2 })
    map.set(1, LO)
    expect(bpftoolDump(map).get('01000000')).to.equal('01000000')
  })

  it('fill a new inner map', () => {
    const inner = DevMap.spec({ maxEntries: 2, programs: true })
    using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner })
    outer.set(1, [[0, { ifindex: LO }]])
    expect(outer.snapshot().get(1)).to.deep.equal(new Map([[0, { ifindex: LO, programId: undefined }]]))
  })
})
