import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { attachRawTracepoint, attachTracepoint, EventAttachment, Link, UnsupportedError } from '../../lib'
import { taskFdQuery } from '../../syscalls/bpf-link'
import { NR } from '../../syscalls/numbers'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import { asLink, bpftoolLink, failing, linkExists, withoutEventLinks } from '../support/attach/links'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { NR_SOCKET, openSocket } from '../support/attach/trigger'
import { builtLibrary } from '../support/built'
import { hasFeature, needs, requireFeature, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { runInChild } from '../support/run'
import { useTracefs, withoutTracefs } from '../support/tracefs'

/** What runs in processes of its own is compiled before. */
function compileFirst(): void {
  before(function () {
    this.timeout(300_000)
    builtLibrary()
  })
}

describe('attachTracepoint', () => {
  const stage = useStage()
  useTracefs()
  compileFirst()

  beforeEach(function () {
    requireAttach(this, 'tracepoint')
  })

  /** struct trace_event_raw_sys_enter: 8 bytes, long id, args. */
  const sockets = () => new HookCode().onlyProcess().field(7, 8).add(0x55, 7, 0, 0, NR_SOCKET, 'out')
  const counting = () =>
    stage.program({ type: 'tracepoint', name: 'count', code: sockets().count(stage.counters.fd).end() })

  it('runs the program at the tracepoint until it is closed', async function () {
    requireFeature(this, 'bpfCookie')
    const program = counting()
    const link = asLink(stage.using(attachTracepoint(program, 'raw_syscalls', 'sys_enter')))
    openSocket()
    openSocket()
    expect(stage.count()).to.equal(2)
    expect(link).to.include({ type: 'perf_event', programId: program.id })
    expect(link.description).to.equal(`Link#${link.id} tracepoint raw_syscalls:sys_enter`)
    const told = bpftoolLink(link.id)
    if (told !== undefined) expect(told).to.include({ type: 'perf_event', prog_id: program.id })
    expect(linkExists(link.id)).to.equal(true)
    await stage.detach(link, openSocket)
    expect(linkExists(link.id)).to.equal(false)
  })

  it('gives the program its cookie: one program, several tracepoints', async function () {
    requireFeature(this, 'bpfCookie')
    const program = stage.program({ type: 'tracepoint', code: sockets().countByCookie(stage.counters.fd).end() })
    const enter = stage.using(attachTracepoint(program, 'raw_syscalls', 'sys_enter', { cookie: 3 }))
    const exit = stage.using(attachTracepoint(program, 'raw_syscalls', 'sys_exit', { cookie: 4n }))
    openSocket()
    openSocket()
    expect([0, 3, 4].map((i) => stage.count(i))).to.deep.equal([0, 2, 2])
    await stage.detach(enter, openSocket, 3)
    await stage.detach(exit, openSocket, 4)
  })

  /** What an older kernel does, whichever this one is: the program belongs to the event itself. */
  it('without links to events, the event owns the program', async () => {
    const run = async () => {
      const program = counting()
      const attached = stage.using(attachTracepoint(program, 'raw_syscalls', 'sys_enter'))
      expect(attached).to.be.instanceOf(EventAttachment)
      const event = attached as EventAttachment
      openSocket()
      expect(stage.count()).to.equal(1)
      expect(event.info()).to.deep.equal({ type: 'perf_event', programId: program.id, kind: 'tracepoint' })
      expect(taskFdQuery(process.pid, event.fd)).to.include({ progId: program.id, name: 'sys_enter' })
      expect(failing(() => event.update(program))).to.include({ code: 'EEXIST', command: 'PERF_EVENT_IOC_SET_BPF' })
      const cookie = () => attachTracepoint(program, 'raw_syscalls', 'sys_enter', { cookie: 1 })
      expect(failing(cookie)).to.be.instanceOf(UnsupportedError).and.to.include({ since: '5.15' })
      await stage.detach(event, openSocket)
      expect(event.closed).to.equal(true)
    }
    await (hasFeature('bpfCookie') === true ? recorded(run, withoutEventLinks) : run())
  })

  it('refuses what there is not, and names what is near', () => {
    const program = counting()
    const error = (category: string, name: string) => failing(() => attachTracepoint(program, category, name))
    const slip = error('raw_syscalls', 'sys_entr')
    expect(slip).to.include({ name: 'KernelError', code: 'ENOENT', syscall: 'open' })
    expect(slip.message).to.match(
      /^ENOENT: open on tracepoint raw_syscalls:sys_entr: there is no 'sys_entr' in this category: did you mean 'sys_enter'\? \(\S+\/events\/raw_syscalls lists/,
    )
    expect(error('raw_syscall', 'sys_enter').message).to.include("did you mean 'raw_syscalls'?")
    // A file of the category's, where an event would be a folder.
    expect(error('raw_syscalls', 'filter').message).to.match(/^ENOTDIR: .*: there is no 'filter' in this category/)
    // Who knows the name only is told where it is.
    expect(error('events', 'sched_switch').message).to.include("did you mean 'sched'?")
    expect(error('zzzzzz', 'zzzzzz').message).to.match(/there is no category 'zzzzzz' \(\S+\/events lists them\)$/)
    for (const part of ['', '..', 'a/b', 'a\0b']) {
      expect(error('sched', part)).to.be.instanceOf(RangeError)
      expect(error(part, 'sched_switch')).to.be.instanceOf(RangeError)
    }
    expect(error('sched', 1 as never)).to.be.instanceOf(TypeError)
  })

  it('says how category and name are written apart', () => {
    const program = counting()
    const error = (...names: string[]) => failing(() => attachTracepoint(program, ...(names as [string, string])))
    const apart = "category and name apart: attachTracepoint(program, 'syscalls', 'sys_enter_execve')"
    for (const names of [
      ['syscalls/sys_enter_execve'],
      ['syscalls:sys_enter_execve'],
      ['tracepoint/syscalls/sys_enter_execve'],
      ['syscalls/sys_enter_execve', 'sys_enter_execve'],
    ]) {
      expect(error(...names)).to.be.instanceOf(RangeError)
      expect(error(...names).message).to.include(`cannot be the category of a tracepoint: ${apart}`)
    }
    expect(error('syscalls').message).to.equal('the name of a tracepoint is a string, not undefined')
  })

  it('refuses another type of program before an event is opened', () => {
    const program = stage.program({ type: 'raw_tracepoint', name: 'other', code: new HookCode().end() })
    recorded((recording) => {
      const error = failing(() => attachTracepoint(program, 'raw_syscalls', 'sys_enter'))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.match(
        /takes a program of type tracepoint: Program#\d+ 'other' is of type raw_tracepoint$/,
      )
      expect(recording.calls.filter(({ nr }) => nr === NR.perf_event_open)).to.deep.equal([])
      expect(recording.bpf(uapi.BPF_LINK_CREATE)).to.deep.equal([])
    })
    const right = counting()
    for (const cookie of [-1, 2 ** 53, 1n << 64n, 1.5]) {
      const wrong = () => attachTracepoint(right, 'raw_syscalls', 'sys_enter', { cookie })
      expect(failing(wrong), `${cookie}`).to.be.instanceOf(RangeError)
    }
  })

  it('says that the program reads beyond the record, and leaves nothing attached', () => {
    const code = new HookCode().field(7, 4000).end()
    const program = stage.program({ type: 'tracepoint', code })
    const error = failing(() => attachTracepoint(program, 'raw_syscalls', 'sys_enter'))
    expect(error).to.include({ code: 'EACCES' })
    expect(error.message).to.include('reads beyond what this tracepoint records')
  })

  /** What is said where `prepare` has mounted what there is, in a namespace of its own. */
  function saidAfter(prepare: string): string {
    const script = `
      const { attachTracepoint, bpf, Program } = require('./lib')
      const program = Program.load({ type: 'tracepoint', code: bpf\`r0 = 0\nexit\` })
      attachTracepoint(program, 'raw_syscalls', 'sys_enter')`
    const node = [process.execPath, '-e', `try { ${script} } catch (error) { console.log(error.message) }`]
    const [command = '', ...args] = withoutTracefs(['sh', '-c', `${prepare} exec "$@"`, 'sh', ...node])
    return execFileSync(command, args, { cwd: builtLibrary(), encoding: 'utf8' }).trim()
  }

  it('says how to mount tracefs', () => {
    expect(saidAfter('')).to.equal(
      'ENOENT: open on tracepoint raw_syscalls:sys_enter: tracefs is not mounted:  mount -t tracefs tracefs /sys/kernel/tracing',
    )
  })

  it('says that there are no tracepoints where they would be', function () {
    needs(this, readFileSync('/proc/filesystems', 'latin1').includes('\tdebugfs\n'), 'a kernel with debugfs')
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    try {
      // As with a kernel without tracing: debugfs is there, and nothing of the kind in it.
      const said = saidAfter(`mount -t debugfs none ${folder} && mount -t tmpfs none ${folder}/tracing &&`)
      expect(said).to.equal(
        `ENOENT: open on tracepoint raw_syscalls:sys_enter: there are no tracepoints in ${folder}/tracing: the kernel was built without tracing`,
      )
    } finally {
      rmdirSync(folder)
    }
  })
})

describe('attachRawTracepoint', () => {
  const stage = useStage()

  beforeEach(function () {
    requireRoot(this)
    requireAttach(this, 'raw_tracepoint')
  })

  /** sys_enter(struct pt_regs *regs, long id) */
  const sockets = () => new HookCode().onlyProcess().argument(7, 1).add(0x55, 7, 0, 0, NR_SOCKET, 'out')
  const counting = () => stage.program({ type: 'raw_tracepoint', code: sockets().count(stage.counters.fd).end() })

  it('runs the program at the tracepoint until it is closed', async () => {
    const program = counting()
    const link = stage.using(attachRawTracepoint(program, 'sys_enter'))
    openSocket()
    openSocket()
    expect(stage.count()).to.equal(2)
    expect(link).to.be.instanceOf(Link)
    expect(link.info()).to.include({ type: 'raw_tracepoint', name: 'sys_enter', programId: program.id })
    expect(taskFdQuery(process.pid, link.fd)).to.include({
      progId: program.id,
      fdType: uapi.BPF_FD_TYPE_RAW_TRACEPOINT,
      name: 'sys_enter',
    })
    const told = bpftoolLink(link.id)
    if (told !== undefined) expect(told).to.include({ type: 'raw_tracepoint', tp_name: 'sys_enter' })
    await stage.detach(link, openSocket)
    expect(linkExists(link.id)).to.equal(false)
  })

  it('gives the program its cookie, or says that the kernel knows none', async () => {
    const load = () => stage.program({ type: 'raw_tracepoint', code: sockets().countByCookie(stage.counters.fd).end() })
    if (hasFeature('helper', 'bpf_get_attach_cookie', 'raw_tracepoint') !== true) {
      const program = counting()
      const error = failing(() => attachRawTracepoint(program, 'sys_enter', { cookie: 3 }))
      expect(error).to.include({ code: 'EINVAL' })
      expect(error.message).to.include('cookies are not known here: Linux 6.10')
      return
    }
    const link = stage.using(attachRawTracepoint(load(), 'sys_enter', { cookie: 3 }))
    openSocket()
    expect([0, 3].map((i) => stage.count(i))).to.deep.equal([0, 1])
    await stage.detach(link, openSocket, 3)
  })

  it('refuses what there is not, and names what is near, without tracefs', function () {
    requireFeature(this, 'kernelBtf')
    const program = counting()
    const error = failing(() => attachRawTracepoint(program, 'sys_entr'))
    expect(error).to.include({ code: 'ENOENT', command: 'BPF_RAW_TRACEPOINT_OPEN' })
    expect(error.message).to.include("the kernel has no tracepoint 'sys_entr': did you mean 'sys_enter'?")
    expect(failing(() => attachRawTracepoint(program, ''))).to.be.instanceOf(RangeError)
  })

  it('refuses what cannot be a name before the kernel is asked', () => {
    const program = stage.program({ type: 'raw_tracepoint', code: new HookCode().end() })
    recorded((recording) => {
      const error = (name: unknown) => failing(() => attachRawTracepoint(program, name as string))
      for (const wrong of [undefined, null, 5]) {
        expect(error(wrong)).to.be.instanceOf(TypeError)
        expect(error(wrong).message).to.contain('the name of a tracepoint is a string')
      }
      for (const wrong of ['', 'a/b', 'a\0b']) expect(error(wrong)).to.be.instanceOf(RangeError)
      expect(error('sched/sched_switch').message).to.contain("those have no category, 'sched_switch' will do")
      expect(recording.bpf(uapi.BPF_RAW_TRACEPOINT_OPEN)).to.deep.equal([])
    })
  })

  it('refuses another type of program, and one that reads more than there is', () => {
    const other = stage.program({ type: 'tracepoint', code: new HookCode().end() })
    expect(failing(() => attachRawTracepoint(other, 'sys_enter'))).to.be.instanceOf(TypeError)
    const greedy = stage.program({ type: 'raw_tracepoint', code: new HookCode().argument(7, 8).end() })
    const error = failing(() => attachRawTracepoint(greedy, 'sys_enter'))
    expect(error).to.include({ code: 'EINVAL' })
    expect(error.message).to.include('reads more arguments than this tracepoint has')
  })

  it('without the right to it, says which is missing', async () => {
    const script = `
      const { attachRawTracepoint, bpf, Program } = require('./lib')
      try {
        const program = Program.load({ type: 'raw_tracepoint', code: bpf\`r0 = 0\nexit\` })
        attachRawTracepoint(program, 'sys_enter')
      } catch (error) { console.log(error.code, error.message) }`
    const { stdout } = await runInChild(script, { without: ['sys_admin', 'perfmon', 'bpf'] })
    expect(stdout).to.match(/^EPERM .*CAP_BPF/)
  })
})
