import { expect } from 'chai'
import { ArrayMap, assemble, bpf, KernelError, Program, u64, VerifierError } from '../../lib'
import { causeOf } from '../../lib/program/verifier-causes'
import { lastWords } from '../../lib/program/verifier-log'
import { errorOf } from '../support/error'
import { pending, requireRoot } from '../support/kernel'
import { returning } from './kit'
import { refusalOf } from './refused'

describe('VerifierError', function () {
  this.timeout(60_000)

  before(function () {
    requireRoot(this)
  })

  it('is a KernelError with the code of the refusal, and the program for its object', () => {
    const error = refusalOf(bpf`exit`)
    expect(error).to.be.instanceOf(KernelError)
    expect(error).to.include({ name: 'VerifierError', code: 'EACCES', errno: -13, syscall: 'bpf' })
    expect(error).to.include({ command: 'BPF_PROG_LOAD', object: "Program 'refused'" })
    expect(error.stack).to.include('verifier-error.spec')
  })

  it('carries the whole log, and shows its last lines', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `r1 = ${i}`).join('\n')
    const error = refusalOf(assemble(`${many}\nexit`))
    expect(error.log).to.match(/^(0: .*\n)?(; r1 = 0.*\n)?0: \(b7\) r1 = 0/)
    expect(error.log).to.include('4999: (b7) r1 = 4999')
    expect(error.log).to.include('R0 !read_ok')
    expect(error.message.split('\n').length).to.be.lessThan(15)
    expect(error.message).to.include('    R0 !read_ok')
  })

  it('points at the line of the template', () => {
    const error = refusalOf(bpf`
        r0 = 0
        r1 = 1          // from here on
        r0 = r5
        exit`)
    expect(error.instruction).to.deep.include({ index: 2, text: 'r0 = r5' })
    expect(error.instruction?.source).to.include({ line: 4, column: 9, text: 'r0 = r5' })
    expect(error.message).to.include('at instruction 2: r0 = r5\n  from line 4, column 9: r0 = r5\n')
  })

  it('knows the instruction of bytes as well, and of what is refused before it is followed', () => {
    const bytes = bpf`
        r0 = 0
        exit
        r0 = 1
        exit`.bytes()
    const { instruction } = refusalOf(bytes)
    expect(instruction).to.deep.equal({ index: 2, text: 'r0 = 1', source: undefined })
  })

  it('counts a constant of 64 bits as two', () => {
    const { instruction } = refusalOf(bpf`
        r1 = 0x1234567890 ll
        r0 = r9
        exit`)
    expect(instruction).to.deep.include({ index: 2, text: 'r0 = r9' })
    expect(instruction?.source?.line).to.equal(3)
  })

  it('stays one with what is said around it', () => {
    const error = refusalOf(bpf`exit`).within('loading the second program')
    expect(error).to.be.instanceOf(VerifierError)
    expect(error.message).to.include('loading the second program: r0 is what the program returns')
    expect((error as VerifierError).log).to.include('R0 !read_ok')
  })

  it('is not thrown where the verifier has not said a word', function () {
    const load = () => Program.load({ type: 'cgroup_sock', expectedAttachType: 'sk_lookup', code: returning(1) })
    expect(errorOf(load)).to.not.be.instanceOf(VerifierError)
    if (process.platform !== 'linux') pending(this, 'Linux')
  })

  it('does not come of values that the verifier knows to be in bounds', () => {
    using array = ArrayMap.create({ name: 'array', value: u64, maxEntries: 4 })
    const code = bpf`
        *(u32 *)(r10 - 4) = 1
        r1 = ${array} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
   out: r0 = 2
        exit`
    using program = Program.load({ type: 'xdp', code })
    expect(program.log).to.equal('')
  })
})

describe('the words of other kernels', () => {
  /** Of a refusal as a log has it, with the causes that are known for it. */
  const causeIn = (log: string): string | undefined => causeOf(lastWords(log).messages, { text: '', type: 'kprobe' })

  it('are understood: a size of 0 on the stack, as Linux 5.10 says it', () => {
    expect(causeIn('3: (85) call bpf_get_current_comm#16\ninvalid stack type R1 off=-16 access_size=0\n')).to.equal(
      'a size of 0 is not taken here',
    )
  })

  it('are not what is said of functions that were accepted', () => {
    const log = [
      '5: (95) exit',
      "Func#1 ('first') is safe for any args that match its prototype",
      'Validating second() func#2...',
      '6: R1=scalar() R10=fp0',
      'Arg#0 must be of a kind that nobody knows',
      'processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
    ].join('\n')
    expect(lastWords(log).messages).to.deep.equal(['Arg#0 must be of a kind that nobody knows'])
  })
})
