import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { CgroupArray, PerfEventArray, ProgArray } from '../../lib/map/fd-array'
import { abi } from '../../syscalls/abi'
import { LE } from '../../syscalls/attr-common'
import { progInfo, progLoad } from '../../syscalls/bpf-prog'
import { progTestRun } from '../../syscalls/bpf-test-run'
import { closeFd } from '../../syscalls/fd'
import { NR } from '../../syscalls/numbers'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { needs, requireRoot } from '../support/kernel'
import { insn, returning } from '../support/programs'

describe('arrays of fds', () => {
  const fds: number[] = []
  const keep = (fd: number) => {
    fds.push(fd)
    return fd
  }

  before(function () {
    requireRoot(this)
  })
  afterEach(() => {
    for (const fd of fds.splice(0)) closeFd(fd)
  })

  const load = (prog_type: number, insns: Uint8Array) => keep(progLoad({ prog_type, insns, license: 'GPL' }))

  describe('ProgArray', () => {
    /** bpf_tail_call(ctx, array, slot); return 99 */
    const jumper = (arrayFd: number, slot: number) =>
      Uint8Array.from([
        ...insn(0x18, 2, uapi.BPF_PSEUDO_MAP_FD, 0, arrayFd),
        ...insn(0, 0, 0, 0, 0),
        ...insn(0xb7, 3, 0, 0, slot),
        ...insn(0x85, 0, 0, 0, 12),
        ...insn(0xb7, 0, 0, 0, 99),
        ...insn(0x95, 0, 0, 0, 0),
      ])

    it('holds the programs that others call into, and gives their ids', () => {
      using array = ProgArray.create({ name: 'jumps', maxEntries: 3 })
      using other = ProgArray.fromId(array.id)
      const seven = load(uapi.BPF_PROG_TYPE_SOCKET_FILTER, returning(7))
      const main = load(uapi.BPF_PROG_TYPE_SOCKET_FILTER, jumper(array.fd, 1))
      const run = () => progTestRun({ prog_fd: main, data_in: new Uint8Array(64) }).retval
      expect(run()).to.equal(99)
      expect(array.set(1, { fd: seven })).to.equal(array)
      expect(run()).to.equal(7)
      const { id } = progInfo(seven)
      expect([0, 1, 2, 3].map((slot) => other.idOf(slot))).to.deep.equal([undefined, id, undefined, undefined])
      expect([...other]).to.deep.equal([[1, id]])
      expect([...other.keys()]).to.deep.equal([1])
      expect([...other.values()]).to.deep.equal([id])
      expect([other.size, other.length, other.has(1), other.has(0)]).to.deep.equal([1, 3, true, false])
      expect(inspect(other)).to.match(new RegExp(`1/3 fd \\d+\\n  1 → ${id}$`))
      expect(array.delete(1)).to.equal(true)
      expect(array.delete(1)).to.equal(false)
      expect(run()).to.equal(99)
    })

    it('takes many programs, all of one kind', () => {
      using array = ProgArray.create({ maxEntries: 3 })
      const one = load(uapi.BPF_PROG_TYPE_SOCKET_FILTER, returning(1))
      const two = load(uapi.BPF_PROG_TYPE_SOCKET_FILTER, returning(2))
      expect(
        array.setMany([
          [0, one],
          [2, { fd: two }],
        ]),
      ).to.equal(2)
      expect(array.snapshot()).to.deep.equal(
        new Map([
          [0, progInfo(one).id],
          [2, progInfo(two).id],
        ]),
      )
      const xdp = load(uapi.BPF_PROG_TYPE_XDP, returning(2))
      expect(errorOf(() => array.set(1, xdp)).message).to.match(/EINVAL.*a program of another kind/)
      expect(errorOf(() => array.set(3, one)).message).to.match(/E2BIG.*the index is past the end: there are 3 slots/)
      expect(errorOf(() => array.delete(3)).message).to.match(/E2BIG.*the index is past the end/)
      expect(errorOf(() => array.set(1, array)).message).to.match(/EINVAL.*the fd is no program/)
    })

    it('refuses what is no fd before the kernel is asked', () => {
      using array = ProgArray.create({ maxEntries: 3 })
      expect(() => array.set(0, 0)).to.throw(RangeError, /value: 0 is not a file descriptor.*standard input/)
      expect(() => array.set(0, 1.5)).to.throw(RangeError, /1.5 is not a file descriptor/)
      expect(() => array.set(0, -1)).to.throw(RangeError)
      expect(() => array.set(0, '5' as never)).to.throw(TypeError, /program must be a number, not string/)
      expect(() => array.set(0, null as never)).to.throw(TypeError, /program must be a number, not null/)
      expect(() => array.set(0, {} as never)).to.throw(TypeError, 'program must be an fd, or what has one: {} has none')
      expect(array.size).to.equal(0)
    })
  })

  describe('CgroupArray', () => {
    const root = readFileSync('/proc/self/mounts', 'latin1')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, , type]) => type === 'cgroup2')?.[1]

    it('holds cgroups, which a program then tests against', function () {
      needs(this, root !== undefined, 'a cgroup2 file system')
      const folder = `${root}/ebpf-ts-${process.pid}`
      mkdirSync(folder)
      const fd = openSync(folder, 'r')
      try {
        using array = CgroupArray.create({ name: 'groups', maxEntries: 2 })
        // bpf_current_task_under_cgroup(array, 0): 1 within, 0 without, -EAGAIN for an empty slot.
        const prog = load(
          uapi.BPF_PROG_TYPE_RAW_TRACEPOINT,
          Uint8Array.from([
            ...insn(0x18, 1, uapi.BPF_PSEUDO_MAP_FD, 0, array.fd),
            ...insn(0, 0, 0, 0, 0),
            ...insn(0xb7, 2, 0, 0, 0),
            ...insn(0x85, 0, 0, 0, 37),
            ...insn(0x95, 0, 0, 0, 0),
          ]),
        )
        const run = () => progTestRun({ prog_fd: prog }).retval | 0
        expect(run()).to.equal(-11)
        array.set(0, fd)
        expect(run()).to.equal(0)
        const ours = openSync(root as string, 'r')
        array.set(0, { fd: ours })
        closeSync(ours)
        expect(run()).to.equal(1)
        expect(array.delete(0)).to.equal(true)
        expect(array.delete(0)).to.equal(false)
        expect(run()).to.equal(-11)
      } finally {
        closeSync(fd)
        rmdirSync(folder)
      }
    })

    it('says what an fd must be', () => {
      using array = CgroupArray.create({ maxEntries: 2 })
      expect(errorOf(() => array.set(0, array)).message).to.match(/EBADF.*an opened folder of a cgroup2 file system/)
      expect(errorOf(() => array.set(2, array)).message).to.match(/E2BIG.*there are 2 slots/)
    })
  })

  describe('PerfEventArray', () => {
    /** perf_event_open(2) of PERF_COUNT_SW_BPF_OUTPUT, on CPU 0. */
    function bpfOutput(): number {
      const attr = new DataView(new ArrayBuffer(112))
      attr.setUint32(0, 1, LE) // PERF_TYPE_SOFTWARE
      attr.setUint32(4, 112, LE)
      attr.setBigUint64(8, 10n, LE)
      attr.setBigUint64(16, 1n, LE) // sample_period
      attr.setBigUint64(24, 1n << 10n, LE) // PERF_SAMPLE_RAW
      const address = abi().addressOf(attr.buffer)
      // pid -1 and group_fd -1 as the registers hold them.
      const fd = abi().syscall(NR.perf_event_open, address, 0xffffffff, 0, 0xffffffff, 8)
      expect(fd).to.be.above(0)
      return keep(fd)
    }

    it('holds perf events, which a program then writes to', () => {
      using array = PerfEventArray.create({ name: 'events', maxEntries: 2 })
      // bpf_perf_event_output(ctx, array, 0, r10 - 8, 8)
      const prog = load(
        uapi.BPF_PROG_TYPE_SOCKET_FILTER,
        Uint8Array.from([
          ...insn(0x7a, 10, 0, -8, 42),
          ...insn(0x18, 2, uapi.BPF_PSEUDO_MAP_FD, 0, array.fd),
          ...insn(0, 0, 0, 0, 0),
          ...insn(0xb7, 3, 0, 0, 0),
          ...insn(0xbf, 4, 10, 0, 0),
          ...insn(0x07, 4, 0, 0, -8),
          ...insn(0xb7, 5, 0, 0, 8),
          ...insn(0x85, 0, 0, 0, 25),
          ...insn(0x95, 0, 0, 0, 0),
        ]),
      )
      const run = () => progTestRun({ prog_fd: prog, data_in: new Uint8Array(64) }).retval | 0
      expect(run()).to.equal(-2)
      array.set(0, bpfOutput())
      // The event is found: -ENOSPC, as nobody has mapped its buffer, or -EOPNOTSUPP where it ran on another CPU.
      expect([-28, -95]).to.include(run())
      expect(array.delete(0)).to.equal(true)
      expect(array.delete(0)).to.equal(false)
      expect(run()).to.equal(-2)
    })

    it('says what an fd must be', () => {
      using array = PerfEventArray.create({ maxEntries: 2 })
      expect(errorOf(() => array.set(0, array)).message).to.match(/the fd must be one of perf_event_open/)
    })
  })
})
