import { expect } from 'chai'
import { assemble, disassemble } from '../../lib/asm'
import { insn } from '../support/programs'

type Fields = Parameters<typeof insn>

const bytesOf = (...all: readonly Fields[]): number[] => all.flatMap((fields) => insn(...fields))

/**
 * Each instruction once: how LLVM writes it, how the kernel does, what else is taken, and its fields, by hand from
 * instruction-set.rst and bpf.h.
 */
const TABLE: readonly [llvm: string, kernel: string, others: readonly string[], ...Fields[]][] = [
  // arithmetic
  ['r1 += r2', 'r1 += r2', ['r1+=r2'], [0x0f, 1, 2, 0, 0]],
  ['w1 -= w2', 'w1 -= w2', [], [0x1c, 1, 2, 0, 0]],
  ['r1 *= 3', 'r1 *= 3', ['r1 *= 0x3', 'r1 *= 03', 'r1 *= 0b11', "r1 *= '\\x03'", 'r1 *= 4 - 1'], [0x27, 1, 0, 0, 3]],
  ['w1 /= -2', 'w1 /= -2', ['w1 /= 0xfffffffe', 'w1 /= ~1'], [0x34, 1, 0, 0, -2]],
  ['r1 s/= r2', 'r1 s/= r2', [], [0x3f, 1, 2, 1, 0]],
  ['w1 s/= 2', 'w1 s/= 2', [], [0x34, 1, 0, 1, 2]],
  ['r1 |= r2', 'r1 |= r2', [], [0x4f, 1, 2, 0, 0]],
  ['r1 &= -16', 'r1 &= -16', ['r1 &= -0x10'], [0x57, 1, 0, 0, -16]],
  ['r1 <<= 32', 'r1 <<= 32', [], [0x67, 1, 0, 0, 32]],
  ['w1 >>= w9', 'w1 >>= w9', [], [0x7c, 1, 9, 0, 0]],
  ['r1 %= 10', 'r1 %= 10', [], [0x97, 1, 0, 0, 10]],
  ['r1 s%= r2', 'r1 s%= r2', [], [0x9f, 1, 2, 1, 0]],
  ['w1 ^= 7', 'w1 ^= 7', [], [0xa4, 1, 0, 0, 7]],
  ['r1 s>>= r2', 'r1 s>>= r2', [], [0xcf, 1, 2, 0, 0]],
  ['r1 = -r1', 'r1 = -r1', ['r1 = - r1'], [0x87, 1, 0, 0, 0]],
  ['w1 = -w1', 'w1 = -w1', [], [0x84, 1, 0, 0, 0]],
  ['r1 = be16 r1', 'r1 = be16 r1', [], [0xdc, 1, 0, 0, 16]],
  ['r1 = le32 r1', 'r1 = le32 r1', [], [0xd4, 1, 0, 0, 32]],
  ['r1 = bswap64 r1', 'r1 = bswap64 r1', [], [0xd7, 1, 0, 0, 64]],
  // moves
  ['r1 = r10', 'r1 = r10', ['r1=r10'], [0xbf, 1, 10, 0, 0]],
  ['w1 = w2', 'w1 = w2', [], [0xbc, 1, 2, 0, 0]],
  ['r1 = 5', 'r1 = 5', ['r1 = 0x5', 'r1 = +5'], [0xb7, 1, 0, 0, 5]],
  ['r1 = -1', 'r1 = -1', ['r1 = -0x1', 'r1 = - 1'], [0xb7, 1, 0, 0, -1]],
  ['w1 = -1', 'w1 = -1', ['w1 = 0xffffffff', 'w1 = 4294967295'], [0xb4, 1, 0, 0, -1]],
  ['r1 = (s8)r2', 'r1 = (s8)r2', ['r1 = (s8) r2'], [0xbf, 1, 2, 8, 0]],
  ['r1 = (s32)r2', 'r1 = (s32)r2', [], [0xbf, 1, 2, 32, 0]],
  ['w1 = (s16)w2', 'w1 = (s16)w2', [], [0xbc, 1, 2, 16, 0]],
  [
    'r1 = addr_space_cast(r2, 0, 1)',
    'r1 = addr_space_cast(r2, 0, 1)',
    ['r1 = addr_space_cast(r2, 0x0, 0x1)'],
    [0xbf, 1, 2, 1, 1],
  ],
  // memory
  [
    'r1 = *(u8 *)(r2 + 0)',
    'r1 = *(u8 *)(r2 +0)',
    ['r1 = *(u8 *)(r2)', 'r1 = *(u8*)(r2 + 0x0)', 'w1 = *(u8 *)(r2 + 0)'],
    [0x71, 1, 2, 0, 0],
  ],
  [
    'r1 = *(u64 *)(r2 - 8)',
    'r1 = *(u64 *)(r2 -8)',
    ['r1 = *(u64 *)(r2 - 0x8)', 'r1 = *(u64 *)(r2 + -8)'],
    [0x79, 1, 2, -8, 0],
  ],
  ['r1 = *(s8 *)(r2 + 4)', 'r1 = *(s8 *)(r2 +4)', [], [0x91, 1, 2, 4, 0]],
  ['r1 = *(s32 *)(r2 + 4)', 'r1 = *(s32 *)(r2 +4)', [], [0x81, 1, 2, 4, 0]],
  [
    '*(u32 *)(r10 - 4) = r1',
    '*(u32 *)(r10 -4) = r1',
    ['*(u32 *)(r10 - 4) = w1', '*(u32*)(r10-4)=r1'],
    [0x63, 10, 1, -4, 0],
  ],
  ['*(u16 *)(r10 - 4) = 7', '*(u16 *)(r10 -4) = 7', ['*(u16 *)(r10 - 0x4) = 0x7'], [0x6a, 10, 0, -4, 7]],
  ['*(u64 *)(r10 - 8) = -7', '*(u64 *)(r10 -8) = -7', [], [0x7a, 10, 0, -8, -7]],
  // atomic operations
  ['lock *(u64 *)(r1 + 0) += r2', 'lock *(u64 *)(r1 +0) += r2', ['lock *(u64 *)(r1) += r2'], [0xdb, 1, 2, 0, 0]],
  ['lock *(u32 *)(r1 + 8) |= w2', 'lock *(u32 *)(r1 +8) |= r2', [], [0xc3, 1, 2, 8, 0x40]],
  ['lock *(u64 *)(r1 + 0) &= r2', 'lock *(u64 *)(r1 +0) &= r2', [], [0xdb, 1, 2, 0, 0x50]],
  ['lock *(u64 *)(r1 + 0) ^= r2', 'lock *(u64 *)(r1 +0) ^= r2', [], [0xdb, 1, 2, 0, 0xa0]],
  [
    'r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)',
    'r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)',
    [],
    [0xdb, 1, 2, 0, 0x01],
  ],
  [
    'w2 = atomic_fetch_xor((u32 *)(r1 + 0), w2)',
    'r2 = atomic_fetch_xor((u32 *)(r1 +0), r2)',
    [],
    [0xc3, 1, 2, 0, 0xa1],
  ],
  ['r2 = xchg_64(r1 + 0, r2)', 'r2 = atomic64_xchg((u64 *)(r1 +0), r2)', [], [0xdb, 1, 2, 0, 0xe1]],
  ['w2 = xchg32_32(r1 - 4, w2)', 'r2 = atomic_xchg((u32 *)(r1 -4), r2)', [], [0xc3, 1, 2, -4, 0xe1]],
  ['r0 = cmpxchg_64(r1 + 0, r0, r2)', 'r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)', [], [0xdb, 1, 2, 0, 0xf1]],
  ['w0 = cmpxchg32_32(r1 + 0, w0, w2)', 'r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)', [], [0xc3, 1, 2, 0, 0xf1]],
  ['r3 = load_acquire((u64 *)(r1 + 8))', 'r3 = load_acquire((u64 *)(r1 +8))', [], [0xdb, 3, 1, 8, 0x100]],
  [
    'r3 = load_acquire((u8 *)(r1 + 0))',
    'r3 = load_acquire((u8 *)(r1 +0))',
    ['w3 = load_acquire((u8 *)(r1 + 0))'],
    [0xd3, 3, 1, 0, 0x100],
  ],
  [
    'store_release((u16 *)(r1 + 0), r2)',
    'store_release((u16 *)(r1 +0), r2)',
    ['store_release((u16 *)(r1 + 0), w2)'],
    [0xcb, 1, 2, 0, 0x110],
  ],
  // jumps
  ['goto +5', 'goto pc+5', ['goto +0x5', 'goto +0x5 <main+0x30>'], [0x05, 0, 0, 5, 0]],
  ['goto +0', 'goto pc+0', ['nop'], [0x05, 0, 0, 0, 0]],
  ['gotol -70000', 'gotol pc-70000', [], [0x06, 0, 0, 0, -70000]],
  ['may_goto -3', 'may_goto pc-3', [], [0xe5, 0, 0, -3, 0]],
  ['gotox r4', 'gotox r4', [], [0x0d, 4, 0, 0, 0]],
  ['if r1 == 5 goto +1', 'if r1 == 0x5 goto pc+1', ['if r1==5 goto +1'], [0x15, 1, 0, 1, 5]],
  ['if r1 == -1 goto +1', 'if r1 == 0xffffffff goto pc+1', [], [0x15, 1, 0, 1, -1]],
  ['if r1 > r2 goto -1', 'if r1 > r2 goto pc-1', [], [0x2d, 1, 2, -1, 0]],
  ['if r1 >= 1 goto +0', 'if r1 >= 0x1 goto pc+0', [], [0x35, 1, 0, 0, 1]],
  ['if r1 & 8 goto +1', 'if r1 & 0x8 goto pc+1', [], [0x45, 1, 0, 1, 8]],
  ['if w1 != w2 goto +1', 'if w1 != w2 goto pc+1', [], [0x5e, 1, 2, 1, 0]],
  ['if r1 s> -1 goto +1', 'if r1 s> 0xffffffff goto pc+1', [], [0x65, 1, 0, 1, -1]],
  ['if w1 s>= 2 goto +1', 'if w1 s>= 0x2 goto pc+1', [], [0x76, 1, 0, 1, 2]],
  ['if r1 < 3 goto +1', 'if r1 < 0x3 goto pc+1', [], [0xa5, 1, 0, 1, 3]],
  ['if r1 <= r2 goto +1', 'if r1 <= r2 goto pc+1', [], [0xbd, 1, 2, 1, 0]],
  ['if r1 s< r2 goto +1', 'if r1 s< r2 goto pc+1', [], [0xcd, 1, 2, 1, 0]],
  ['if w1 s<= -1 goto +1', 'if w1 s<= 0xffffffff goto pc+1', ['if w1 s<= 0xffffffff goto +1'], [0xd6, 1, 0, 1, -1]],
  // calls
  [
    'call bpf_map_lookup_elem',
    'call bpf_map_lookup_elem#1',
    ['call 1', 'call 0x1', 'call unknown#1'],
    [0x85, 0, 0, 0, 1],
  ],
  ['call bpf_unspec', 'call bpf_unspec#0', ['call 0'], [0x85, 0, 0, 0, 0]],
  ['call 2147483647', 'call unknown#2147483647', [], [0x85, 0, 0, 0, 0x7fffffff]],
  ['call 500', 'call unknown#500', [], [0x85, 0, 0, 0, 500]],
  ['call +7', 'call pc+7', ['call pc+7#bpf_prog_1234_f'], [0x85, 0, 1, 0, 7]],
  ['call kernel-function#1234', 'call kernel-function#1234', ['call bpf_iter_num_new#1234'], [0x85, 0, 2, 0, 1234]],
  ['call kernel-function#1234@1', 'call kernel-function#1234@1', [], [0x85, 0, 2, 1, 1234]],
  ['callx r3', 'callx r3', [], [0x8d, 3, 0, 0, 0]],
  ['exit', 'exit', ['exit;', 'exit # the end'], [0x95, 0, 0, 0, 0]],
  // constants of 64 bits
  [
    'r1 = 0x1122334455667788 ll',
    'r1 = 0x1122334455667788 ll',
    ['r1 = 1234605616436508552 ll', '0: (18) r1 = 0x1122334455667788'],
    [0x18, 1, 0, 0, 0x55667788],
    [0, 0, 0, 0, 0x11223344],
  ],
  ['r1 = 0xffffffffffffffff ll', 'r1 = 0xffffffffffffffff ll', ['r1 = -1 ll'], [0x18, 1, 0, 0, -1], [0, 0, 0, 0, -1]],
  ['r1 = 0xffffffff ll', 'r1 = 0xffffffff ll', ['ld_pseudo r1, 0, 0xffffffff'], [0x18, 1, 0, 0, -1], [0, 0, 0, 0, 0]],
  [
    'r1 = map[fd:5] ll',
    'r1 = map[fd:5] ll',
    ['r1 = map[fd:5]', 'ld_pseudo r1, 1, 5'],
    [0x18, 1, 1, 0, 5],
    [0, 0, 0, 0, 0],
  ],
  ['r1 = map[fd:5][0]+8 ll', 'r1 = map[fd:5][0]+8 ll', [], [0x18, 1, 2, 0, 5], [0, 0, 0, 0, 8]],
  ['r1 = btf[id:7] ll', 'r1 = btf[id:7] ll', [], [0x18, 1, 3, 0, 7], [0, 0, 0, 0, 0]],
  ['r1 = btf[id:7,fd:4] ll', 'r1 = btf[id:7,fd:4] ll', [], [0x18, 1, 3, 0, 7], [0, 0, 0, 0, 4]],
  ['r1 = subprog[+3] ll', 'r1 = subprog[+3] ll', ['r1 = subprog[+3]'], [0x18, 1, 4, 0, 3], [0, 0, 0, 0, 0]],
  ['r1 = map[idx:2] ll', 'r1 = map[idx:2] ll', [], [0x18, 1, 5, 0, 2], [0, 0, 0, 0, 0]],
  ['r1 = map[idx:2][0]+8 ll', 'r1 = map[idx:2][0]+8 ll', ['r1 = map[idx:2]+8'], [0x18, 1, 6, 0, 2], [0, 0, 0, 0, 8]],
  // packets
  [
    'r0 = *(u16 *)skb[12]',
    'r0 = *(u16 *)skb[12]',
    ['r0 = *(u16 *)skb[0xc]', 'w0 = *(u16 *)skb[12]'],
    [0x28, 0, 0, 0, 12],
  ],
  ['r0 = *(u32 *)skb[-4096]', 'r0 = *(u32 *)skb[-4096]', [], [0x20, 0, 0, 0, -4096]],
  ['r0 = *(u8 *)skb[r1]', 'r0 = *(u8 *)skb[r1 + 0]', [], [0x50, 0, 1, 0, 0]],
  ['r0 = *(u8 *)skb[r1 + 2]', 'r0 = *(u8 *)skb[r1 + 2]', [], [0x50, 0, 1, 0, 2]],
  ['r0 = *(u8 *)skb[r1 - 2]', 'r0 = *(u8 *)skb[r1 + -2]', [], [0x50, 0, 1, 0, -2]],
]

