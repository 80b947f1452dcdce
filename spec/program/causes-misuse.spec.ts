import { expect } from 'chai'
import { ArrayMap, assemble, bpf, RingBuf, u64 } from '../../lib'
import { requireFeature, requireRoot } from '../support/kernel'
import { type Case, explains, refusalOf, useTable } from './refused'

describe('what the verifier says of what is used as it is not meant', function () {
  this.timeout(300_000)

  const table = useTable()
  let [ring, array, readOnly]: [RingBuf?, ArrayMap<bigint>?, ArrayMap<bigint>?] = []

  before(function () {
    requireRoot(this)
    array = ArrayMap.create({ name: 'array', value: u64, maxEntries: 1 })
    readOnly = ArrayMap.create({ name: 'only_read', value: u64, maxEntries: 1, flags: ['RDONLY_PROG'] })
  })
  after(() => {
    for (const map of [ring, array, readOnly]) map?.close()
  })

  const given = <T>(map: T | undefined): T => {
    if (map === undefined) throw new Error('the map is there in specs only')
    return map
  }
  const ringOf = () => {
    ring ??= RingBuf.create({ name: 'ring', size: 65_536 })
    return ring
  }
  const submitted = () => bpf`
      r1 = ${ringOf()} ll
      r2 = 8
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto out
      r6 = r0
      r1 = r6
      r2 = 0
      call bpf_ringbuf_submit`
  const released = () => bpf`
      *(u64 *)(r10 - 8) = 0
      *(u64 *)(r10 - 16) = 0
      r2 = r10
      r2 += -16
      r3 = 12
      r4 = -1
      r5 = 0
      call bpf_sk_lookup_tcp
      if r0 == 0 goto out
      r6 = r0
      r1 = r6
      call bpf_sk_release`
  const CASES: readonly Case[] = [
    {
      what: 'a record that was submitted, written to',
      code: () => bpf`
        ${submitted()}
        *(u64 *)(r6 + 0) = 1
   out: r0 = 0
        exit`,
      feature: ['ringBuffer'],
      hint: /released or submitted before/,
    },
    {
      what: 'a record that is submitted twice',
      code: () => bpf`
        ${submitted()}
        r1 = r6
        r2 = 0
        call bpf_ringbuf_submit
   out: r0 = 0
        exit`,
      feature: ['ringBuffer'],
      hint: /released or submitted before/,
    },
    {
      what: 'a socket that was released, read from',
      code: () => bpf`
        ${released()}
        r0 = *(u32 *)(r6 + 4)
   out: r0 = 0
        exit`,
      options: { type: 'sched_cls' },
      hint: /released or submitted before/,
    },
    {
      what: 'a socket that is released twice',
      code: () => bpf`
        ${released()}
        r1 = r6
        call bpf_sk_release
   out: r0 = 0
        exit`,
      options: { type: 'sched_cls' },
      hint: /released or submitted before/,
    },
    {
      what: 'a program that runs into a function of its own',
      code: () => assemble('r0 = 0\ncall f\nf: r0 = 1\nexit'),
      hint: /^the program, or one of its functions, runs on past its end/,
    },
    {
      what: 'what is in front of a value',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r0 += -1
        r0 = *(u8 *)(r0 + 0)
   out: r0 = 0
        exit`,
      hint: /^1 byte at -1 is outside of a value of 8 bytes$/,
    },
    {
      what: 'an offset into a value that is too large, perhaps',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r1 = *(u64 *)(r0 + 0)
        r1 &= 15
        r0 += r1
        r0 = *(u8 *)(r0 + 0)
   out: r0 = 0
        exit`,
      hint: /bound the offset \(or the size\) first/,
    },
    {
      what: 'a size that may be negative',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r2 = *(u64 *)(r0 + 0)
        if r2 s> 8 goto out
        r1 = r10
        r1 += -8
        *(u64 *)(r10 - 8) = 0
        call bpf_get_current_comm
   out: r0 = 0
        exit`,
      options: { type: 'kprobe' },
      hint: /^r2 may be negative: make certain that it is not, by comparing \(if r2 s< 0 goto out\)/,
    },
    {
      what: 'an offset from r10 that is not bound to the stack',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r2 = *(u64 *)(r0 + 0)
        r2 &= 0xf8
        *(u64 *)(r10 - 16) = 0
        r1 = r10
        r1 += -16
        r1 += r2
        r0 = *(u64 *)(r1 + 0)
   out: r0 = 0
        exit`,
      hint: /^this may be outside of the stack: bound the offset first/,
    },
    {
      what: 'the end of a packet, read',
      code: () => bpf`
        r2 = *(u32 *)(r1 + 4)
        r0 = *(u8 *)(r2 + 0)
        exit`,
      hint: /^data_end is there to be compared with/,
      at: 1,
    },
    {
      what: 'r10 as a register like others',
      code: () => bpf`
        r10 = 0
        r0 = 0
        exit`,
      hint: /^r10 is where the stack of the function begins, and stays/,
      at: 0,
    },
    {
      what: 'a function that calls itself',
      code: () => assemble('call f\nexit\nf: call f\nexit'),
      // Kernels up to Linux 6.1 take it for a loop.
      hint: /none may call itself$|^a loop must come to an end/,
    },
    {
      what: 'a map of another type than the helper takes',
      code: () => bpf`
        r1 = ${given(array)} ll
        r2 = 8
        r3 = 0
        call bpf_ringbuf_reserve
        r0 = 0
        exit`,
      feature: ['ringBuffer'],
      hint: /^bpf_ringbuf_reserve does not take maps of type ARRAY$/,
    },
    {
      what: 'a map that programs may only read',
      code: () => bpf`
        *(u32 *)(r10 - 4) = 0
        r1 = ${given(readOnly)} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto out
        *(u64 *)(r0 + 0) = 1
   out: r0 = 0
        exit`,
      hint: /^programs may only read this map: it was made with the flag RDONLY_PROG$/,
    },
    {
      what: 'a packet that programs of the type only read',
      code: () => bpf`
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = r2
        r4 += 8
        if r4 > r3 goto out
        *(u8 *)(r2 + 0) = 1
   out: r0 = 0
        exit`,
      options: { type: 'cgroup_skb', expectedAttachType: 'cgroup_inet_ingress' },
      hint: /^programs of type cgroup_skb may not write to packets here$/,
      at: 5,
    },
    {
      what: 'a size that is no constant, where one is wanted',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r2 = *(u64 *)(r0 + 0)
        r1 = ${ringOf()} ll
        r3 = 0
        call bpf_ringbuf_reserve
   out: r0 = 0
        exit`,
      feature: ['ringBuffer'],
      hint: /^r2 has to be a constant|bound the offset \(or the size\) first/,
    },
  ]

  explains(CASES)

  it('explains: a tail call without its map, and keeps the counts out of what was said', function () {
    requireFeature(this, 'helper', 'bpf_tail_call', 'xdp')
    const error = refusalOf(bpf`
      r2 = ${given(array)} ll
      r3 = 0
      call bpf_tail_call
      r0 = 0
      exit`)
    expect(error.hint).to.equal('tail calls go through a PROG_ARRAY, and this map is none')
    expect(error.message).to.match(
      /(?:expected prog.array map for tail call|kernel subsystem misconfigured verifier)$/m,
    )
    expect(error.message).not.to.match(/processed \d+ insns/)
    expect(error.log).to.match(/processed \d+ insns/)
  })
})
