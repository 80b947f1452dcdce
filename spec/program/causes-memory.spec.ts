import { expect } from 'chai'
import { bpf, RingBuf } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { pending } from '../support/kernel'
import { type Case, explains, refusalOf, useTable } from './refused'

describe('what the verifier says of registers and memory', function () {
  this.timeout(300_000)

  const table = useTable()
  let ring: RingBuf | undefined

  after(() => ring?.close())

  const CASES: readonly Case[] = [
    {
      what: 'what a lookup gives, used without a look at it',
      code: () => bpf`
        ${table.lookup()}
        r1 = *(u64 *)(r0 + 0)
        exit`,
      hint: /may be null: compare it with 0 first/,
      at: 7,
    },
    {
      what: 'arithmetic on what may be null',
      code: () => bpf`
        ${table.lookup()}
        r0 += 4
        exit`,
      hint: /may be null/,
      at: 7,
    },
    {
      what: 'null given to a helper',
      code: () => bpf`
        ${table.lookup()}
        r2 = r0
        r1 = ${table.map} ll
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
      what: 'memory behind a value',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r0 = *(u64 *)(r0 + 8)
   out: r0 = 0
        exit`,
      hint: /^8 bytes at 8 are outside of a value of 8 bytes$/,
      at: 8,
    },
    {
      what: 'memory at an offset that may be anything',
      code: () => bpf`
        ${table.lookup()}
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
      what: 'a reservation, used without a look at it',
      code: () => {
        ring = RingBuf.create({ name: 'ring', size: 65_536 })
        return bpf`
        r1 = ${ring} ll
        r2 = 8
        r3 = 0
        call bpf_ringbuf_reserve
        *(u64 *)(r0 + 0) = 0
        exit`
      },
      feature: ['ringBuffer'],
      hint: /^this pointer may be null: compare it with 0 first/,
      at: 5,
    },
    {
      what: 'metadata that there may be none of',
      code: () => bpf`
        r2 = *(u32 *)(r1 + 8)
        r0 = *(u8 *)(r2 + 0)
        exit`,
      hint: /with data_end first .*; of metadata, with data$/,
      at: 1,
    },
    {
      what: 'a packet that a helper has moved',
      code: () => bpf`
        r7 = *(u32 *)(r1 + 0)
        r8 = *(u32 *)(r1 + 4)
        r2 = r7
        r2 += 14
        if r2 > r8 goto out
        r2 = 0
        call bpf_xdp_adjust_head
        r0 = *(u8 *)(r7 + 0)
   out: r0 = 2
        exit`,
      hint: /those into a packet by helpers that change it/,
      at: 7,
    },
    {
      what: 'a register that no call spends',
      code: () => bpf`
        call bpf_ktime_get_ns
        r0 = r7
        exit`,
      hint: /^r7 is read, and on a way to here nothing has been written to it$/,
      at: 1,
    },
    {
      what: 'a packet load without the context in r6',
      code: () => bpf`
        r0 = *(u8 *)skb[0]
        exit`,
      options: { type: 'socket_filter' },
      hint: /^packet loads \(skb\[\.\.\.\]\) find the context in r6/,
      at: 0,
    },
    {
      what: 'a key that reaches past the stack',
      code: () => bpf`
        *(u16 *)(r10 - 2) = 0
        r1 = ${table.map} ll
        r2 = r10
        r2 += -2
        call bpf_map_lookup_elem
        r0 = 0
        exit`,
      hint: /below r10: offsets are negative, from -1 to -512, and 4 bytes from -2 on reach past it$/,
      at: 5,
    },
    {
      what: 'the stack between its words',
      code: () => bpf`
        *(u32 *)(r10 - 6) = 0
        r0 = 0
        exit`,
      hint: /^what is on the stack is at a multiple of its size from r10, on all processors/,
      at: 0,
    },
    {
      what: 'an atomic operation between words',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r1 = 1
        lock *(u32 *)(r0 + 1) += r1
   out: r0 = 0
        exit`,
      hint: /^atomic operations are done at multiples of their size, on all processors/,
      at: 9,
    },
    {
      what: 'memory between words, where they are wanted',
      code: () => bpf`
        ${table.lookup()}
        if r0 == 0 goto out
        r1 = *(u32 *)(r0 + 1)
   out: r0 = 0
        exit`,
      options: { flags: ['STRICT_ALIGNMENT'] },
      hint: /^this is not at a multiple of its size, and this processor, or BPF_F_STRICT_ALIGNMENT, wants it so/,
      at: 8,
    },
  ]

  explains(CASES)

  it('explains: null given to a kernel function', function () {
    const [from, release] = ['bpf_task_from_pid', 'bpf_task_release'].map((name) => kernelTypeId('func', name))
    if (from === undefined || release === undefined) pending(this, 'Linux 6.2, for kernel functions that give tasks')
    const code = bpf`
        r1 = 1
        call ${{ btfId: from }}
        r1 = r0
        call ${{ btfId: release }}
        r0 = 0
        exit`
    const place = { type: 'tracing', expectedAttachType: 'trace_raw_tp', attachTo: 'sched_switch' } as const
    expect(refusalOf(code, place).hint).to.match(/^this pointer may be null: compare it with 0 first/)
  })
})