describe('the text of each instruction', () => {
  for (const [llvm, kernel, others, ...fields] of TABLE) {
    it(llvm, () => {
      const bytes = bytesOf(...fields)
      for (const text of [llvm, kernel, ...others]) expect([...assemble(text).bytes()], text).to.deep.equal(bytes)
      expect(disassemble(Uint8Array.from(bytes))).to.equal(llvm)
      expect(disassemble(Uint8Array.from(bytes), { syntax: 'kernel' })).to.equal(kernel)
    })
  }

  it('the order of bytes of a slot as it is, is the machine’s', () => {
    const bytes = bytesOf([0xff, 10, 9, 0x1234, 0x55667788])
    const value = Buffer.from(bytes)[require('node:os').endianness() === 'LE' ? 'readBigUint64LE' : 'readBigUint64BE']()
    expect([...assemble(`.8byte 0x${value.toString(16)}`).bytes()]).to.deep.equal(bytes)
  })

  it('labels: functions by what calls them, places by what jumps there', () => {
    const code = assemble(`
      if r1 == 0 goto +3
      call +3
      r2 = subprog[+2] ll
      goto -5
      exit
      r0 = 0
      goto +1
      goto -6
      may_goto +100`)
    expect(disassemble(code.bytes(), { labels: true }).split('\n')).to.deep.equal([
      'L0:',
      '  if r1 == 0 goto L4',
      '  call func_5',
      '  r2 = func_5 ll',
      'L4:',
      '  goto L0',
      'func_5:',
      '  exit',
      '  r0 = 0',
      '  goto L9',
      // the second slot of a constant
      '  goto -6',
      'L9:',
      '  may_goto +100',
    ])
  })

  it('says why bytes are no instruction, and leaves them as they are', () => {
    const reason = (...fields: Fields): string => disassemble(Uint8Array.from(bytesOf(fields))).split(' // ')[1] ?? ''
    expect(reason(0xff, 0, 0, 0, 0)).to.equal('no instruction has this opcode')
    for (const fields of [
      [0x95, 1, 0, 0, 0],
      [0x0f, 1, 2, 1, 0],
      [0xb7, 11, 0, 0, 0],
      [0xd4, 1, 0, 0, 17],
      [0x72, 1, 0, 0, 300],
      [0xc3, 1, 2, 0, 0x99],
      [0x18, 1, 0, 0, 0],
    ] as Fields[]) {
      expect(reason(...fields), String(fields)).to.equal('bits are set that this instruction does not use')
    }
  })

  it('both slots of a constant of 64 bits stay as they are where it has no meaning', () => {
    const bytes = bytesOf([0x18, 1, 1, 0, 5], [0, 0, 0, 0, 9], [0x95, 0, 0, 0, 0])
    const lines = disassemble(Uint8Array.from(bytes)).split('\n')
    expect(lines[0]).to.match(/^\.8byte 0x[0-9a-f]{16} \/\/ bits are set/)
    expect(lines[1]).to.match(/^\.8byte 0x[0-9a-f]{16} \/\/ its second slot$/)
    expect(lines[2]).to.equal('exit')
    expect([...assemble(lines.join('\n')).bytes()]).to.deep.equal(bytes)
  })

  it('what only the kernel writes is printed on demand', () => {
    const bytes = Uint8Array.from(
      bytesOf([0xc2, 0, 0, 0, 0], [0xbf, 1, 2, -1, 0], [0xbf, 11, 1, 0, 0], [0x18, 1, 1, 0, 5], [0, 0, 0, 0, 0]),
    )
    expect(disassemble(bytes, { xlated: true, syntax: 'kernel' }).split('\n')).to.deep.equal([
      'nospec',
      'r1 = &(void __percpu *)(r2)',
      'r11 = r1',
      'r1 = map[id:5] ll',
    ])
    expect(disassemble(bytes).match(/\.8byte/g)).to.have.length(3)
  })

  it('is not printed in a way that nobody knows', () => {
    expect(() => disassemble(new Uint8Array(8), { sintax: 'kernel' } as never)).to.throw(
      TypeError,
      "no option is called 'sintax': did you mean 'syntax'?",
    )
    expect(() => disassemble(new Uint8Array(8), { syntax: 'intel' as never })).to.throw(TypeError, 'llvm or kernel')
    expect(() => disassemble(new Uint8Array(7))).to.throw(RangeError, '7 bytes are not whole instructions')
  })

  it('takes what bpftool and llvm-objdump print, with their numbers', () => {
    const dump = `
0000000000000000 <tracer>:
; int x = 0;
       0:	b7 01 00 00 00 00 00 00	r1 = 0x0
   1: (bf) r2 = r10
   2: (18) r3 = 0x5
   4: (15) if r1 == 0xffffffff goto pc+1
   5: (85) call bpf_ktime_get_ns#5
0000000000000030 <LBB0_1>:
       6:	95 00 00 00 00 00 00 00	exit`
    expect(disassemble(assemble(dump).bytes(), { syntax: 'kernel' }).split('\n')).to.deep.equal([
      'r1 = 0',
      'r2 = r10',
      'r3 = 0x5 ll',
      'if r1 == 0xffffffff goto pc+1',
      'call bpf_ktime_get_ns#5',
      'exit',
    ])
    expect(() => assemble('0: (bf) r1 = 5')).to.throw('the dump gives the opcode 0xbf, and this text is 0xb7')
    expect(() => assemble('0: (b7) r0 = 5\n7: (95) exit')).to.throw(
      'this dump goes on at 7, and the next instruction is 1',
    )
  })
})
