import { inspect } from 'node:util'
import { expect } from 'chai'
import { attachPerfEvent, type EventLink, Link, type PerfEventOptions, PerfEvents } from '../../lib'
import { onlineCpuIds } from '../../lib/cpu/online'
import { closeFd } from '../../syscalls/fd'
import { NR } from '../../syscalls/numbers'
import { openFds } from '../map/kit'
import { HookCode } from '../support/attach/hook-code'
import { asLink, bpftoolLink, failing, linkExists, withoutEventLinks } from '../support/attach/links'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { builtLibrary } from '../support/built'
import { errorOf } from '../support/error'
import { eventually, hasFeature, mapIds, mountBpffs, requireFeature } from '../support/kernel'
import { recorded, type Sent } from '../support/recording-abi'
import { runInChild } from '../support/run'

const EMFILE = -24

/** Uses the CPU for a moment, so that a clock ticks in this process. */
function spin(ms = 20): void {
  const end = Date.now() + ms
  while (Date.now() < end);
}

describe('attachPerfEvent', () => {
  const stage = useStage()

  beforeEach(function () {
    requireAttach(this, 'perf_event')
  })

  const counting = () =>
    stage.program({
      type: 'perf_event',
      name: 'sample',
      code: new HookCode().onlyProcess().count(stage.counters.fd).end(),
    })

  /** Samples come as long as it is attached. */
  const sampled = () =>
    eventually(() => {
      spin()
      return stage.count() > 0
    }, 'a sample was counted')

  const everywhere = { software: 'cpu-clock', frequency: 1000 } as const

  it('runs the program on samples of all CPUs, until it is closed', async function () {
    requireFeature(this, 'bpfCookie')
    const program = counting()
    const events = stage.using(attachPerfEvent(program, everywhere)) as PerfEvents
    expect(events).to.be.instanceOf(PerfEvents)
    expect(events.events).to.have.lengthOf(onlineCpuIds().length)
    const links = events.events.map(asLink)
    for (const link of links) {
      const told = bpftoolLink(link.id)
      if (told !== undefined) expect(told).to.include({ type: 'perf_event', prog_id: program.id })
    }
    await sampled()
    expect(events.info()).to.include({ type: 'perf_event', programId: program.id })
    expect(events.toString()).to.equal(`perf_event cpu-clock on ${links.length} CPUs`)
    await stage.detach(events, spin)
    expect(events.closed).to.equal(true)
    expect(links.map(({ closed }) => closed)).to.not.include(false)
    expect(links.filter(({ id }) => linkExists(id))).to.deep.equal([])
  })

  it('one thread: also by the numbers of the event, and by period', async () => {
    const program = counting()
    // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK: nanoseconds.
    const options = { type: 1, config: 1n, period: 1_000_000, pid: process.pid }
    const event = stage.using(attachPerfEvent(program, options))
    expect(event.description).to.include(`perf_event type 1 config 0x1 of thread ${process.pid}`)
    await sampled()
    await stage.detach(event, spin)
  })

  it('one CPU: events that are counted one by one', async () => {
    // Each system call that takes long enough changes contexts: here by waiting.
    const program = stage.program({ type: 'perf_event', code: new HookCode().count(stage.counters.fd).end() })
    const [cpu = 0] = onlineCpuIds()
    const event = stage.using(attachPerfEvent(program, { software: 'context-switches', period: 1, cpu }))
    await eventually(() => stage.count() > 0, 'a context switch was counted')
    event.close()
    if (hasFeature('bpfCookie') === true) expect(asLink(event).closed).to.equal(true)
  })

  it('gives the program its cookie', async function () {
    requireFeature(this, 'bpfCookie')
    const code = new HookCode().onlyProcess().countByCookie(stage.counters.fd).end()
    const event = attachPerfEvent(stage.program({ type: 'perf_event', code }), {
      ...everywhere,
      pid: process.pid,
      cookie: 5,
    })
    stage.using(event)
    await eventually(() => {
      spin()
      return stage.count(5) > 0
    }, 'a sample was counted')
    await stage.detach(event, spin, 5)
  })

  it('without links to events, the events own the program', async () => {
    const run = async () => {
      const events = stage.using(attachPerfEvent(counting(), everywhere)) as PerfEvents
      expect(events.events.some((event) => event instanceof Link)).to.equal(false)
      await sampled()
      await stage.detach(events, spin)
    }
    await (hasFeature('bpfCookie') === true ? recorded(run, withoutEventLinks) : run())
  })

  it('where one of the CPUs fails, none is left', function () {
    if (onlineCpuIds().length < 2) return this.skip()
    const program = counting()
    const before = mapIds('link')
    let opened = 0
    const failSecond = ({ nr }: Sent) => (nr === NR.perf_event_open && ++opened === 2 ? EMFILE : undefined)
    recorded(() => {
      const error = failing(() => attachPerfEvent(program, everywhere))
      expect(error).to.include({ code: 'EMFILE', syscall: 'perf_event_open' })
      expect(opened).to.equal(2)
    }, failSecond)
    expect(mapIds('link').filter((id) => !before.includes(id))).to.deep.equal([])
  })

  it('ends all of its events, also where one was ended behind its back', function () {
    if (onlineCpuIds().length < 2) return this.skip()
    const program = counting()
    const fds = openFds()
    const events = attachPerfEvent(program, everywhere) as PerfEvents
    closeFd((events.events[0] as EventLink).fd)
    expect(errorOf(() => events.close())).to.include({ code: 'EBADF', syscall: 'close' })
    expect(openFds()).to.equal(fds)
    events.close()
  })

  it('refuses events, CPUs and threads that there are not', () => {
    const program = counting()
    const error = (options: object) => failing(() => attachPerfEvent(program, options as PerfEventOptions))
    expect(error({ ...everywhere, cpu: 100_000 }).message).to.match(/EINVAL.* this machine has no CPU 100000$|ENODEV/)
    expect(error({ ...everywhere, pid: 2 ** 23 })).to.include({ code: 'ESRCH' })
    expect(error({ type: 0x7fff_fff0, config: 0, period: 1 })).to.include({ code: 'ENOENT' })
    const fast = error({ software: 'cpu-clock', frequency: 2 ** 40 })
    expect(fast).to.include({ code: 'EINVAL', syscall: 'perf_event_open' })
    expect(fast.message).to.match(
      /: 1099511627776 times a second is more than kernel.perf_event_max_sample_rate allows \(\d+\)$/,
    )
  })

  it('refuses wrong arguments before the kernel is asked', () => {
    const program = counting()
    const other = stage.program({ type: 'kprobe', code: new HookCode().end() })
    recorded((recording) => {
      const error = (options: unknown) => failing(() => attachPerfEvent(program, options as PerfEventOptions))
      expect(error({ software: 'cpu-clok', period: 1 }).message).to.include("did you mean 'cpu-clock'?")
      for (const wrong of [
        { software: 'cpu-clock' },
        { software: 'cpu-clock', period: 1, frequency: 1 },
        { software: 'cpu-clock', type: 1, config: 0, period: 1 },
        { frequency: 1 },
        // A bigint of 0 is not 0, and the program would never be run.
        { software: 'cpu-clock', period: 0n },
        { software: 'cpu-clock', frequency: 99n },
        undefined,
      ]) {
        expect(error(wrong), inspect(wrong)).to.be.instanceOf(TypeError)
      }
      for (const wrong of [
        { period: 0 },
        { frequency: 1.5 },
        { period: 1, cpu: -1 },
        { period: 1, pid: 0 },
        // -1 for the kernel: every CPU, every thread.
        { period: 1, pid: 1, cpu: 2 ** 32 - 1 },
        { period: 1, pid: 2 ** 32 - 1, cpu: 0 },
      ]) {
        expect(error({ software: 'cpu-clock', ...wrong }), JSON.stringify(wrong)).to.be.instanceOf(RangeError)
      }
      expect(failing(() => attachPerfEvent(other, everywhere)).message).to.include('takes a program of type perf_event')
      expect(recording.calls.filter(({ nr }) => nr === NR.perf_event_open)).to.deep.equal([])
    })
  })

  it('without the right to it, names the setting and the capability', async function () {
    this.timeout(300_000)
    builtLibrary()
    const program = counting()
    const bpffs = mountBpffs()
    try {
      program.pin(`${bpffs.path}/sample`)
      const script = `
        const { attachPerfEvent, Program } = require('./lib')
        try {
          attachPerfEvent(Program.fromPin('${bpffs.path}/sample'), { software: 'cpu-clock', frequency: 99 })
        } catch (error) { console.log(error.code, error.message) }`
      const { stdout, stderr } = await runInChild(script, { without: ['sys_admin', 'perfmon'] })
      expect(stdout, stderr).to.match(
        /^(EACCES|EPERM) .*kernel\.perf_event_paranoid \(\d\) leaves events to CAP_PERFMON \(or CAP_SYS_ADMIN\); this process lacks CAP_PERFMON and CAP_SYS_ADMIN/,
      )
    } finally {
      bpffs.unmount()
    }
  })
})
