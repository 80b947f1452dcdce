import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { Arena, ArrayMap, bpf, ClosedError, type Code, disassemble, HashMap, RingBuf, u32, u64 } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { btfLoad } from '../../syscalls/bpf-btf'
import { progInfo, tryProgLoad } from '../../syscalls/bpf-prog'
import { progTestRun } from '../../syscalls/bpf-test-run'
import { closeFd } from '../../syscalls/fd'
import {
  BPF_F_SLEEPABLE,
  BPF_LOG_LEVEL2,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
} from '../../syscalls/uapi-prog'
import { describeFunctions, FUNC_INFO_BYTES } from '../support/btf-functions'
import { linuxBefore, needs, pending, requireFeature, requireRoot } from '../support/kernel'

const BPFTOOL = ['/usr/sbin/bpftool', '/usr/bin/bpftool', '/sbin/bpftool'].find((path) => existsSync(path))

interface Loaded {
  readonly fd: number
  /** Each instruction that the verifier went through, by its slot, as it printed it: `(b7) r0 = 0`. */
  readonly log: ReadonlyMap<number, string>
  readonly text: string
}

function tryLoad(code: Code, type: number, flags = 0): Loaded {
  const log = Buffer.alloc(1 << 20)
  const { btf, funcInfo } = describeFunctions(code.functions)
  const btfFd = btfLoad({ btf })
  const functions = { prog_btf_fd: btfFd, func_info: funcInfo, func_info_rec_size: FUNC_INFO_BYTES }
  const fields = { prog_type: type, insns: code.bytes(), license: 'GPL', prog_flags: flags, ...functions }
  // Of a program that is good, level 1 leaves nothing.
  const { fd } = tryProgLoad({ ...fields, log_level: BPF_LOG_LEVEL2, log_buf: log })
  closeFd(btfFd)
  const text = log.toString('latin1', 0, log.indexOf(0))
  // Behind a semicolon stands what the verifier knows of the registers.
  const lines = text.matchAll(/^(\d+): (\([0-9a-f]{2}\) .*?) *(?:;.*)?$/gm)
  return { fd, log: new Map(Array.from(lines, ([, slot, line]) => [Number(slot), line as string])), text }
}

/** Loads, hands over, closes. */
function load<T>(code: Code, type: number, use: (loaded: Loaded) => T, flags = 0): T {
  const loaded = tryLoad(code, type, flags)
  if (loaded.fd < 0) throw new Error(`${loaded.text}\n${disassemble(code.bytes(), { numbers: true })}`)
  try {
    return use(loaded)
  } finally {
    closeFd(loaded.fd)
  }
}

/** What the disassembler prints, by slot. */
function printed(bytes: Uint8Array, xlated = false): Map<number, string> {
  const text = disassemble(bytes, { syntax: 'kernel', numbers: true, xlated })
  return new Map(
    text
      .split('\n')
      .map((line) => /^(\d+): (.*)$/.exec(line)?.slice(1) as [string, string])
      .map(([slot, line]) => [Number(slot), line]),
  )
}

