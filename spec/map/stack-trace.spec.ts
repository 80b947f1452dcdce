import { inspect } from 'node:util'
import { expect } from 'chai'
import { StackTrace } from '../../lib/map/stack-trace'
import { progLoad } from '../../syscalls/bpf-prog'
import { progTestRun } from '../../syscalls/bpf-test-run'
import { closeFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { insn } from '../support/programs'
import { bpftoolDump, fdInfo, needsBpftool } from './kit'

const BPF_F_USER_STACK = 1 << 8

describe('StackTrace', () => {
  before(function () {
    requireRoot(this)
  })

  /** Runs bpf_get_stackid(ctx, map, flags): the number of this very stack. */
  function stackNow(map: StackTrace<boolean>, flags = 0): number {
    const insns = Uint8Array.from([
      ...insn(0x18, 2, uapi.BPF_PSEUDO_MAP_FD, 0, map.fd),
      ...insn(0, 0, 0, 0, 0),
      ...insn(0xb7, 3, 0, 0, flags),
      ...insn(0x85, 0, 0, 0, 27),
      ...insn(0x95, 0, 0, 0, 0),
    ])
    const fd = progLoad({ prog_type: uapi.BPF_PROG_TYPE_RAW_TRACEPOINT, insns, license: 'GPL' })
    try {
      const id = progTestRun({ prog_fd: fd }).retval | 0
      expect(id, 'bpf_get_stackid').to.be.at.least(0)
      return id
    } finally {
      closeFd(fd)
    }
  }

  it('gives the addresses of a stack, without the zeros behind them', () => {
    using map = StackTrace.create({ name: 'stacks', maxEntries: 64 })
    const id = stackNow(map)
    using other = StackTrace.fromId(map.id)
    const frames = other.get(id) as bigint[]
    expect(frames.length).to.be.within(2, 126)
    // Kernel addresses are in the upper half.
    for (const frame of frames) expect(frame >> 63n).to.equal(1n)
    expect([other.has(id), other.size, other.get(id ^ 1)]).to.deep.equal([true, 1, undefined])
    expect([...other.keys()]).to.deep.equal([id])
    expect([...other.values()]).to.deep.equal([frames])
    expect(other.snapshot()).to.deep.equal(new Map([[id, frames]]))
    expect(inspect(other).split('\n')[1]).to.match(
      new RegExp(`^  ${id} → ${frames.length} frames \\[ \\d+n, \\d+n \\]$`),
    )
    expect(map.delete(id)).to.equal(true)
    expect(map.delete(id)).to.equal(false)
    expect(other.size).to.equal(0)
  })

  it('is as deep as asked for', () => {
    using map = StackTrace.create({ maxEntries: 64, depth: 3 })
    const id = stackNow(map)
    expect(map.get(id)).to.have.length(3)
    expect(fdInfo(map.fd, 'value_size')).to.equal('24')
    expect(map.clear()).to.equal(1)
    expect(map.clear()).to.equal(0)
    expect(errorOf(() => StackTrace.create({ maxEntries: 1, depth: 1 << 20 })).message).to.match(/perf_event_max_stack/)
    expect(() => StackTrace.spec({ maxEntries: 1, depth: 0 })).to.throw(RangeError, /0 cannot be depth/)
    expect(errorOf(() => StackTrace.fromId(map.id))).to.include({ attribute: 'valueSize', actual: 24 })
    using same = StackTrace.fromId(map.id, { depth: 3 })
    expect(same.id).to.equal(map.id)
  })

  it('gives user frames by file and offset', () => {
    using map = StackTrace.create({ maxEntries: 64, buildIds: true, depth: 40 })
    expect(map.info().flags).to.deep.equal(['STACK_BUILD_ID'])
    const id = stackNow(map, BPF_F_USER_STACK)
    const frames = map.get(id)
    expect(frames).to.not.equal(undefined)
    expect((frames ?? []).length).to.be.within(1, 40)
    for (const frame of frames ?? []) {
      if (frame.buildId === undefined) expect(frame.address).to.be.a('bigint')
      else {
        expect(frame.buildId).to.match(/^[0-9a-f]{40}$/)
        expect(frame.offset).to.be.a('bigint')
      }
    }
  })

  it('is for another tool what it is here', function () {
    needsBpftool(this)
    using map = StackTrace.create({ maxEntries: 64 })
    const id = stackNow(map)
    const bytes = Buffer.from([...bpftoolDump(map).values()][0] as string, 'hex')
    expect(map.get(id)?.[0]).to.equal(bytes.readBigUInt64LE(0))
  })
})
