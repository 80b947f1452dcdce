import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { attachUsdt, BpfObject, bpf, type ElfError, type ObjectMap, Program, usdtProbes } from '../../lib'
import { requireAttach, requireLinux } from '../support/attach/require'
import { errorOf } from '../support/error'
import { linuxBefore, needs } from '../support/kernel'
import { fixture, needsKernel } from './kit'

type Globals = Record<'first' | 'second' | 'third' | 'fourth' | 'guarded', bigint> &
  Record<'ticks' | 'count' | 'beyond', number>

interface Shape {
  readonly globals: Globals
  readonly programs: Record<'on_tick' | 'on_guarded' | 'nowhere', Program>
}

describe('USDT probes', function () {
  this.timeout(300_000)
  let folder: string
  let target: string

  beforeEach(function () {
    needsKernel(this)
    needs(this, process.arch === 'x64', 'x86: the program with the probes is built for it')
    requireAttach(this, 'uprobe')
    folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-usdt-'))
    target = join(folder, 'target')
    copyFileSync(join(__dirname, '../fixtures/usdt.x86_64'), target)
    chmodSync(target, 0o755)
  })

  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true })
  })

  /** How often the program found its guarded probe on. */
  function run(): number {
    const { status, stdout, error } = spawnSync(target, { encoding: 'latin1' })
    if (error) throw error
    expect(status).to.equal(0)
    // It counts up from '0', beyond '9' too.
    return stdout.charCodeAt(0) - 48
  }

  const load = () => {
    const object = BpfObject.open<{
      globals: Globals
      programs: Record<'on_tick' | 'on_guarded' | 'nowhere', Program>
    }>(fixture('usdt'))
    object.programs.nowhere.autoload = false
    return object.load()
  }

  it('give their arguments to the programs of an object, at each place', () => {
    using app = load()
    using link = app.attachUsdt(app.programs.on_tick, target, 'demo', 'tick')
    expect(link.info().places).to.equal(2)
    run()
    const { ticks, first, second, third, fourth, count, beyond } = app.globals
    expect(ticks.value).to.equal(11)
    expect(first.value).to.equal(45n + 1000n)
    // A u8: 6 * 50 is 300.
    const bytes = Array.from({ length: 10 }, (_, i) => (i * 50) & 0xff)
    expect(second.value).to.equal(BigInt(bytes.reduce((a, b) => a + b) + 200))
    expect(third.value).to.equal(-9n * 10n - 5n)
    expect(fourth.value).to.equal(-7n * 11n)
    expect([count.value, beyond.value]).to.deep.equal([4, -2])
    link.close()
    run()
    expect(ticks.value).to.equal(11)
  })

  it('that are off are on as long as a program is attached', () => {
    using app = load()
    expect(run()).to.equal(0)
    expect(() => app.attachUsdt(app.programs.on_guarded, target, 'demo', 'guarded', { pids: 1 } as never)).to.throw(
      TypeError,
      "no option is called 'pids': did you mean 'pid'?",
    )
    const link = app.attachUsdt(app.programs.on_guarded, target, 'demo', 'guarded')
    expect(run()).to.equal(10)
    expect(app.globals.guarded.value).to.equal(45n << 40n)
    link.close()
    expect(run()).to.equal(0)
  })

  it('end with the object', () => {
    const app = load()
    app.attachUsdt(app.programs.on_guarded, target, 'demo', 'guarded')
    app.close()
    expect(run()).to.equal(0)
  })

  it('leave their numbers to those that come later, and tell when there are no more', () => {
    const object = BpfObject.open<Shape>(fixture('usdt'))
    object.programs.nowhere.autoload = false
    const specs = object.maps.__bpf_usdt_specs as ObjectMap
    // One each of the two places.
    specs.maxEntries = 4
    using app = object.load()
    const attach = () => app.attachUsdt(app.programs.on_tick, target, 'demo', 'tick')
    for (let i = 0; i < 3; i++) attach().close()
    using first = attach()
    using _ = attach()
    run()
    expect(app.globals.first.value).to.equal(2n * 1045n)
    expect(errorOf(attach).message).to.include('__bpf_usdt_specs is full: BPF_USDT_MAX_SPEC_CNT is 4')
    first.close()
    attach().close()
  })

  it('are attached where a section says so, and else told what is missing', () => {
    const object = BpfObject.open<{ globals: Globals; programs: { nowhere: Program; on_tick: Program } }>(
      fixture('usdt'),
    )
    Object.assign(object.programs.on_tick, { target: `${target}:demo:tick` })
    object.programs.nowhere.autoattach = false
    using app = object.load()
    using attached = app.attach()
    expect(Object.keys(attached.links)).to.deep.equal(['on_tick'])
    run()
    expect(app.globals.ticks.value).to.equal(11)
    using whole = BpfObject.open(fixture('usdt')).load()
    expect(errorOf(() => whole.attach()).message).to.include('no-such-file-anywhere')
    expect(errorOf(() => app.attachUsdt(app.programs.on_tick, target, 'demo', 'beyond')).message).to.include(
      'probe demo:beyond has an argument where programs do not reach: 8f@%xmm0',
    )
    expect(() => app.attachUsdt(whole.programs.on_tick as Program, target, 'demo', 'tick')).to.throw(TypeError)
  })

  it('run programs of ours, which are given a cookie', function () {
    requireLinux(this, 5, 15, 'cookies')
    using app = load()
    const counter = app.globals.guarded
    using program = Program.load({
      type: 'kprobe',
      license: 'GPL',
      code: bpf`
        call bpf_get_attach_cookie
        r0 = 0
        exit`,
    })
    using link = attachUsdt(program, target, 'demo', 'guarded', { cookie: 7 })
    expect(`${link}`).to.equal(`usdt ${target}:demo:guarded`)
    expect(link.programId).to.equal(program.id)
    expect(run()).to.equal(10)
    expect(counter.value).to.equal(0n)
    const info = link.links.map((each) => each.info()) as { readonly cookie?: bigint }[]
    // Told from Linux 6.6 on.
    if (!linuxBefore(6, 6)) expect(info[0]?.cookie).to.equal(7n)
    expect((errorOf(() => attachUsdt(program, target, 'demo', 'gaurded')) as ElfError).message).to.include(
      "did you mean 'demo:guarded'?",
    )
    expect(() => attachUsdt(program, target, 'demo', undefined as never)).to.throw(
      TypeError,
      'the name of a USDT probe',
    )
    link.close()
    expect(run()).to.equal(0)
  })

  it('of an interpreter that was built by others are hit', function () {
    requireLinux(this, 5, 15, 'cookies')
    const python = '/usr/bin/python3'
    needs(
      this,
      existsSync(python) && usdtProbes(python).some(({ name }) => name === 'gc__start'),
      'a python3 with probes',
    )
    using app = load()
    // Its argument is the generation that is collected, and it has a semaphore.
    using _ = app.attachUsdt(app.programs.on_tick, python, 'python', 'gc__start')
    const { status } = spawnSync(python, ['-c', 'import gc\ngc.disable()\nfor i in range(5): gc.collect(2)'])
    expect(status).to.equal(0)
    expect(app.globals.ticks.value).to.be.at.least(5)
    expect(app.globals.first.value >= 10n).to.equal(true)
    expect(app.globals.count.value).to.equal(1)
  })
})
