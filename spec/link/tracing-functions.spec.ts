import { expect } from 'chai'
import {
  type AttachTypeName,
  attachFreplace,
  attachLsm,
  attachLsmCgroup,
  attachTracing,
  type Program,
  type ProgramOptions,
} from '../../lib'
import { progTestRun } from '../../syscalls/bpf-test-run'
import * as uapi from '../../syscalls/uapi'
import { CHOOSE_ID, ENTRY_ID, functionInfo, loadFunctionBtf } from '../support/attach/function-btf'
import { HookCode } from '../support/attach/hook-code'
import { bpftoolLink, failing, linkExists } from '../support/attach/links'
import { ownCgroup } from '../support/attach/network'
import { requireAttach, requireLsm } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET, AF_INET6, AF_UNIX, NR_SOCKET, openSocket } from '../support/attach/trigger'
import { hasFeature, linuxBefore, requireRoot } from '../support/kernel'
import { recorded, type Sent } from '../support/recording-abi'

const EINVAL = -22
const EACCES = 13
/** int security_socket_create(int family, int type, int protocol, int kern): each socket(2) comes by here. */
const HOOK = 'security_socket_create'
const [FAMILY, RESULT] = [0, 4]

/** A kernel from before Linux 5.19: BPF_LINK_CREATE takes no tracing programs but iterators. */
function withoutTracingLinks({ command }: Sent): number | undefined {
  return command === uapi.BPF_LINK_CREATE ? EINVAL : undefined
}

describe('attachTracing', () => {
  const stage = useStage()

  before(function () {
    requireRoot(this)
  })

  const tracing = (expectedAttachType: AttachTypeName, code: HookCode, attachTo = HOOK) =>
    stage.program({ type: 'tracing', name: 'trace', expectedAttachType, attachTo, code })

  /** sys_enter(struct pt_regs *regs, long id) */
  const sockets = () => new HookCode().onlyProcess().argument(7, 1).add(0x55, 7, 0, 0, NR_SOCKET, 'out')
  const atTracepoint = (code = sockets().count(stage.counters.fd).end()) => tracing('trace_raw_tp', code, 'sys_enter')

  it('fentry: before a function of the kernel', async function () {
    requireAttach(this, 'fentry')
    const { fd } = stage.counters
    const code = new HookCode().onlyProcess().argument(7, FAMILY).record(fd, 1, 7).count(fd).end()
    const program = tracing('trace_fentry', code)
    const link = stage.using(attachTracing(program))
    openSocket()
    openSocket(AF_INET6)
    expect([stage.count(), stage.count(1)]).to.deep.equal([2, AF_INET6])
    expect(link.info()).to.include({ type: 'tracing', attachType: 'trace_fentry', programId: program.id })
    await stage.detach(link, openSocket)
    expect(linkExists(link.id)).to.equal(false)
  })

  it('fexit and fmod_ret: after it, and in its place', async function () {
    requireAttach(this, 'fexit')
    requireAttach(this, 'fmod_ret')
    const { fd } = stage.counters
    const seeing = new HookCode().onlyProcess().argument(7, RESULT).record(fd, 1, 7).count(fd).end()
    const exit = stage.using(attachTracing(tracing('trace_fexit', seeing)))
    const denying = new HookCode().onlyProcess().add(0xb7, 7, 0, 0, EACCES).endWithError()
    const denial = stage.using(attachTracing(tracing('modify_return', denying)))
    expect(openSocket()).to.equal('EACCES')
    expect([stage.count(), stage.count(1) | 0]).to.deep.equal([1, -EACCES])
    denial.close()
    expect(openSocket()).to.equal('')
    await stage.detach(exit, openSocket)
  })

  it('fentry: by its fd alone, and on a kernel without such links', async function () {
    requireAttach(this, 'fentry')
    const load = () => tracing('trace_fentry', new HookCode().onlyProcess().count(stage.counters.fd).end())
    const first = load()
    const link = stage.using(attachTracing(first.fd))
    openSocket()
    expect(stage.count()).to.equal(1)
    await stage.detach(link, openSocket)
    if (linuxBefore(5, 13)) {
      const error = failing(() => attachTracing(first))
      expect(error).to.include({ code: 'ENOENT' })
      expect(error.message).to.include('once only before Linux 5.13')
    }
    const before = stage.count()
    const program = load()
    const old = recorded(() => stage.using(attachTracing(program)), withoutTracingLinks)
    openSocket()
    expect(stage.count()).to.equal(before + 1)
    await stage.detach(old, openSocket)
  })

  it('fentry: with a cookie, or said that the kernel knows none', async function () {
    requireAttach(this, 'fentry')
    if (hasFeature('helper', 'bpf_get_attach_cookie', 'tracing') !== true) {
      const program = tracing('trace_fentry', new HookCode().end())
      const error = failing(() => attachTracing(program, { cookie: 3 }))
      expect(error).to.include({ code: 'EINVAL' })
      expect(error.message).to.include('cookies of such programs came with Linux 5.19')
      return
    }
    const code = new HookCode().onlyProcess().countByCookie(stage.counters.fd).end()
    const program = tracing('trace_fentry', code)
    const link = stage.using(attachTracing(program, { cookie: 3 }))
    openSocket()
    expect([stage.count(), stage.count(3)]).to.deep.equal([0, 1])
    await stage.detach(link, openSocket, 3)
    expect(failing(() => attachTracing(program.fd, { cookie: 3 }))).to.be.instanceOf(TypeError)
  })

  it('tp_btf: at a tracepoint', async function () {
    requireAttach(this, 'tp_btf')
    const program = atTracepoint()
    const link = stage.using(attachTracing(program))
    openSocket()
    openSocket()
    expect(stage.count()).to.equal(2)
    const told = bpftoolLink(link.id)
    // A link like that of a raw tracepoint: the types are the program's own matter.
    if (told !== undefined)
      expect(told).to.include({ type: 'raw_tracepoint', prog_id: program.id, tp_name: 'sys_enter' })
    expect(link.description).to.equal(`Link#${link.id} raw_tracepoint sys_enter`)
    await stage.detach(link, openSocket)
    expect(linkExists(link.id)).to.equal(false)
  })

  it('tp_btf: on a kernel without such links', async function () {
    requireAttach(this, 'tp_btf')
    const program = atTracepoint()
    const link = recorded(() => stage.using(attachTracing(program)), withoutTracingLinks)
    openSocket()
    expect(stage.count()).to.equal(1)
    await stage.detach(link, openSocket)
    recorded(() => {
      const error = failing(() => attachTracing(program, { cookie: 1 }))
      expect(error.message).to.include('cookies of such programs came with Linux 5.19')
    }, withoutTracingLinks)
    expect(failing(() => attachTracing(program.fd, { cookie: 3 })).message).to.include(
      'give the Program as it was loaded',
    )
  })

  it('refuses another type of program, and one for an iterator', function () {
    requireAttach(this, 'tp_btf')
    const other = stage.program({ type: 'raw_tracepoint', code: new HookCode().end() })
    expect(failing(() => attachTracing(other)).message).to.include('takes a program of type tracing')
    const iterator = tracing('trace_iter', new HookCode().end(), 'bpf_map')
    const error = failing(() => attachTracing(iterator))
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.include('was loaded for trace_iter')
  })
})

