import { existsSync, readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { ArrayMap, assemble, bpf, KernelError, Program, u64, VerifierError } from '../../lib'
import { causeOf } from '../../lib/program/verifier-causes'
import { lastWords } from '../../lib/program/verifier-log'
import { errorOf } from '../support/error'
import { pending, requireRoot } from '../support/kernel'
import { returning } from './kit'
import { FROM_THE_START, refusalOf } from './refused'

describe('VerifierError', function () {
  this.timeout(300_000)

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
    expect(error.log).to.match(FROM_THE_START)
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

  it('is printed with each thing once: fields that the message tells are read by their names', () => {
    const error = refusalOf(bpf`
        *(u32 *)(r10 - 4) = 0
        r0 = *(u64 *)(r10 - 516)
        exit`)
    const shown = inspect(error)
    expect(error.hint).to.be.a('string')
    expect(shown.split(error.hint as string)).to.have.length(2)
    expect(shown)
      .to.match(/code: 'EACCES'/)
      .and.to.not.match(/\b(?:log|missing|instruction|done|object|hint): /)
    expect(JSON.parse(JSON.stringify(error))).to.deep.include({ code: 'EACCES', hint: error.hint, log: error.log })
    expect(error.instruction?.index).to.equal(1)
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

  it('are understood: a helper that lockdown forbids, of which the kernel says that there is none', () => {
    const isFree = () => readFileSync('/sys/kernel/security/lockdown', 'latin1').includes('[none]')
    const forbids = existsSync('/sys/kernel/security/lockdown') && isFree() ? '' : ', or lockdown forbids it'
    const words = (name: string) =>
      causeIn(`3: (85) call ${name}#36\nprogram of this type cannot use helper ${name}#36\n`)
    const other = 'is not for programs of type kprobe, or this kernel has it not'
    expect(words('bpf_probe_write_user')).to.match(new RegExp(`^bpf_probe_write_user ${other}${forbids}`))
    expect(words('bpf_redirect')).to.equal(`bpf_redirect ${other}`)
  })

  it('are understood: a helper that it has not got, as Linux 5.10 says it', () => {
    expect(causeIn('47: (85) call unknown#165\ninvalid func unknown#165\n')).to.match(
      /^this kernel \(Linux .*\) has no bpf_snprintf, which came with Linux 5\.13$/,
    )
    expect(causeIn('3: (85) call unknown#195896080\ninvalid func unknown#195896080\n')).to.match(
      /^what CO-RE asks for there, this kernel has not got; bpf_core_field_exists\(\) asks before/,
    )
  })

  /** As Linux 7.3 has it. */
  const REPORTED = [
    '4: (85) call bpf_copy_from_user#148',
    'sleepable helper bpf_copy_from_user#148 in non-sleepable prog',
    '',
    'Verification failed: Execution Context Safety: Operation is not allowed in this context',
    '',
    'Reason:',
    '  The operation sleepable helper bpf_copy_from_user#148 cannot be used in non-sleepable',
    '  program.',
    '',
    'At:',
    '  x @ bpf:7:7',
    '  Source context:',
    '  >>> 7 | call bpf_copy_from_user // invalid access to packet',
    '        | ^-- error: sleepable helper bpf_copy_from_user#148 is not allowed in non-sleepable program',
    '  Instruction context:',
    '  >>> 4 | (85) call bpf_copy_from_user#148',
    '        5 | (95) exit',
    '',
    'Suggestion:',
    '  Move the helper call outside the critical section, or use a non-sleepable helper.',
    '',
    'processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
    '',
  ]

  it('are understood: a helper that sleeps, and a program that does not, as Linux 7.3 says it', () => {
    expect(causeIn(REPORTED.join('\n'))).to.match(/flags: \['SLEEPABLE'\] makes it one that may/)
    expect(causeIn('Program of this type cannot be sleepable\n')).to.match(/^this kprobe program .* cannot sleep/)
  })

  it('are not taken from a report, which quotes the program; its reason is the hint where there is none', () => {
    const { messages, lines, last } = lastWords(REPORTED.join('\n'))
    expect(messages).to.deep.equal(['sleepable helper bpf_copy_from_user#148 in non-sleepable prog'])
    expect(lines).to.deep.equal(REPORTED.slice(0, 2))
    expect(last).to.deep.equal({ index: 4, text: 'call bpf_copy_from_user#148' })
    const log = REPORTED.join('\n').replaceAll('sleepable helper', 'unheard-of helper')
    const insns = returning(0).bytes()
    const error = new VerifierError(22, { command: 'BPF_PROG_LOAD' }, { log, type: 'xdp', insns, lines: [] })
    expect(error.hint).to.equal(
      'The operation unheard-of helper bpf_copy_from_user#148 cannot be used in non-sleepable program.',
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
