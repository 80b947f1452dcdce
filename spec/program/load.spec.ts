import { expect } from 'chai'
import {
  ArrayMap,
  type AttachTypeName,
  assemble,
  bpf,
  features,
  HashMap,
  Program,
  type ProgramOptions,
  type ProgramTypeName,
  UnsupportedError,
  u32,
  u64,
  VerifierError,
} from '../../lib'
import { BPF_F_XDP_HAS_FRAGS, BPF_PROG_LOAD, BPF_TOKEN_CREATE } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import * as attachTypes from '../../syscalls/uapi-attach-type'
import { ATTACH_TYPES, PROGRAM_TYPES } from '../../syscalls/uapi-names'
import { errorOf } from '../support/error'
import { eventually, mapIds, requireFeature, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { runInChild } from '../support/run'
import { fdInfo, loadXdp, named, needsBpftool, returning, shown } from './kit'

/** The types that are loaded without saying what they are for. */
const ELSEWHERE: readonly ProgramTypeName[] = ['tracing', 'lsm', 'ext', 'struct_ops']

const EXPECTED: Partial<Record<ProgramTypeName, AttachTypeName>> = {
  cgroup_sock_addr: 'cgroup_inet4_connect',
  cgroup_sockopt: 'cgroup_getsockopt',
}

/** What the type may return, where 0 is not among it. */
const RETURNS: Partial<Record<ProgramTypeName, number>> = { cgroup_sock_addr: 1, cgroup_skb: 1, netfilter: 1 }

describe('Program.load', function () {
  this.timeout(300_000)

  beforeEach(function () {
    requireRoot(this)
  })

  for (const type of (Object.keys(PROGRAM_TYPES) as ProgramTypeName[]).filter((each) => !ELSEWHERE.includes(each))) {
    it(`loads programs of type ${type}`, function () {
      requireFeature(this, 'programType', type)
      const expectedAttachType = EXPECTED[type]
      const where = expectedAttachType === undefined ? {} : { expectedAttachType }
      using program = Program.load({ type, code: returning(RETURNS[type] ?? 0), name: 'any', ...where })
      expect(program.type).to.equal(type)
      expect(Number(fdInfo(program, 'prog_type'))).to.equal(PROGRAM_TYPES[type])
    })
  }

  it('gives the kernel name, license and instructions', function () {
    needsBpftool(this)
    using gpl = loadXdp({ name: 'spec.load_1' })
    expect(shown(gpl)).to.include({ type: 'xdp', name: 'spec.load_1', gpl_compatible: true })
    using other = loadXdp({ license: 'Proprietary' })
    expect(shown(other)).to.include({ gpl_compatible: false }).and.not.have.property('name')
  })

  it('takes bytes, assembled text and templates with maps alike', () => {
    using map = HashMap.create({ name: 'spec_load', key: u32, value: u64, maxEntries: 1 })
    using a = loadXdp({ code: returning(7) })
    using b = loadXdp({ code: assemble('r0 = 7\nexit') })
    using c = loadXdp({ code: returning(7).bytes() })
    expect([b, c].map((each) => fdInfo(each, 'prog_tag'))).to.deep.equal(Array(2).fill(fdInfo(a, 'prog_tag')))
    using d = loadXdp({
      code: bpf`
        r1 = ${map} ll
        r0 = 7
        exit`,
    })
    expect(fdInfo(d, 'prog_tag')).to.not.equal(fdInfo(a, 'prog_tag'))
    expect(d.info().mapIds).to.deep.equal([map.id])
  })

  it('reads the fds of maps when it loads: the same code again, with another map', () => {
    const counts = { fd: 0 }
    const code = bpf`
      r1 = ${counts} ll
      r0 = 2
      exit`
    const idsWith = (map: { fd: number }) => {
      counts.fd = map.fd
      using program = loadXdp({ code })
      return program.info().mapIds
    }
    using first = ArrayMap.create({ name: 'first', value: u32, maxEntries: 1 })
    using second = ArrayMap.create({ name: 'second', value: u32, maxEntries: 1 })
    expect([idsWith(first), idsWith(second)]).to.deep.equal([[first.id], [second.id]])
  })

  it('takes an expected attach type by its name', () => {
    // What they return goes with where they are attached: only a recvmsg program has to return 1.
    const load = (expectedAttachType: AttachTypeName, value: number) =>
      Program.load({ type: 'cgroup_sock_addr', expectedAttachType, code: returning(value) })
    using connect = load('cgroup_inet4_connect', 0)
    expect(connect.expectedAttachType).to.equal('cgroup_inet4_connect')
    using recvmsg = load('cgroup_udp4_recvmsg', 1)
    expect(recvmsg.closed).to.equal(false)
    expect(errorOf(() => load('cgroup_udp4_recvmsg', 0))).to.be.instanceOf(VerifierError)
  })

  it('has a name for every attach type, the one of number 0 too', () => {
    const constants = Object.entries(attachTypes).map(([name, value]) => [name.slice(4).toLowerCase(), value])
    expect(ATTACH_TYPES).to.deep.equal(Object.fromEntries(constants))
    expect(ATTACH_TYPES).to.include({ cgroup_inet_ingress: 0, trace_fentry: 24, xdp_devmap: 33, lsm_cgroup: 43 })
  })

  it('knows flags by their names, and lets programs of type syscall sleep', function () {
    requireFeature(this, 'programType', 'syscall')
    recorded((recording) => {
      Program.load({ type: 'syscall', code: returning(0) }).close()
      loadXdp({ flags: ['STRICT_ALIGNMENT'] }).close()
      const flags = recording
        .bpf(BPF_PROG_LOAD)
        .map(({ attr }) => new DataView((attr as Uint8Array).buffer).getUint8(44))
      expect(flags).to.deep.equal([1 << 4, 1 << 0])
    })
  })

  it('gives the kernel the fds that instructions name by their place', () => {
    const placesOf = (options: Partial<ProgramOptions>) =>
      recorded(
        (recording) => {
          expect(() => loadXdp(options)).to.throw('EINVAL')
          const sent = recording.bpf(BPF_PROG_LOAD)[0]?.attr as Uint8Array
          const attr = new DataView(sent.buffer)
          const bytes = recording.bytesAt(Number(attr.getBigUint64(120, LE)), 12)
          return [...new Int32Array(bytes.slice().buffer)]
        },
        (call) => (call.command === BPF_PROG_LOAD ? -EINVAL : undefined),
      )
    expect(placesOf({ fdArray: [7, { fd: 8 }, 9] })).to.deep.equal([7, 8, 9])
    const code = bpf`
      call ${{ btfId: 5, module: { fd: 21 } }}
      call ${{ btfId: 6, module: { fd: 22 } }}
      r0 = 2
      exit`
    // The first place stands for the kernel itself.
    expect(placesOf({ code })).to.deep.equal([0, 21, 22])
    expect(() => loadXdp({ code, fdArray: [7] })).to.throw(TypeError, 'an fd array of its own')
  })

  it('leaves nothing behind when it is closed, or refused', async () => {
    const program = loadXdp()
    expect(mapIds('prog')).to.include(program.id)
    const { id } = program
    program.close()
    await eventually(() => !mapIds('prog').includes(id), 'the program is gone')
    expect(() => loadXdp({ code: bpf`exit`, name: 'left_behind' })).to.throw(VerifierError)
    expect(named('left_behind')).to.deep.equal([])
  })

  it('says which type a kernel has not got', () => {
    const missing = (Object.keys(PROGRAM_TYPES) as ProgramTypeName[])
      .filter((type) => !ELSEWHERE.includes(type) && EXPECTED[type] === undefined)
      .find((type) => features.programType(type) === false)
    // A kernel with all of them: another answers in its place that it does not know what it is asked for.
    const answer = missing === undefined ? () => -EINVAL : () => undefined
    const type = missing ?? 'lirc_mode2'
    const error = recorded(() => errorOf(() => Program.load({ type, code: returning(0) })), answer)
    expect(error).to.be.instanceOf(UnsupportedError)
    expect(error.message).to.include(`programs of type ${type}`)
  })

  it('says that a kernel does not know a flag, or tokens', () => {
    const EXPECTED: readonly [options: Partial<ProgramOptions>, answer: Answer, words: string][] = [
      [
        { flags: ['XDP_HAS_FRAGS'] },
        ({ command, attr }) => {
          if (command !== BPF_PROG_LOAD) return undefined
          return (viewOf(attr).getUint32(44, LE) & BPF_F_XDP_HAS_FRAGS) === 0 ? undefined : -EINVAL
        },
        'has no XDP programs for packets in fragments',
      ],
      [
        { token: 7 },
        ({ command, attr }) => {
          if (command === BPF_TOKEN_CREATE) return -EINVAL
          return command === BPF_PROG_LOAD && (attr as Uint8Array).length > 144 ? -E2BIG : undefined
        },
        'has no tokens',
      ],
    ]
    for (const [options, answer, words] of EXPECTED) {
      const error = recorded(() => errorOf(() => loadXdp(options)), answer)
      expect(error, error.message).to.be.instanceOf(UnsupportedError)
      expect(error.message).to.include(words)
    }
  })

  it('says which capability is missing', async () => {
    const script = `
      const { Program, assemble } = require('./lib')
      try { Program.load({ type: 'xdp', code: assemble('r0 = 2\\nexit') }) }
      catch (error) { console.log(error.name, error.code, error.message) }`
    const { stdout } = await runInChild(script, { without: ['bpf', 'sys_admin', 'sys_resource'] })
    expect(stdout).to.match(
      /^KernelError EPERM EPERM: BPF_PROG_LOAD on Program: .*xdp.*; this process lacks CAP_BPF \(/,
    )
  })

  it('says that options do not go together', () => {
    const load = () => Program.load({ type: 'cgroup_sock', expectedAttachType: 'sk_lookup', code: returning(1) })
    const error = errorOf(load)
    expect([error.name, error.code]).to.deep.equal(['KernelError', 'EINVAL'])
    expect(error.message).to.include('does not take these options together')
  })
})

const E2BIG = 7
const EINVAL = 22

function viewOf(attr: Uint8Array | undefined): DataView {
  return new DataView((attr as Uint8Array).buffer)
}
