import { expect } from 'chai'
import { kernelTypeId } from '../../lib/btf/kernel'
import { linkCreate, linkInfo, progTestRun, rawTracepointOpen } from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { CHOOSE_ID, ENTRY_ID, functionInfo, loadFunctionBtf } from '../support/attach/function-btf'
import { HookCode } from '../support/attach/hook-code'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET, AF_INET6, NR_SOCKET, openSocket } from '../support/attach/trigger'
import { kernelBtf } from '../support/btf'
import { requireRoot } from '../support/kernel'

const EACCES = 13
/** int security_socket_create(int family, int type, int protocol, int kern): each socket(2) comes by here. */
const HOOK = 'security_socket_create'
const [FAMILY, RESULT] = [0, 4]

describe('a tracing program', () => {
  const stage = useStage()

  function tracing(context: Mocha.Context, expected_attach_type: number, code: HookCode): number {
    const attach_btf_id = kernelBtf(context).func(HOOK)
    return stage.load({ prog_type: uapi.BPF_PROG_TYPE_TRACING, expected_attach_type, attach_btf_id }, code)
  }

  it('fentry: runs before the function, and sees its arguments', async function () {
    requireAttach(this, 'fentry')
    const { fd } = stage.counters
    const code = new HookCode().onlyProcess().argument(7, FAMILY).record(fd, 1, 7).count(fd).end()
    const link = stage.own(rawTracepointOpen({ prog_fd: tracing(this, uapi.BPF_TRACE_FENTRY, code) }))
    expect(openSocket(AF_INET)).to.equal('')
    expect(openSocket(AF_INET6)).to.equal('')
    expect([stage.count(), stage.count(1)]).to.deep.equal([2, AF_INET6])
    expect(linkInfo(link).tracing?.attach_type).to.equal(uapi.BPF_TRACE_FENTRY)
    await stage.detach(link, openSocket)
  })

  it('fentry: attached by BPF_LINK_CREATE', async function () {
    requireAttach(this, 'fentry')
    requireLinux(this, 6, 0, 'fentry programs by BPF_LINK_CREATE')
    const prog_fd = tracing(this, uapi.BPF_TRACE_FENTRY, new HookCode().onlyProcess().count(stage.counters.fd).end())
    const link = stage.own(linkCreate({ prog_fd, attach_type: uapi.BPF_TRACE_FENTRY }))
    openSocket()
    expect(stage.count()).to.equal(1)
    await stage.detach(link, openSocket)
  })

  it('fexit: runs after the function, and sees what it returned, which another program has decided', async function () {
    requireAttach(this, 'fexit')
    requireAttach(this, 'fmod_ret')
    const { fd } = stage.counters
    const seeing = new HookCode().onlyProcess().argument(7, RESULT).record(fd, 1, 7).count(fd).end()
    const link = stage.own(rawTracepointOpen({ prog_fd: tracing(this, uapi.BPF_TRACE_FEXIT, seeing) }))
    expect(openSocket()).to.equal('')
    expect([stage.count(), stage.count(1)]).to.deep.equal([1, 0])
    const denying = new HookCode().onlyProcess().add(0xb7, 7, 0, 0, EACCES).endWithError()
    const denial = stage.own(rawTracepointOpen({ prog_fd: tracing(this, uapi.BPF_MODIFY_RETURN, denying) }))
    expect(openSocket()).to.equal('EACCES')
    expect(stage.count(1) | 0).to.equal(-EACCES)
    stage.close(denial)
    expect(openSocket()).to.equal('')
    expect([stage.count(), stage.count(1)]).to.deep.equal([3, 0])
    await stage.detach(link, openSocket)
  })

  it('fmod_ret: what it returns is the answer, and the function itself does not run', function () {
    requireAttach(this, 'fmod_ret')
    const code = new HookCode()
      .onlyProcess()
      .argument(8, FAMILY)
      .add(0x55, 8, 0, 0, AF_INET6, 'out') // if r8 != AF_INET6
      .count(stage.counters.fd)
      .add(0xb7, 7, 0, 0, EACCES)
      .endWithError()
    const link = stage.own(rawTracepointOpen({ prog_fd: tracing(this, uapi.BPF_MODIFY_RETURN, code) }))
    expect([openSocket(AF_INET), openSocket(AF_INET6)]).to.deep.equal(['', 'EACCES'])
    expect(stage.count()).to.equal(1)
    stage.close(link)
    expect([openSocket(AF_INET), openSocket(AF_INET6)]).to.deep.equal(['', ''])
    expect(stage.count()).to.equal(1)
  })

  it('tp_btf: runs at a tracepoint, and sees its arguments', async function () {
    requireAttach(this, 'tp_btf')
    const prog_fd = stage.load(
      {
        prog_type: uapi.BPF_PROG_TYPE_TRACING,
        expected_attach_type: uapi.BPF_TRACE_RAW_TP,
        attach_btf_id: kernelTypeId('typedef', 'btf_trace_sys_enter'),
      },
      countingSockets(stage.counters.fd),
    )
    const link = stage.own(rawTracepointOpen({ prog_fd }))
    openSocket()
    openSocket()
    expect(stage.count()).to.equal(2)
    await stage.detach(link, openSocket)
  })

  it('raw tracepoint: the same without types', async function () {
    requireAttach(this, 'raw_tracepoint')
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_RAW_TRACEPOINT }, countingSockets(stage.counters.fd))
    const link = stage.own(rawTracepointOpen({ prog_fd, name: 'sys_enter' }))
    openSocket()
    openSocket()
    expect(stage.count()).to.equal(2)
    await stage.detach(link, openSocket)
  })

  /** sys_enter(struct pt_regs *regs, long id) */
  function countingSockets(counters: number): HookCode {
    return new HookCode()
      .onlyProcess()
      .argument(7, 1)
      .add(0x55, 7, 0, 0, NR_SOCKET, 'out') // if r7 != NR_SOCKET
      .count(counters)
      .end()
  }
})