/** Where the kernel prints an address or a name that it alone knows. */
const DIFFERS = /map\[|subprog\[|btf\[|kernel-function/

function expectLog({ log }: Loaded, code: Code, everything = true): void {
  const ours = printed(code.bytes())
  for (const [slot, line] of log) {
    const own = ours.get(slot) as string
    if (!DIFFERS.test(own)) expect(line, `slot ${slot}`).to.equal(own)
  }
  if (everything) expect([...log.keys()].sort((a, b) => a - b)).to.deep.equal([...ours.keys()])
}

const run = (fd: number): number => progTestRun({ prog_fd: fd, data_in: new Uint8Array(64) }).retval

describe('the assembler and the kernel', () => {
  before(function () {
    requireRoot(this)
  })

  it('the verifier prints what the disassembler does: arithmetic, memory and jumps', function () {
    if (linuxBefore(5, 12)) pending(this, 'atomics other than += are there from Linux 5.12 on')
    const code = bpf`
        r6 = r1
        r0 = 7
        w1 = -3
        r2 = 0x1122334455667788 ll
        r3 = -1
        r1 += r2
        w1 -= w2
        r1 *= 3
        w1 /= 7
        r2 |= r1
        r2 &= -16
        r2 <<= 3
        w2 >>= 1
        r2 %= 10
        w3 ^= w2
        r3 s>>= 5
        w3 s>>= 2
        r3 = -r3
        w3 = -w3
        r3 = be16 r3
        r3 = le32 r3
        w4 = w3
        *(u64 *)(r10 - 8) = -7
        *(u32 *)(r10 - 8) = 5
        *(u16 *)(r10 - 4) = 6
        *(u8 *)(r10 - 2) = 7
        *(u8 *)(r10 - 1) = r3
        *(u64 *)(r10 - 16) = r2
        r4 = *(u64 *)(r10 - 8)
        r5 = *(u32 *)(r10 - 8)
        r7 = *(u16 *)(r10 - 4)
        r8 = *(u8 *)(r10 - 2)
        lock *(u64 *)(r10 - 8) += r4
        lock *(u32 *)(r10 - 8) |= w4
        lock *(u64 *)(r10 - 8) &= r4
        lock *(u64 *)(r10 - 8) ^= r4
        r4 = atomic_fetch_add((u64 *)(r10 - 8), r4)
        w5 = atomic_fetch_or((u32 *)(r10 - 8), w5)
        r4 = atomic_fetch_and((u64 *)(r10 - 8), r4)
        r4 = atomic_fetch_xor((u64 *)(r10 - 8), r4)
        r4 = xchg_64(r10 - 8, r4)
        w5 = xchg32_32(r10 - 8, w5)
        r0 = cmpxchg_64(r10 - 8, r0, r4)
        w0 = cmpxchg32_32(r10 - 8, w0, w5)
        if r7 == 6 goto one
        r0 = 0
   one: if w4 s> -1 goto two
        r0 = 1
   two: if r4 & 8 goto three
        r0 = 2
 three: if r4 != r5 goto four
        r0 = 3
  four: if w4 <= w5 goto five
        goto five
  five: if r4 s< -1 goto six
        r0 = 4
   six: call helper
        call bpf_get_prandom_u32
        r0 = *(u16 *)skb[12]
        r7 = 4
        r0 = *(u8 *)skb[r7 + 2]
        r0 = 5
        exit
helper: r0 = 6
        exit`
    load(code, BPF_PROG_TYPE_SOCKET_FILTER, (loaded) => expectLog(loaded, code, false))
  })

  it('the same for the instruction set v4', function () {
    requireFeature(this, 'instructionSet', 'v4')
    const code = bpf`
        *(u64 *)(r10 - 8) = -5
        r1 = *(s8 *)(r10 - 8)
        r2 = *(s16 *)(r10 - 8)
        r3 = *(s32 *)(r10 - 8)
        r1 = (s8)r2
        r2 = (s32)r1
        w1 = (s16)w2
        r1 s/= -3
        w2 s%= 7
        r3 s/= r1
        r2 = bswap64 r2
        if r1 == r2 goto far
   far: gotol out
   out: r0 = 0
        exit`
    load(code, BPF_PROG_TYPE_SOCKET_FILTER, (loaded) => expectLog(loaded, code))
  })

  it('load-acquire, store-release and may_goto', function () {
    if (linuxBefore(6, 15)) pending(this, 'load-acquire is there from Linux 6.15 on')
    const code = bpf`
        *(u64 *)(r10 - 8) = 5
  again: r1 = load_acquire((u64 *)(r10 - 8))
        w2 = load_acquire((u8 *)(r10 - 8))
        store_release((u32 *)(r10 - 8), w1)
        may_goto done
        goto again
  done: r0 = 0
        exit`
    load(code, BPF_PROG_TYPE_SOCKET_FILTER, (loaded) => expectLog(loaded, code))
  })

  it('whatever arithmetic: the verifier’s text is the disassembler’s', () => {
    const operations = ['+=', '-=', '*=', '|=', '&=', '^=', '=']
    const register = fc.integer({ min: 0, max: 9 })
    const immediate = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.constantFrom(0, 1, -1))
    const one = fc.oneof(
      fc
        .tuple(fc.constantFrom('r', 'w'), register, fc.constantFrom(...operations), register)
        .map(([r, a, op, b]) => `${r}${a} ${op} ${r}${b}`),
      fc
        .tuple(fc.constantFrom('r', 'w'), register, fc.constantFrom(...operations, '/=', '%='), immediate)
        .map(([r, a, op, value]) => `${r}${a} ${op} ${value === 0 ? 1 : value}`),
      fc
        .tuple(fc.constantFrom('r', 'w'), register, fc.constantFrom('<<=', '>>=', 's>>='), fc.nat(31))
        .map(([r, a, op, bits]) => `${r}${a} ${op} ${bits}`),
      fc.tuple(register, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })).map(([a, value]) => `r${a} = ${value} ll`),
      fc.tuple(register, fc.nat(63)).map(([a, slot]) => `*(u64 *)(r10 - ${8 * (slot + 1)}) = r${a}`),
      fc.tuple(register, fc.constantFrom('be16', 'le32', 'be64')).map(([a, swap]) => `r${a} = ${swap} r${a}`),
    )
    const { assemble } = require('../../lib') as typeof import('../../lib')
    const start = Array.from({ length: 10 }, (_, i) => `r${i} = ${i}`)
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 60 }), (lines) => {
        const code = assemble([...start, ...lines, 'r0 = 0', 'exit'].join('\n'))
        load(code, BPF_PROG_TYPE_SOCKET_FILTER, (loaded) => expectLog(loaded, code))
      }),
      { numRuns: 40 },
    )
  })

  it('a program counts in a map, by key and by address', () => {
    using counts = HashMap.create({ key: u32, value: u64, maxEntries: 4 })
    using total = ArrayMap.create({ value: u64, maxEntries: 1 })
    const counter = (key: number): Code => bpf`
        *(u32 *)(r10 - 4) = ${key}
        r1 = ${counts} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto none
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
  none:`
    const code = bpf`
        ${counter(7)}
        ${counter(8)}
        r1 = ${total.at(0)} ll
        r2 = ${5n} ll
        lock *(u64 *)(r1 + 0) += r2
        r0 = *(u64 *)(r1 + 0)
        exit`
    counts.set(7, 40n)
    load(code, BPF_PROG_TYPE_SOCKET_FILTER, (loaded) => {
      expectLog(loaded, code)
      expect([run(loaded.fd), run(loaded.fd)]).to.deep.equal([5, 10])
    })
    expect([counts.get(7), counts.get(8), total.get(0)]).to.deep.equal([42n, undefined, 10n])
    expect(code.maps).to.deep.equal([counts, total])
  })

  it('an array of several elements has no addresses, in the kernel as in at()', () => {
    using array = ArrayMap.create({ value: u64, maxEntries: 2 })
    expect(() => array.at(0)).to.throw(
      RangeError,
      'this one has 2: one element may hold them all, value: array(u64, 2); else bpf_map_lookup_elem',
    )
    const { fd } = tryLoad(
      bpf`r1 = ${{ map: array, offset: 0 }} ll
      r0 = 0
      exit`,
      BPF_PROG_TYPE_SOCKET_FILTER,
    )
    if (fd >= 0) closeFd(fd)
    expect(fd).to.equal(-1)
    using one = ArrayMap.create({ value: u64, maxEntries: 1 })
    expect(() => one.at(1)).to.throw(RangeError, 'the array has one element')
    expect(() => one.at('0' as never)).to.throw(RangeError)
  })

  it('a closed map says so when the bytes are made', () => {
    const map = ArrayMap.create({ value: u64, maxEntries: 1 })
    const code = bpf`r1 = ${map} ll
      exit`
    map.close()
    expect(() => code.bytes()).to.throw(ClosedError)
    expect(String(code)).to.include('maps[0]')
    const named = ArrayMap.create({ name: 'hits', value: u64, maxEntries: 1 })
    named.close()
    const later = bpf`
      r0 = 0
      r1 = ${named.at(0)} ll
      exit`
    expect(() => later.bytes()).to.throw(
      ClosedError,
      /^line 3, column 7: ArrayMap 'hits' is closed .*\n.*r1 = \$\{hits\.at\(0\)\} ll\n/,
    )
  })

  it('maps are shown by their names in the lines of the source', () => {
    using hits = ArrayMap.create({ name: 'hits', value: u64, maxEntries: 1 })
    using nameless = ArrayMap.create({ value: u64, maxEntries: 1 })
    const { lines } = bpf`
      r1 = ${hits.at(0)} ll
      r1 = ${hits} ll
      r1 = ${{ map: hits, offset: 4 }} ll
      r1 = ${nameless} ll
      exit`
    expect(lines.map(({ text }) => text)).to.deep.equal([
      `r1 = \${hits.at(0)} ll`,
      `r1 = \${hits} ll`,
      `r1 = \${{ map: hits, offset: 4 }} ll`,
      `r1 = \${ArrayMap} ll`,
      'exit',
    ])
  })

  it('bpf_loop calls a function back, bpf_for_each_map_elem another', function () {
    requireFeature(this, 'helper', 'bpf_loop', 'sched_cls')
    using counts = ArrayMap.create({ value: u64, maxEntries: 3 })
    counts.fill(5n)
    // r1 is the index, r2 what the caller gave.
    const step = bpf`
  step: r3 = *(u64 *)(r2 + 0)
        r3 += r1
        *(u64 *)(r2 + 0) = r3
        r0 = 0
        exit`
    const code = bpf`
        *(u64 *)(r10 - 8) = 0
        r1 = 10
        r2 = ${step} ll
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_loop
        r1 = ${counts} ll
        r2 = each ll
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_for_each_map_elem
        r0 = *(u64 *)(r10 - 8)
        exit
  each: r1 = *(u64 *)(r3 + 0)
        r2 = *(u64 *)(r4 + 0)
        r2 += r1
        *(u64 *)(r4 + 0) = r2
        r0 = 0
        exit`
    load(code, BPF_PROG_TYPE_SCHED_CLS, (loaded) => {
      expectLog(loaded, code)
      expect(run(loaded.fd)).to.equal(45 + 15)
    })
    expect(code.functions.map(({ name }) => name)).to.deep.equal(['main', 'each', 'step'])
  })

  it('a kernel function, by its BTF id', function () {
    const lock = kernelTypeId('func', 'bpf_rcu_read_lock')
    const unlock = kernelTypeId('func', 'bpf_rcu_read_unlock')
    if (lock === undefined || unlock === undefined) return pending(this, 'the kernel has no bpf_rcu_read_lock')
    const code = bpf`
        call ${{ btfId: lock }}
        call ${{ btfId: unlock }}
        r0 = 3
        exit`
    load(
      code,
      BPF_PROG_TYPE_SYSCALL,
      (loaded) => {
        expect(loaded.log.get(0)).to.equal(`(85) call bpf_rcu_read_lock#${lock}`)
        expect(progTestRun({ prog_fd: loaded.fd }).retval).to.equal(3)
      },
      BPF_F_SLEEPABLE,
    )
  })

  it('an arena, and casts between address spaces', function () {
    requireFeature(this, 'mapType', 'arena')
    using arena = Arena.create({ pages: 1, mapExtra: 1n << 44n })
    const code = bpf`
        r1 = ${arena} ll
        r2 = 16
        r2 = addr_space_cast(r2, 0, 1)
        r3 = addr_space_cast(r2, 1, 0)
        r0 = 0
        exit`
    load(code, BPF_PROG_TYPE_SYSCALL, (loaded) => expectLog(loaded, code), BPF_F_SLEEPABLE)
  })

  it('text on the stack is what a program sends', function () {
    requireFeature(this, 'mapType', 'ringbuf')
    using ring = RingBuf.create({ size: 4096 })
    const code = bpf`
        r1 = "hello, w" ll
        *(u64 *)(r10 - 16) = r1
        *(u32 *)(r10 - 8) = "orld"
        r1 = ${ring} ll
        r2 = r10
        r2 += -16
        r3 = 12
        r4 = 0
        call bpf_ringbuf_output
        r0 = *(u8 *)(r10 - 5)
        exit`
    load(code, BPF_PROG_TYPE_SOCKET_FILTER, ({ fd }) => expect(run(fd)).to.equal('d'.charCodeAt(0)))
  })

  it('bpftool prints the xlated code as the disassembler does', function () {
    needs(this, BPFTOOL !== undefined, 'bpftool')
    using counts = ArrayMap.create({ value: u64, maxEntries: 1 })
    const code = bpf`
        r6 = r1
        *(u32 *)(r10 - 4) = 0
        r1 = ${counts} ll
        r2 = ${counts.at(0)} ll
        r3 = 0x1122334455667788 ll
        r4 = *(u32 *)(r6 + 0)
        if w4 > 7 goto out
        w4 s>>= 2
        call next
   out: r0 = 0
        exit
  next: r0 = -1
        if r0 == -1 goto +0
        exit`
    load(code, BPF_PROG_TYPE_SCHED_CLS, ({ fd }) => {
      const { id, xlated_prog_len } = progInfo(fd)
      const xlated = new Uint8Array(xlated_prog_len)
      progInfo(fd, { xlated_prog_insns: xlated })
      const dump = execFileSync(BPFTOOL as string, ['prog', 'dump', 'xlated', 'id', `${id}`], { encoding: 'utf8' })
      const theirs = Array.from(dump.matchAll(/^ *(\d+): (\(.*)$/gm), ([, slot, line]) => [Number(slot), line])
      expect(theirs.length).to.be.greaterThan(12)
      // It knows the names of functions, and writes them behind the distance.
      const plain = theirs.map(([slot, line]) => [slot, (line as string).replace(/(call pc[+-]\d+)#\w+/, '$1')])
      expect([...printed(xlated, true)]).to.deep.equal(plain)
    })
  })
})
