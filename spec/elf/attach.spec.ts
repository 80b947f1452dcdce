import { statSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import { expect } from 'chai'
import { type AttachName, BpfObject, type Global, IteratorLink } from '../../lib'
import { requireAttach, requireLsm } from '../support/attach/require'
import { errorOf } from '../support/error'
import { needs } from '../support/kernel'
import { useTracefs } from '../support/tracefs'
import { fixture, needsKernel, PACKET } from './kit'

/** How each of the programs is attached, as `features` has it. */
const KINDS = {
  tracepoint: 'tracepoint',
  raw_tracepoint: 'raw_tracepoint',
  kprobe: 'kprobe',
  kretprobe: 'kprobe',
  ksyscall: 'kprobe',
  kretsyscall: 'kprobe',
  kprobe_multi: 'kprobe_multi',
  kretprobe_multi: 'kprobe_multi',
  kprobe_session: 'kprobe_session',
  fentry: 'fentry',
  fexit: 'fexit',
  fmod_ret: 'fmod_ret',
  lsm: 'lsm',
  tp_btf: 'tp_btf',
  uprobe: 'uprobe',
  uretprobe: 'uprobe',
  uprobe_multi: 'uprobe_multi',
  uretprobe_multi: 'uprobe_multi',
  uprobe_session: 'uprobe_session',
} as const satisfies Readonly<Record<string, AttachName>>

type Globals = Record<`in_${keyof typeof KINDS | 'iter'}`, bigint> & { device: bigint; inode: bigint; process: number }

/** The object, of which these programs are loaded. */
function only(...kinds: string[]) {
  const object = BpfObject.open<{ globals: Globals }>(fixture('attach'))
  const { dev, ino } = statSync('/proc/self/ns/pid', { bigint: true })
  object.globals.device.value = dev
  object.globals.inode.value = ino
  object.globals.process.value = process.pid
  for (const program of Object.values(object.programs)) {
    program.autoload = kinds.some((kind) => program.name === `${kind}_program`) || program.name === 'nowhere'
  }
  return object
}

/** What the programs are for: getppid(2), and security_task_setnice of setpriority(2). */
function trigger(): void {
  expect(process.ppid).to.be.at.least(0)
  setPriority(getPriority())
}

describe('attach() of a loaded object', function () {
  this.timeout(300_000)
  useTracefs()

  beforeEach(function () {
    needsKernel(this)
    needs(this, process.arch === 'x64', 'x86: the sections of the fixture name its system calls')
  })

  for (const [kind, feature] of Object.entries(KINDS)) {
    it(`attaches a program in section ${kind}, and no other`, function () {
      if (feature === 'lsm') requireLsm(this, feature)
      else requireAttach(this, feature)
      using app = only(kind).load()
      const count = () => (app.globals as Record<string, Global>)[`in_${kind}`]?.value as bigint
      trigger()
      expect(count()).to.equal(0n)
      using attached = app.attach()
      expect(Object.keys(attached.links)).to.deep.equal([`${kind}_program`])
      trigger()
      const many = count()
      // Those that are for all system calls have seen others, too.
      if (feature === 'raw_tracepoint' || feature === 'tp_btf') expect(many > 1n).to.equal(true)
      // Programs of a session are called at both ends of a function.
      else expect(many).to.equal(/session/.test(feature) ? 2n : 1n)
      attached.close()
      const last = count()
      trigger()
      expect(count()).to.equal(last)
    })
  }

  it('attaches a program in section iter, which runs when it is read', function () {
    requireAttach(this, 'iter')
    using app = only('iter').load()
    using attached = app.attach()
    const link = attached.links.iter_program as IteratorLink
    expect(link).to.be.instanceOf(IteratorLink)
    expect(app.globals.in_iter.value).to.equal(0n)
    expect(link.read()).to.equal('')
    // Once for each map of the system, and at the end.
    expect(Number(app.globals.in_iter.value)).to.be.above(1)
  })

  it('attaches a program in section freplace in the place of a function of another program', function () {
    requireAttach(this, 'freplace')
    const open = (...names: string[]) => {
      const object = BpfObject.open(fixture('attach'))
      for (const program of Object.values(object.programs)) program.autoload = names.includes(program.name)
      return object
    }
    using other = open('caller').load()
    const { caller } = other.programs
    const run = () => caller?.run({ data: PACKET }).retval
    expect(run()).to.equal(7)
    const object = open('freplace_program')
    expect(errorOf(() => object.load()).message).to.match(/programs of type ext need attachTo: /)
    Object.assign(object.programs.freplace_program ?? {}, { attachTo: { program: caller, function: 'replaced' } })
    using app = object.load()
    expect(run()).to.equal(7)
    const attached = app.attach()
    expect(Object.keys(attached.links)).to.deep.equal(['freplace_program'])
    expect(run()).to.equal(42)
    attached.close()
    expect(run()).to.equal(7)
  })

  it('ends with the object', function () {
    requireAttach(this, 'tracepoint')
    const app = only('tracepoint').load()
    const attached = app.attach()
    app.close()
    expect(Object.values(attached.links).map(({ closed }) => closed)).to.deep.equal([true])
    expect(errorOf(() => app.attach()).name).to.equal('ClosedError')
  })

  it('leaves out what is not to be attached', function () {
    requireAttach(this, 'raw_tracepoint')
    const object = only('tracepoint', 'raw_tracepoint')
    for (const program of Object.values(object.programs)) {
      if (program.name === 'tracepoint_program') program.autoattach = false
    }
    using app = object.load()
    using attached = app.attach()
    expect(Object.keys(attached.links)).to.deep.equal(['raw_tracepoint_program'])
  })
})
