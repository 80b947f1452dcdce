import { statSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import { expect } from 'chai'
import { type AttachName, BpfObject, type Global } from '../../lib'
import { requireAttach } from '../support/attach/require'
import { errorOf } from '../support/error'
import { needs } from '../support/kernel'
import { useTracefs } from '../support/tracefs'
import { fixture, needsKernel } from './kit'

type Globals = Record<
  'in_tracepoint' | 'in_raw_tracepoint' | 'in_kprobe' | 'in_kretprobe' | 'in_fentry' | 'in_tp_btf' | 'in_uprobe',
  bigint
> & { device: bigint; inode: bigint; process: number }

/** How each of the programs is attached, as `features` has it. */
const KINDS: Readonly<Record<string, AttachName>> = {
  tracepoint: 'tracepoint',
  raw_tracepoint: 'raw_tracepoint',
  kprobe: 'kprobe',
  kretprobe: 'kprobe',
  fentry: 'fentry',
  tp_btf: 'tp_btf',
  uprobe: 'uprobe',
}

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
  this.timeout(60_000)
  useTracefs()

  beforeEach(function () {
    needsKernel(this)
    needs(this, process.arch === 'x64', 'x86: the sections of the fixture name its system calls')
  })

  it('attaches a program of a session to both ends of a function', function () {
    requireAttach(this, 'uprobe_session')
    const object = only('uprobe')
    // As if its section were called so.
    Object.assign(object.programs.uprobe_program ?? {}, {
      kind: 'uprobe.session',
      expectedAttachType: 'trace_uprobe_session',
    })
    using app = object.load()
    using _ = app.attach()
    trigger()
    const before = app.globals.in_uprobe.value
    trigger()
    expect(app.globals.in_uprobe.value - before).to.equal(2n)
  })

  for (const [kind, feature] of Object.entries(KINDS)) {
    it(`attaches a program in section ${kind}, and no other`, function () {
      requireAttach(this, feature)
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
      else expect(many).to.equal(1n)
      attached.close()
      const last = count()
      trigger()
      expect(count()).to.equal(last)
    })
  }

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
