import { expect } from 'chai'
import {
  ArrayMap,
  assemble,
  bpf,
  type Code,
  HashMap,
  KernelError,
  Program,
  type ProgramOptions,
  RingBuf,
  u32,
  u64,
  VerifierError,
} from '../../lib'
import { COMPILED } from '../support/compiled'
import { errorOf } from '../support/error'
import { pending, requireFeature, requireRoot } from '../support/kernel'
import { runInChild } from '../support/run'
import { returning } from './kit'

type Refused = Partial<Omit<ProgramOptions, 'code'>>

/** The error of a program that the verifier of this kernel refuses. */
function refusalOf(code: ProgramOptions['code'], options: Refused = {}): VerifierError {
  const error = errorOf(() => Program.load({ type: 'xdp', name: 'refused', code, ...options }).close())
  expect(error, error.message).to.be.instanceOf(VerifierError)
  return error as VerifierError
}

describe('VerifierError', function () {
  this.timeout(60_000)

  let table: HashMap<number, bigint>
  let ring: RingBuf

  before(function () {
    requireRoot(this)
    table = HashMap.create({ name: 'table', key: u32, value: u64, maxEntries: 1 })
  })
  after(() => {
    table?.close()
    ring?.close()
  })

  /** r0 = the entry of key 0, or null; r6 = the context */
  const lookup = () => bpf`
      r6 = r1
      *(u32 *)(r10 - 4) = 0
      r1 = ${table} ll
      r2 = r10
      r2 += -4
      call bpf_map_lookup_elem`

  interface Case {
    readonly what: string
    readonly code: () => Code
    readonly options?: Refused
    /** What the hint says. */
    readonly hint: RegExp
    /** The instruction that is refused. */
    readonly at?: number
  }

  const CASES: readonly Case[] = [
    {
      what: 'what a lookup gives, used without a look at it',
      code: () => bpf`
        ${lookup()}
        r1 = *(u64 *)(r0 + 0)
        exit`,
      hint: /may be null: compare it with 0 first/,
      at: 7,
    },
    {
      what: 'arithmetic on what may be null',
      code: () => bpf`
        ${lookup()}
        r0 += 4
        exit`,
      hint: /may be null/,
      at: 7,
    },
    {
      what: 'null given to a helper',
      code: () => bpf`
        ${lookup()}
        r2 = r0
        r1 = ${table} ll
        call bpf_map_lookup_elem
        r0 = 0
        exit`,
      hint: /may be null/,
      at: 10,
    },
    {
      what: 'a packet read beyond what is known of its end',
      code: () => bpf`
        r2 = *(u32 *)(r1 + 0)
        r0 = *(u8 *)(r2 + 0)
        exit`,
      hint: /compare the end of what is read with data_end/,
      at: 1,
    },
    {
      what: 'a register that nothing was written to',
      code: () => bpf`
        r0 = r3
        exit`,
      hint: /^r3 is read, and on a way to here nothing has been written to it/,
      at: 0,
    },
    {
      what: 'a register that a call has spent',
      code: () => bpf`
        call bpf_ktime_get_ns
        r0 = r1
        exit`,
      hint: /r1 is read.*a call leaves r1 to r5 unwritten/,
      at: 1,
    },
    {
      what: 'an end without a result',
      code: () => bpf`
        if r1 == 0 goto out
        r0 = 2
   out: exit`,
      hint: /^r0 is what the program returns/,
    },
    {
      what: 'a helper of the GPL in a program of another license',
      code: () => bpf`
        r1 = r10
        r1 += -8
        *(u64 *)(r10 - 8) = 0
        r2 = 8
        call bpf_trace_printk
        r0 = 0
        exit`,
      options: { license: 'Proprietary' },
      hint: /for GPL-compatible programs alone: load it with license: 'GPL'/,
      at: 4,
    },
    {
      what: 'more stack than there is',
      code: () => bpf`
        *(u64 *)(r10 - 520) = 0
        r0 = 0
        exit`,
      hint: /512 bytes of stack/,
      at: 0,
    },
    {
      what: 'more stack than there is, in several functions',
      code: () => {
        const inner = bpf`
          *(u64 *)(r10 - 400) = 0
          r0 = 0
          exit`
        return bpf`
          *(u64 *)(r10 - 400) = 0
          call ${inner}
          r0 = 0
          exit`
      },
      hint: /512 bytes of stack.*the functions called together take \d+/,
    },
    {
      what: 'the stack of somebody else',
      code: () => bpf`
        r0 = *(u64 *)(r10 + 8)
        exit`,
      hint: /below r10: offsets are negative/,
      at: 0,
    },
    {
      what: 'a helper that is for other programs',
      code: () => bpf`
        r2 = 0
        call bpf_xdp_adjust_head
        r0 = 0
        exit`,
      options: { type: 'socket_filter' },
      hint: /^bpf_xdp_adjust_head is not for programs of type socket_filter/,
    },
    {
      what: 'a helper that no kernel has',
      code: () => bpf`
        call 9999
        exit`,
      hint: /no helper of number 9999/,
    },
    {
      what: 'a loop without an end',
      code: () => bpf`
        r0 = 0
   top: if r0 == 0 goto top
        exit`,
      hint: /a loop must come to an end that the verifier can see/,
      at: 1,
    },
    {
      what: 'too many branches at once',
      code: () => {
        const branches = Array.from({ length: 8300 }, (_, i) => `if r2 == ${i} goto out`)
        return assemble(['r0 = 2', 'r2 = *(u32 *)(r1 + 12)', ...branches, 'out: exit'].join('\n'))
      },
      hint: /too many branches for the verifier to follow/,
    },
    {
      what: 'memory behind a value',
      code: () => bpf`
        ${lookup()}
        if r0 == 0 goto out
        r0 = *(u64 *)(r0 + 8)
   out: r0 = 0
        exit`,
      hint: /outside of the memory that the pointer stands for: bound the offset/,
      at: 8,
    },
    {
      what: 'memory at an offset that may be anything',
      code: () => bpf`
        ${lookup()}
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r0 += r1
        r0 = *(u8 *)(r0 + 0)
   out: r0 = 0
        exit`,
      hint: /bound the offset/,
    },
    {
      what: 'a field that the context has not',
      code: () => bpf`
        r0 = *(u32 *)(r1 + 1000)
        exit`,
      hint: /the context of xdp programs has no field of 4 bytes at 1000 that may be read/,
      at: 0,
    },
    {
      what: 'a field of the context that is not to be written',
      code: () => bpf`
        r0 = 0
        *(u32 *)(r1 + 12) = r0
        exit`,
      hint: /no field of 4 bytes at 12 that may be written/,
      at: 1,
    },
    {
      what: 'the context at an offset that moves',
      code: () => bpf`
        r1 += 4
        r0 = *(u32 *)(r1 + 0)
        exit`,
      options: { type: 'sched_cls' },
      hint: /constant offsets/,
      at: 1,
    },
    {
      what: 'an instruction that nothing leads to',
      code: () => bpf`
        r0 = 0
        exit
        r0 = 1
        exit`,
      hint: /^nothing leads to this instruction/,
      at: 2,
    },
    {
      what: 'a jump to where nothing is',
      code: () => bpf`
        r0 = 0
        if r0 == 0 goto +7
        exit`,
      hint: /leads to where no instruction begins/,
    },
    {
      what: 'an end without exit',
      code: () => bpf`
        r0 = 0`,
      hint: /ends with exit/,
    },
    {
      what: 'a number in the place of an address',
      code: () => bpf`
        r1 = 7
        r0 = *(u64 *)(r1 + 0)
        exit`,
      hint: /a number is used as an address/,
      at: 1,
    },
    {
      what: 'an argument of another kind',
      code: () => bpf`
        r1 = 0
        r2 = r10
        r2 += -8
        *(u64 *)(r10 - 8) = 0
        call bpf_map_lookup_elem
        r0 = 0
        exit`,
      hint: /an argument is not of the kind that is wanted: r1 is/,
      at: 4,
    },
    {
      what: 'a result that its type does not have',
      code: () => returning(7),
      options: { type: 'cgroup_sock_addr', expectedAttachType: 'cgroup_udp4_recvmsg' },
      hint: /what the program returns has to be in a range/,
    },
  ]

  for (const { what, code, options, hint, at } of CASES) {
    it(`explains: ${what}`, () => {
      const error = refusalOf(code(), options)
      expect(error.hint, error.log).to.match(hint)
      expect(error.message).to.include(error.hint as string)
      if (at !== undefined) expect(error.instruction?.index, error.log).to.equal(at)
    })
  }

  it('explains: a loop that is too long to follow', function () {
    if (COMPILED) pending(this, 'an emulated CPU takes minutes for a million instructions, and that several times')
    const error = refusalOf(bpf`
        r0 = 0
   top: r0 += 1
        if r0 < 2000000 goto top
        exit`)
    expect(error.hint).to.match(/gave up after a million instructions/)
  })

  it('explains: a reference that is not given back', function () {
    requireFeature(this, 'ringBuffer')
    ring = RingBuf.create({ name: 'ring', size: 65_536 })
    const code = bpf`
        r1 = ${ring} ll
        r2 = 8
        r3 = 0
        call bpf_ringbuf_reserve
        r0 = 0
        exit`
    expect(refusalOf(code).hint).to.match(/^what was acquired by instruction 4 .* is not released on every way out/)
  })

  it('explains: stack that was not written, to who may not read it', async function () {
    requireFeature(this, 'helper', 'bpf_ktime_get_coarse_ns') // Linux 5.11: before, CAP_BPF alone may not load as much.
    const error = await unprivileged('r0 = *(u64 *)(r10 - 8)\nexit')
    expect(error.hint).to.match(/has not been written on every way to here/)
  })

  it('explains: what only the privileged may do', async () => {
    const error = await unprivileged('r0 = r10\nexit')
    expect(error.hint).to.match(/only privileged programs may do so: the process lacks CAP_PERFMON/)
  })

  /** What is told to a process with CAP_BPF that may not look into the kernel's memory. */
  async function unprivileged(text: string): Promise<{ name: string; hint?: string }> {
    const script = `
      const { Program, assemble } = require('./lib')
      try { Program.load({ type: 'socket_filter', code: assemble(${JSON.stringify(text)}) }) }
      catch (error) { console.log(JSON.stringify({ name: error.name, hint: error.hint, log: error.log })) }`
    const { stdout } = await runInChild(script, { without: ['perfmon', 'sys_admin'] })
    const error = JSON.parse(stdout) as { name: string; hint?: string; log?: string }
    expect(error.name, stdout).to.equal('VerifierError')
    return error
  }

  it('is a KernelError with the code of the refusal, and the program for its object', () => {
    const error = refusalOf(bpf`exit`)
    expect(error).to.be.instanceOf(KernelError)
    expect(error).to.include({ name: 'VerifierError', code: 'EACCES', errno: -13, syscall: 'bpf' })
    expect(error).to.include({ command: 'BPF_PROG_LOAD', object: "Program 'refused'" })
    expect(error.stack).to.include('verifier.spec')
  })

  it('carries the whole log, and shows its last lines', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `r1 = ${i}`).join('\n')
    const error = refusalOf(assemble(`${many}\nexit`))
    expect(error.log).to.match(/^(0: .*\n)?0: \(b7\) r1 = 0/)
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
