/** Programs that decide by maps of maps, while TypeScript replaces the inner maps under them. */
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { HashMap, HashOfMaps, u32 } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { linkCreate, progTestRun, rawTracepointOpen } from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { CHOOSE_ID, ENTRY_ID, functionInfo, loadFunctionBtf } from '../support/attach/function-btf'
import { HookCode } from '../support/attach/hook-code'
import { libc, openProbe, setProgram, symbolOffset } from '../support/attach/probes'
import { requireAttach, requireLinux, requireLsm } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET, AF_INET6, AF_UNIX, NR_SOCKET, openSocket, SOCKET_OPENER } from '../support/attach/trigger'
import { builtLibrary } from '../support/built'
import { SCALE } from '../support/compiled'
import { eventually, mapIds } from '../support/kernel'

const EPERM = 1
const EACCES = 13
const EMFILE = 24
const FAMILY = 0
const { pid } = process
const SLEEPABLE = 'maps of maps in sleepable programs'

describe('an attached program that decides by a map of maps', function () {
  this.timeout(300_000)
  const stage = useStage()

  /** By process the errors that sockets of a family end with: one inner map a process. */
  const policy = () =>
    stage.using(
      HashOfMaps.create({
        name: 'policy',
        key: u32,
        maxEntries: 4,
        inner: HashMap.spec({ name: 'errors', key: u32, value: u32, maxEntries: 8 }),
      }),
    )

  const sockets = () => [AF_INET, AF_INET6, AF_UNIX].map(openSocket)

  /** Returns the error of the policy, and counts those. */
  function enforcing(outer: number): HookCode {
    return new HookCode()
      .argument(8, FAMILY)
      .verdict(outer, 8)
      .add(0x15, 7, 0, 0, 0, 'out') // if r7 == 0
      .count(stage.counters.fd)
      .endWithError()
  }

  function attachLsm(outer: HashOfMaps<number, HashMap<number, number>>, prog_flags = 0): number {
    const place = {
      expected_attach_type: uapi.BPF_LSM_MAC,
      attach_btf_id: kernelTypeId('func', 'bpf_lsm_socket_create'),
    }
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_LSM, ...place, prog_flags }, enforcing(outer.fd))
    return stage.own(rawTracepointOpen({ prog_fd }))
  }

  function attachTracing(expected_attach_type: number, name: string, code: HookCode, prog_flags = 0): number {
    const place = { expected_attach_type, attach_btf_id: kernelTypeId('func', name), prog_flags }
    return stage.load({ prog_type: uapi.BPF_PROG_TYPE_TRACING, ...place }, code)
  }

  /** One policy after the other, each in an inner map of its own. */
  async function itEnforces(outer: HashOfMaps<number, HashMap<number, number>>, link: number): Promise<void> {
    expect(sockets(), 'no policy').to.deep.equal(['', '', ''])
    outer.set(pid, [[AF_INET, EACCES]])
    expect(sockets(), 'a policy').to.deep.equal(['EACCES', '', ''])
    const first = outer.idOf(pid)
    outer.set(pid, [
      [AF_INET6, EPERM],
      [AF_UNIX, EMFILE],
    ])
    expect(sockets(), 'another policy').to.deep.equal(['', 'EPERM', 'EMFILE'])
    const second = outer.idOf(pid)
    await eventually(() => !mapIds().some((id) => id === first), 'the first policy is gone')
    outer.use(pid, (inner) => inner.set(AF_INET, EPERM).delete(AF_UNIX))
    expect(sockets(), 'a policy that was changed').to.deep.equal(['EPERM', 'EPERM', ''])
    outer.set(pid + 1, [[AF_UNIX, EPERM]])
    expect(sockets(), "another process's policy").to.deep.equal(['EPERM', 'EPERM', ''])
    await outer.setAsync(pid, [])
    expect(sockets(), 'an empty policy').to.deep.equal(['', '', ''])
    outer.set(pid, [[AF_INET6, EACCES]])
    expect(sockets(), 'a policy').to.deep.equal(['', 'EACCES', ''])
    expect(outer.delete(pid)).to.equal(true)
    expect(sockets(), 'no policy any more').to.deep.equal(['', '', ''])
    expect(stage.count()).to.equal(1 + 2 + 2 + 2 + 1)
    outer.set(pid, [[AF_INET, EACCES]])
    expect(openSocket(AF_INET)).to.equal('EACCES')
    stage.close(link)
    expect(sockets(), 'detached').to.deep.equal(['', '', ''])
    expect(stage.count()).to.equal(9)
    await eventually(() => !mapIds().some((id) => id === second), 'the second policy is gone')
  }

  /** Inner maps come and go, and each goes when the next is there: a program that may sleep delays that, and no more. */
  async function itFindsWhatIsThere(outer: HashOfMaps<number, HashMap<number, number>>, verdict: () => number) {
    expect(verdict()).to.equal(0)
    const ids: (number | undefined)[] = []
    for (const error of [7, 8, 9]) {
      outer.set(pid, [[AF_INET, error]])
      ids.push(outer.idOf(pid))
      expect(verdict()).to.equal(error)
    }
    expect(new Set(ids).size).to.equal(3)
    const last = ids.pop()
    await eventually(() => !mapIds().some((id) => ids.includes(id)), 'the replaced maps are gone')
    expect(mapIds()).to.include(last)
    outer.delete(pid)
    expect(verdict()).to.equal(0)
    await eventually(() => !mapIds().some((id) => id === last), 'the deleted map is gone')
  }

  it('lsm: denies sockets as the inner map of the process says', async function () {
    requireLsm(this, 'lsm')
    const outer = policy()
    await itEnforces(outer, attachLsm(outer))
  })

  it('lsm.s: a program that may sleep does, too', async function () {
    requireLsm(this, 'lsm')
    requireLinux(this, 5, 12, SLEEPABLE)
    const outer = policy()
    await itEnforces(outer, attachLsm(outer, uapi.BPF_F_SLEEPABLE))
  })

  it('fmod_ret: does, too', async function () {
    requireAttach(this, 'fmod_ret')
    const outer = policy()
    const prog_fd = attachTracing(uapi.BPF_MODIFY_RETURN, 'security_socket_create', enforcing(outer.fd))
    await itEnforces(outer, stage.own(rawTracepointOpen({ prog_fd })))
  })

  for (const [name, prog_flags] of [
    ['lsm', 0],
    ['lsm.s', uapi.BPF_F_SLEEPABLE],
  ] as const) {
    it(`${name}: no socket slips through while one policy takes the place of another`, async function () {
      requireLsm(this, 'lsm')
      if (prog_flags === uapi.BPF_F_SLEEPABLE) requireLinux(this, 5, 12, SLEEPABLE)
      const outer = policy()
      outer.set(pid, [[AF_INET, EACCES]])
      const link = attachLsm(outer, prog_flags)
      const stop = new Int32Array(new SharedArrayBuffer(4))
      const runner = new Worker(SOCKET_OPENER, {
        eval: true,
        workerData: { library: builtLibrary(), stop: stop.buffer },
      })
      const message = () =>
        new Promise<unknown>((resolve, reject) => {
          runner.once('message', resolve)
          runner.once('error', reject)
        })
      try {
        expect(await message()).to.equal('running')
        const ended = message()
        const ids = new Set<number | undefined>()
        for (let i = 0; i < 200 * SCALE; i++) {
          const error = i % 2 === 0 ? EPERM : EACCES
          if (i % 4 < 2) outer.set(pid, [[AF_INET, error]])
          else await outer.setAsync(pid, [[AF_INET, error]])
          ids.add(outer.idOf(pid))
        }
        Atomics.store(stop, 0, 1)
        const results = (await ended) as Map<number, number>
        expect([...results.keys()].sort((a, b) => a - b)).to.deep.equal([EPERM, EACCES])
        expect([...results.values()].reduce((a, b) => a + b)).to.equal(stage.count())
        stage.close(link)
        expect(openSocket()).to.equal('')
        outer.delete(pid)
        await eventually(() => !mapIds().some((id) => ids.has(id)), 'all policies are gone')
      } finally {
        Atomics.store(stop, 0, 1)
        await runner.terminate()
      }
    })
  }

  it('fentry: counts as the inner map of the process says', async function () {
    requireAttach(this, 'fentry')
    const outer = policy()
    const code = new HookCode()
      .argument(8, FAMILY)
      .verdict(outer.fd, 8)
      .add(0x15, 7, 0, 0, 0, 'out')
      .count(stage.counters.fd)
      .end()
    const prog_fd = attachTracing(uapi.BPF_TRACE_FENTRY, 'security_socket_create', code)
    const link = stage.own(rawTracepointOpen({ prog_fd }))
    const counted = () => {
      stage.counters.fill(0n)
      sockets()
      return stage.count()
    }
    expect(counted()).to.equal(0)
    outer.set(pid, [
      [AF_INET, 1],
      [AF_UNIX, 1],
    ])
    expect(counted()).to.equal(2)
    outer.set(pid, [[AF_INET6, 1]])
    expect(counted()).to.equal(1)
    outer.delete(pid)
    expect(counted()).to.equal(0)
    outer.set(pid, [[AF_INET, 1]])
    await stage.detach(link, openSocket)
  })

  it('tp_btf: counts the system calls that the inner map of the process names', async function () {
    requireAttach(this, 'tp_btf')
    const outer = policy()
    const code = new HookCode().argument(8, 1).verdict(outer.fd, 8).add(0x15, 7, 0, 0, 0, 'out')
    const prog_fd = stage.load(
      {
        prog_type: uapi.BPF_PROG_TYPE_TRACING,
        expected_attach_type: uapi.BPF_TRACE_RAW_TP,
        attach_btf_id: kernelTypeId('typedef', 'btf_trace_sys_enter'),
      },
      code.count(stage.counters.fd).end(),
    )
    const link = stage.own(rawTracepointOpen({ prog_fd }))
    sockets()
    expect(stage.count()).to.equal(0)
    outer.set(pid, [[NR_SOCKET, 1]])
    sockets()
    expect(stage.count()).to.equal(3)
    outer.set(pid, [[NR_SOCKET + 10_000, 1]])
    sockets()
    expect(stage.count()).to.equal(3)
    outer.set(pid, [[NR_SOCKET, 1]])
    await stage.detach(link, openSocket)
  })

  it('uprobe.s: a program that may sleep finds an inner map no longer than it is there', async function () {
    requireAttach(this, 'uprobe')
    requireLinux(this, 6, 0, 'sleepable programs at uprobes')
    const outer = policy()
    const path = libc()
    const code = new HookCode().add(0xb7, 8, 0, 0, AF_INET).verdict(outer.fd, 8).add(0x15, 7, 0, 0, 0, 'out')
    const prog_fd = stage.load(
      { prog_type: uapi.BPF_PROG_TYPE_KPROBE, prog_flags: uapi.BPF_F_SLEEPABLE },
      code.record(stage.counters.fd, 1, 7).count(stage.counters.fd).end(),
    )
    const event = stage.own(openProbe({ kind: 'uprobe', name: path, offset: symbolOffset(path, 'getppid') }))
    setProgram(event, prog_fd)
    /** Node calls getppid() of libc each time. */
    const verdict = () => {
      stage.counters.set(1, 0n)
      expect(process.ppid).to.be.above(0)
      return stage.count(1)
    }
    await itFindsWhatIsThere(outer, verdict)
    expect(stage.count()).to.equal(3)
    outer.set(pid, [[AF_INET, 7]])
    expect(verdict()).to.equal(7)
    await stage.detach(event, verdict)
  })

  it('fentry.s: a program that may sleep holds an inner map no longer than it runs', async function () {
    requireAttach(this, 'fentry')
    requireLinux(this, 6, 3, 'sleepable programs at bpf_fentry_test1')
    const outer = policy()
    const code = new HookCode()
      .add(0xb7, 8, 0, 0, AF_INET)
      .verdict(outer.fd, 8)
      .record(stage.counters.fd, 1, 7)
      .count(stage.counters.fd)
      .end()
    const prog_fd = attachTracing(uapi.BPF_TRACE_FENTRY, 'bpf_fentry_test1', code, uapi.BPF_F_SLEEPABLE)
    const link = stage.own(linkCreate({ prog_fd, attach_type: uapi.BPF_TRACE_FENTRY }))
    /** The kernel calls its test functions. */
    const verdict = () => {
      progTestRun({ prog_fd })
      return stage.count(1)
    }
    await itFindsWhatIsThere(outer, verdict)
    expect(stage.count()).to.equal(5)
    await stage.detach(link, verdict)
  })

  it('freplace: a function that stands in for another chooses as the inner map says', async function () {
    requireAttach(this, 'freplace')
    const outer = policy()
    const btf = stage.own(loadFunctionBtf())
    const entry = new HookCode().add(0x85, 0, uapi.BPF_PSEUDO_CALL, 0, 1).add(0x95).end(2)
    const target = stage.load(
      { prog_type: uapi.BPF_PROG_TYPE_XDP, ...functionInfo(btf, { 0: ENTRY_ID, 3: CHOOSE_ID }) },
      entry,
    )
    const run = () => progTestRun({ prog_fd: target, data_in: new Uint8Array(64) }).retval
    expect(run()).to.equal(2)
    const place = { attach_prog_fd: target, attach_btf_id: CHOOSE_ID, ...functionInfo(btf, { 0: CHOOSE_ID }) }
    const code = new HookCode()
      .add(0xb7, 8, 0, 0, AF_INET)
      .verdict(outer.fd, 8, 'all')
      .count(stage.counters.fd)
      .endWith(7)
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_EXT, ...place }, code)
    const link = stage.own(rawTracepointOpen({ prog_fd }))
    expect(run()).to.equal(0)
    outer.set(0, [[AF_INET, 42]])
    expect(run()).to.equal(42)
    outer.set(0, [[AF_INET, 43]])
    expect(run()).to.equal(43)
    outer.delete(0)
    expect([run(), stage.count()]).to.deep.equal([0, 4])
    stage.close(link)
    expect([run(), stage.count()]).to.deep.equal([2, 4])
  })
})