describe('attachLsm', () => {
  const stage = useStage()
  /** enum bpf_func_id, for LSM programs of cgroups */
  const BPF_FUNC_set_retval = 187

  const lsm = (code: HookCode, more: Partial<ProgramOptions> = {}) =>
    stage.program({ type: 'lsm', name: 'decide', attachTo: 'socket_create', code, ...more })

  it('denies what it is asked about, with the errno that the program returns', function () {
    requireLsm(this, 'lsm')
    const code = new HookCode()
      .onlyProcess()
      .count(stage.counters.fd)
      .argument(8, FAMILY)
      .add(0x55, 8, 0, 0, AF_INET6, 'out') // if r8 != AF_INET6
      .add(0xb7, 7, 0, 0, EACCES)
      .endWithError()
    const program = lsm(code)
    const link = stage.using(attachLsm(program))
    expect([AF_INET, AF_INET6, AF_UNIX].map(openSocket)).to.deep.equal(['', 'EACCES', ''])
    expect(stage.count()).to.equal(3)
    expect(link.info()).to.include({ type: 'tracing', attachType: 'lsm_mac', programId: program.id })
    link.close()
    expect([AF_INET, AF_INET6, AF_UNIX].map(openSocket)).to.deep.equal(['', '', ''])
    expect(stage.count()).to.equal(3)
  })

  it('attachLsmCgroup: the same for the processes of one cgroup', function () {
    requireLsm(this, 'lsm_cgroup')
    const code = new HookCode()
      .argument(8, FAMILY)
      .add(0xb7, 0, 0, 0, 1)
      .add(0x55, 8, 0, 0, AF_INET6, 'allow') // if r8 != AF_INET6
      .add(0xb7, 1, 0, 0, -EACCES)
      .call(BPF_FUNC_set_retval)
      .add(0xb7, 0, 0, 0, 0) // 0 denies, 1 allows
      .label('allow')
      .add(0x95)
    const program = lsm(code, { expectedAttachType: 'lsm_cgroup' })
    const link = stage.using(attachLsmCgroup(program, ownCgroup(this, stage)))
    expect([AF_INET, AF_INET6].map(openSocket)).to.deep.equal(['', 'EACCES'])
    expect(failing(() => attachLsm(program)).message).to.include('was loaded for lsm_cgroup')
    link.close()
    expect([AF_INET, AF_INET6].map(openSocket)).to.deep.equal(['', ''])
  })
})