describe('a program on a program', () => {
  const stage = useStage()
  const XDP_PASS = 2

  /** `int entry(ctx) { return choose(ctx) }` and `int choose(ctx) { return XDP_PASS }` */
  function target(): { fd: number; btf: number } {
    const btf = stage.own(loadFunctionBtf())
    const code = new HookCode()
      .add(0x85, 0, uapi.BPF_PSEUDO_CALL, 0, 1)
      .add(0x95)
      .add(0xb7, 0, 0, 0, XDP_PASS)
      .add(0x95)
    // The first instruction of HookCode is at 0, the subprogram's first at 3.
    const types = functionInfo(btf, { 0: ENTRY_ID, 3: CHOOSE_ID })
    return { fd: stage.load({ prog_type: uapi.BPF_PROG_TYPE_XDP, ...types }, code), btf }
  }

  const run = (prog_fd: number) => progTestRun({ prog_fd, data_in: new Uint8Array(64) }).retval

  it('fentry and fexit: are run with it', async function () {
    requireRoot(this)
    const attach_prog_fd = target().fd
    expect(run(attach_prog_fd)).to.equal(XDP_PASS)
    requireAttach(this, 'fexit')
    const { fd } = stage.counters
    const attach = (expected_attach_type: number, attach_btf_id: number, code: HookCode) => {
      const place = { expected_attach_type, attach_btf_id, attach_prog_fd }
      const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_TRACING, ...place }, code)
      return stage.own(rawTracepointOpen({ prog_fd }))
    }
    const before = attach(uapi.BPF_TRACE_FENTRY, ENTRY_ID, new HookCode().count(fd).end())
    const after = attach(
      uapi.BPF_TRACE_FEXIT,
      CHOOSE_ID,
      new HookCode().argument(7, 1).record(fd, 2, 7).count(fd, 1).end(),
    )
    expect(run(attach_prog_fd)).to.equal(XDP_PASS)
    expect(run(attach_prog_fd)).to.equal(XDP_PASS)
    expect([0, 1, 2].map((i) => stage.count(i))).to.deep.equal([2, 2, XDP_PASS])
    await stage.detach(before, () => run(attach_prog_fd))
    await stage.detach(after, () => run(attach_prog_fd), 1)
  })

  it('freplace: stands in for one of its functions as long as it is attached', function () {
    requireRoot(this)
    const { fd, btf } = target()
    expect(run(fd)).to.equal(XDP_PASS)
    requireAttach(this, 'freplace')
    const types = functionInfo(btf, { 0: CHOOSE_ID })
    const place = { attach_prog_fd: fd, attach_btf_id: CHOOSE_ID }
    const code = new HookCode().count(stage.counters.fd).end(42)
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_EXT, ...place, ...types }, code)
    expect(run(fd)).to.equal(XDP_PASS)
    const link = stage.own(rawTracepointOpen({ prog_fd }))
    expect([run(fd), run(fd), stage.count()]).to.deep.equal([42, 42, 2])
    stage.close(link)
    expect([run(fd), stage.count()]).to.deep.equal([XDP_PASS, 2])
  })
})
