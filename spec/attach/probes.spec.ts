import { expect } from 'chai'
import { linkCreate, linkInfo } from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import { libc, openProbe, registers, setProgram, symbolOffset } from '../support/attach/probes'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET6, openSocket } from '../support/attach/trigger'

const HOOK = 'security_socket_create'
/** Another function that socket(2) comes by: a socket gets its security label. */
const LATER_HOOK = 'security_socket_post_create'

/** Node calls getppid() of libc each time, and getuid(). */
const parent = () => process.ppid
const user = () => process.getuid?.()

describe('a probe', () => {
  const stage = useStage()

  const load = (code: HookCode, expected_attach_type?: number) =>
    stage.load({ prog_type: uapi.BPF_PROG_TYPE_KPROBE, expected_attach_type }, code)

  const counting = () => new HookCode().onlyProcess().count(stage.counters.fd).end()

  /** Counts, and writes down the function's first argument, or what it returned. */
  function seeing(offset: number): HookCode {
    const { fd } = stage.counters
    return new HookCode().onlyProcess().add(0x79, 7, 6, offset).add(0xbc, 7, 7).record(fd, 1, 7).count(fd).end()
  }

  /** The two ways to attach to an event, which gives what to close to detach. */
  const WAYS = {
    'with its program': (_context: Mocha.Context, event: number, program: number): number => {
      setProgram(event, program)
      return event
    },
    'by a link': (context: Mocha.Context, target_fd: number, prog_fd: number): number => {
      requireLinux(context, 5, 15, 'links to perf events')
      const link = stage.own(linkCreate({ prog_fd, target_fd, attach_type: uapi.BPF_PERF_EVENT }))
      expect(linkInfo(link).type).to.equal(uapi.BPF_LINK_TYPE_PERF_EVENT)
      return link
    },
  }

  for (const [way, attach] of Object.entries(WAYS)) {
    it(`kprobe, ${way}: runs before a function of the kernel, and sees its arguments`, async function () {
      requireAttach(this, 'kprobe')
      const { argument } = registers(this)
      const event = stage.own(openProbe({ kind: 'kprobe', name: HOOK }))
      const link = attach(this, event, load(seeing(argument)))
      openSocket()
      openSocket(AF_INET6)
      expect([stage.count(), stage.count(1)]).to.deep.equal([2, AF_INET6])
      await stage.detach(link, openSocket)
    })

    it(`kretprobe, ${way}: runs after a function of the kernel, and sees what it returned`, async function () {
      requireAttach(this, 'kprobe')
      const { result } = registers(this)
      stage.counters.set(1, 77n)
      const event = stage.own(openProbe({ kind: 'kprobe', name: HOOK, atReturn: true }))
      const link = attach(this, event, load(seeing(result)))
      openSocket()
      expect([stage.count(), stage.count(1)]).to.deep.equal([1, 0])
      await stage.detach(link, openSocket)
    })

    it(`uprobe, ${way}: runs before a function of a library`, async function () {
      requireAttach(this, 'uprobe')
      const name = libc()
      const event = stage.own(openProbe({ kind: 'uprobe', name, offset: symbolOffset(name, 'getppid') }))
      const link = attach(this, event, load(counting()))
      parent()
      parent()
      user()
      expect(stage.count()).to.equal(2)
      await stage.detach(link, parent)
    })

    it(`uretprobe, ${way}: runs after a function of a library, and sees what it returned`, async function () {
      requireAttach(this, 'uprobe')
      const { result } = registers(this)
      const name = libc()
      const offset = symbolOffset(name, 'getppid')
      const event = stage.own(openProbe({ kind: 'uprobe', name, offset, atReturn: true }))
      const link = attach(this, event, load(seeing(result)))
      const ppid = parent()
      expect([stage.count(), stage.count(1)]).to.deep.equal([1, ppid])
      await stage.detach(link, parent)
    })
  }

  it('kprobe_multi: one link for several functions, each with its cookie', async function () {
    requireAttach(this, 'kprobe_multi')
    const attach_type = uapi.BPF_TRACE_KPROBE_MULTI
    const prog_fd = load(new HookCode().onlyProcess().countByCookie(stage.counters.fd).end(), attach_type)
    const union = { member: 'kprobe_multi', syms: [HOOK, LATER_HOOK], cookies: BigUint64Array.of(2n, 3n) } as const
    const link = stage.own(linkCreate({ prog_fd, attach_type, union }))
    openSocket()
    openSocket()
    expect([0, 1, 2, 3].map((i) => stage.count(i))).to.deep.equal([0, 0, 2, 2])
    expect(linkInfo(link).type).to.equal(uapi.BPF_LINK_TYPE_KPROBE_MULTI)
    await stage.detach(link, openSocket, 2)
  })

  it('kprobe_multi: at the return of functions', async function () {
    requireAttach(this, 'kprobe_multi')
    const attach_type = uapi.BPF_TRACE_KPROBE_MULTI
    const flags = uapi.BPF_F_KPROBE_MULTI_RETURN
    const union = { member: 'kprobe_multi', syms: [HOOK, LATER_HOOK], flags } as const
    const link = stage.own(linkCreate({ prog_fd: load(counting(), attach_type), attach_type, union }))
    openSocket()
    expect(stage.count()).to.equal(2)
    await stage.detach(link, openSocket)
  })

  it('uprobe_multi: one link for several functions, each with its cookie', async function () {
    requireAttach(this, 'uprobe_multi')
    const path = libc()
    const attach_type = uapi.BPF_TRACE_UPROBE_MULTI
    const prog_fd = load(new HookCode().onlyProcess().countByCookie(stage.counters.fd).end(), attach_type)
    const offsets = BigUint64Array.from(['getppid', 'getuid'], (name) => BigInt(symbolOffset(path, name)))
    const { pid } = process
    const union = { member: 'uprobe_multi', path, offsets, cookies: BigUint64Array.of(2n, 3n), pid } as const
    const link = stage.own(linkCreate({ prog_fd, attach_type, union }))
    parent()
    user()
    user()
    expect([0, 1, 2, 3].map((i) => stage.count(i))).to.deep.equal([0, 0, 1, 2])
    expect(linkInfo(link).type).to.equal(uapi.BPF_LINK_TYPE_UPROBE_MULTI)
    await stage.detach(link, parent, 2)
  })
})