describe('attachFreplace', () => {
  const stage = useStage()
  const XDP_PASS = 2

  interface Target {
    readonly program: Program
    readonly btf: number
  }

  before(function () {
    requireRoot(this)
  })

  const describing = (btf: number, functions: Readonly<Record<number, number>>) => ({
    fd: btf,
    functions: new Uint8Array(functionInfo(btf, functions).func_info.buffer),
  })

  /** `int entry(ctx) { return choose(ctx) }` and `int choose(ctx) { return XDP_PASS }` */
  function target(): Target {
    const btf = stage.own(loadFunctionBtf())
    const code = new HookCode()
      .add(0x85, 0, uapi.BPF_PSEUDO_CALL, 0, 1)
      .add(0x95)
      .add(0xb7, 0, 0, 0, XDP_PASS)
      .add(0x95)
    // The first instruction of HookCode is at 0, the subprogram's first at 3.
    return {
      program: stage.program({ type: 'xdp', code, btf: describing(btf, { 0: ENTRY_ID, 3: CHOOSE_ID }) }),
      btf,
    }
  }

  const replacement = ({ program, btf }: Target) =>
    stage.program({
      type: 'ext',
      name: 'replace',
      attachTo: { program, function: 'choose' },
      btf: describing(btf, { 0: CHOOSE_ID }),
      code: new HookCode().count(stage.counters.fd).end(42),
    })

  const run = (program: Program) => progTestRun({ prog_fd: program.fd, data_in: new Uint8Array(64) }).retval

  it('stands in for a function of the program that it was loaded for, and of another', function () {
    const first = target()
    expect(run(first.program)).to.equal(XDP_PASS)
    requireAttach(this, 'freplace')
    const program = replacement(first)
    const link = stage.using(attachFreplace(program))
    expect([run(first.program), run(first.program), stage.count()]).to.deep.equal([42, 42, 2])
    const second = target()
    expect(run(second.program)).to.equal(XDP_PASS)
    const other = stage.using(attachFreplace(program, { target: second.program, function: 'choose' }))
    expect(run(second.program)).to.equal(42)
    expect(other.info()).to.include({ type: 'tracing', attachType: 'freplace', programId: program.id })
    link.close()
    expect([run(first.program), run(second.program)]).to.deep.equal([XDP_PASS, 42])
    other.close()
    expect([run(first.program), run(second.program), stage.count()]).to.deep.equal([XDP_PASS, XDP_PASS, 4])
  })

  it('refuses a function that there is not, and one that is replaced already', function () {
    requireAttach(this, 'freplace')
    const first = target()
    const program = replacement(first)
    const error = (options: object) => failing(() => attachFreplace(program, options))
    expect(error({ target: first.program, function: 'chose' }).message).to.include("has no function 'chose'")
    expect(error({ target: first.program })).to.be.instanceOf(TypeError)
    expect(error({ function: 'choose' })).to.be.instanceOf(TypeError)
    const plain = stage.program({ type: 'xdp', code: new HookCode().end() })
    expect(error({ target: plain, function: 'choose' }).message).to.include('was loaded without BTF')
    stage.using(attachFreplace(program))
    const second = replacement(target())
    const taken = failing(() => attachFreplace(second, { target: first.program, function: 'choose' }))
    expect(taken).to.include({ code: 'EBUSY' })
    expect(taken.message).to.include("'choose' is replaced already")
  })

  it('refuses another type of program before the kernel is asked', () => {
    const { program } = target()
    recorded((recording) => {
      expect(failing(() => attachFreplace(program)).message).to.include('takes a program of type ext')
      expect(recording.bpf(uapi.BPF_LINK_CREATE)).to.deep.equal([])
      expect(recording.bpf(uapi.BPF_RAW_TRACEPOINT_OPEN)).to.deep.equal([])
    })
  })
})
