import { expect } from 'chai'
import { assemble, bpf, CgroupArray, RingBuf } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { COMPILED } from '../support/compiled'
import { pending, requireFeature, requireRoot } from '../support/kernel'
import { runInChild } from '../support/run'
import { returning } from './kit'
import { type Case, explains, refusalOf } from './refused'

describe('what the verifier says of calls, ways and rights', function () {
  this.timeout(300_000)

  let groups: CgroupArray | undefined
  let ring: RingBuf | undefined

  before(function () {
    requireRoot(this)
  })
  after(() => {
    groups?.close()
    ring?.close()
  })

  const CASES: readonly Case[] = [
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
      what: 'a result that its type does not have',
      code: () => returning(7),
      options: { type: 'cgroup_sock_addr', expectedAttachType: 'cgroup_udp4_recvmsg' },
      hint: /what the program returns has to be in a range/,
    },
    {
      what: 'a kernel function that is none',
      code: () => bpf`
        call ${{ btfId: 2 ** 30 }}
        r0 = 0
        exit`,
      feature: ['kfuncs'],
      hint: /^no function of the kernel has the BTF id that is called/,
    },
    {
      what: 'a program that may sleep where none may',
      code: () => returning(2),
      options: { flags: ['SLEEPABLE'] },
      hint: /^this xdp program is of a kind that cannot sleep: load it without SLEEPABLE/,
    },
    {
      what: 'a map that is not for programs that sleep',
      code: () => {
        groups = CgroupArray.create({ name: 'groups', maxEntries: 1 })
        return bpf`
        r1 = ${groups} ll
        r0 = 0
        exit`
      },
      options: { type: 'syscall' },
      feature: ['programType', 'syscall'],
      hint: /^one of its maps is of a type that is not for programs which may sleep/,
    },
    {
      what: 'a helper that sleeps, in a program that may not',
      code: () => bpf`
        r1 = r10
        r1 += -8
        r2 = 8
        r3 = 0
        call bpf_copy_from_user
        r0 = 0
        exit`,
      options: { type: 'kprobe' },
      // Kernels up to 6.6 have it not at all for programs that may not sleep.
      hint: /flags: \['SLEEPABLE'\] makes it one that may|bpf_copy_from_user is not for programs of type kprobe/,
      at: 4,
    },
  ]

  explains(CASES)

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

  it('explains: what sleeps where nothing may', function () {
    const [lock, unlock] = ['bpf_rcu_read_lock', 'bpf_rcu_read_unlock'].map((name) => kernelTypeId('func', name))
    if (lock === undefined || unlock === undefined) pending(this, 'Linux 6.2, for kernel functions that hold RCU')
    const code = bpf`
        call ${{ btfId: lock }}
        r1 = r10
        r1 += -8
        r2 = 8
        r3 = 0
        call bpf_copy_from_user
        call ${{ btfId: unlock }}
        r0 = 0
        exit`
    const { hint, instruction } = refusalOf(code, { type: 'syscall' })
    expect(hint).to.match(/^what may sleep is not called between a lock and its end/)
    expect(instruction?.index).to.equal(5)
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
})
