import { inspect } from 'node:util'
import { expect } from 'chai'
import { assemble, bpf, Code, disassemble } from '../../lib/asm'

/** Something with an fd, which tells when it is read. */
class Opened {
  reads = 0
  constructor(readonly number: number | Error) {}
  get fd(): number {
    this.reads++
    if (this.number instanceof Error) throw this.number
    return this.number
  }
}

const textOf = (code: Code): string[] => disassemble(code.bytes()).split('\n')

describe('bpf`...`', () => {
  it('numbers and bigints', () => {
    const code = bpf`
      r1 = ${-5}
      r2 = ${7n} + ${1}
      r3 = -${4}
      r4 = ${2n ** 64n - 1n} ll
      r5 = ${-1} ll
      r6 = ${2 ** 52 + 1} ll
      r7 = ${-(2 ** 40)} ll
      r1 = *(u${8 * 4} *)(r10 - ${8} + 4)
      r1 = *(u32 *)(r10 ${-8})
      *(u8 *)(r10 - 1) = ${255}
      if r1 == ${3} goto +${1}
      call ${1}`
    expect(textOf(code)).to.deep.equal([
      'r1 = -5',
      'r2 = 8',
      'r3 = -4',
      'r4 = 0xffffffffffffffff ll',
      'r5 = 0xffffffffffffffff ll',
      'r6 = 0x10000000000001 ll',
      'r7 = 0xffffff0000000000 ll',
      'r1 = *(u32 *)(r10 - 4)',
      'r1 = *(u32 *)(r10 - 8)',
      '*(u8 *)(r10 - 1) = 255',
      'if r1 == 3 goto +1',
      'call bpf_map_lookup_elem',
    ])
  })

  it('strings are words: registers, helpers, labels; numbers end a word', () => {
    const code = bpf`
      ${'r3'} = r${6}
      call ${'bpf_ktime_get_ns'}
      goto ${'out'}
      goto loop_${1}
    loop_${1}:
      r0 = 1
    ${'out'}: exit`
    expect(textOf(code)).to.deep.equal(['r3 = r6', 'call bpf_ktime_get_ns', 'goto +2', 'goto +0', 'r0 = 1', 'exit'])
  })

  it('a register that is interpolated can be negated', () => {
    expect(textOf(bpf`r1 = -${'r1'}`)).to.deep.equal(['r1 = -r1'])
    expect(textOf(bpf`w2 = - w${2}`)).to.deep.equal(['w2 = -w2'])
    expect(textOf(bpf`r1 = -${4}`)).to.deep.equal(['r1 = -4'])
  })

  it('text as a constant: its bytes are in memory in their order', () => {
    const code = bpf`
      r1 = "hello\n" ll
      *(u32 *)(r10 - 4) = "abc"
      *(u64 *)(r10 - 16) = "z"
      r2 = "\x41\0\\\"é" ll`
    const bytes = Buffer.from(code.bytes())
    const parts = [bytes.subarray(4, 8), bytes.subarray(12, 16)]
    expect(Buffer.concat(parts.map((part) => Buffer.from(part))).toString('latin1')).to.equal(
      require('node:os').endianness() === 'LE' ? 'hello\n\0\0' : '\n\0\0hell',
    )
    expect(code.instructions[1]).to.include({ slot: 2, code: 0x62, off: -4 })
    expect(bytes.subarray(20, 24).toString('latin1')).to.equal('abc\0')
    expect(bytes.subarray(36, 40).toString('latin1')).to.equal('A\0\\"')
  })

  it('maps: the fd is read when the bytes are made, each time', () => {
    const [one, two] = [new Opened(7), new Opened(8)]
    const code = bpf`
      r1 = ${one} ll
      r2 = ${{ map: two, offset: 16 }} ll
      r3 = ${one} ll`
    expect(code.length).to.equal(6)
    expect(code.maps).to.deep.equal([one, two])
    expect(inspect(code)).to.include('Code (6 slots, 2 maps)').and.to.include(`r3 = \${maps[0]} ll`)
    expect([one.reads, two.reads]).to.deep.equal([0, 0])
    expect(textOf(code)).to.deep.equal(['r1 = map[fd:7] ll', 'r2 = map[fd:8][0]+16 ll', 'r3 = map[fd:7] ll'])
    code.bytes()
    expect([one.reads, two.reads]).to.deep.equal([4, 2])
  })

  it('a map’s own error comes through; what is no fd is refused', () => {
    const closed = new Error('the map is closed')
    const code = bpf`r1 = ${new Opened(closed)} ll`
    expect(() => code.bytes()).to.throw(closed as never)
    expect(() => bpf`r1 = ${{ fd: 0 }} ll`.bytes()).to.throw(RangeError, '0 is not the fd of a BPF object')
    expect(() => bpf`r1 = ${{ fd: 2 ** 32 + 5 }} ll`.bytes()).to.throw(RangeError)
    expect(() => bpf`r1 = ${{ fd: '5' as never }} ll`.bytes()).to.throw(TypeError)
  })

  it('kernel functions and variables, of vmlinux and of modules', () => {
    const [first, second] = [new Opened(20), new Opened(21)]
    const code = bpf`
      call ${{ btfId: 100 }}
      call ${{ btfId: 200, module: first }}
      call ${{ btfId: 300, module: second }}
      call ${{ btfId: 201, module: first }}
      r1 = ${{ btfId: 400 }} ll
      r2 = ${{ btfId: 401, module: second }} ll`
    expect(textOf(code)).to.deep.equal([
      'call kernel-function#100',
      'call kernel-function#200@1',
      'call kernel-function#300@2',
      'call kernel-function#201@1',
      'r1 = btf[id:400] ll',
      'r2 = btf[id:401,fd:21] ll',
    ])
    expect(
      String(code)
        .split('\n')
        .map((line) => line.trim()),
    ).to.deep.equal([
      'call kernel-function#100',
      ...[`call \${{ btfId: 200, module: modules[0] }}`, `call \${{ btfId: 300, module: modules[1] }}`],
      `call \${{ btfId: 201, module: modules[0] }}`,
      ...['r1 = btf[id:400] ll', `r2 = \${{ btfId: 401, module }} ll`],
    ])
    expect(code.modules).to.deep.equal([first, second])
    expect(code.maps).to.deep.equal([])
    const third = new Opened(22)
    const more = bpf`
      ${code}
      r1 = ${{ btfId: 7, module: third }} ll
      r1 = ${{ map: first, offset: 0 }} ll`
    expect(more.modules).to.deep.equal([first, second])
    expect(more.objects).to.deep.equal([first, second, third])
  })

  it('fragments: labels are their own, as often as they are put in; missing ones are in the text around', () => {
    const step = bpf`
      if r1 == 0 goto skip
      r2 += 1
      if r2 > 9 goto out
    skip:`
    const code = bpf`
    skip:
      r2 = 0
      ${step}
      ${step}
      goto skip
    out:
      exit`
    expect(textOf(code)).to.deep.equal([
      'r2 = 0',
      'if r1 == 0 goto +2',
      'r2 += 1',
      'if r2 > 9 goto +4',
      'if r1 == 0 goto +2',
      'r2 += 1',
      'if r2 > 9 goto +1',
      'goto -8',
      'exit',
    ])
    expect(() => step.bytes()).to.throw('there is no label out')
    expect(() =>
      bpf`goto inside
      ${bpf`inside: exit`}`.bytes(),
    ).to.throw('there is no label inside')
    expect(String(code)).to.include('skip_4:').and.to.include('goto skip_4')
    expect(disassemble(assemble(String(code)).bytes())).to.equal(disassemble(code.bytes()))
  })

  it('a label behind the last instruction is in the text, too', () => {
    const code = bpf`if r1 == 0 goto end
      r1 = 5 ll
      end:`
    expect(String(code)).to.equal('  if r1 == 0 goto end\n  r1 = 0x5 ll\nend:')
    expect(textOf(assemble(String(code)))).to.deep.equal(textOf(code))
  })

  it('fragments in fragments, and their numeric labels', () => {
    const inner = bpf`
    1:  r1 += 1
        if r1 < 5 goto 1b
        if r1 > 7 goto 1f
        goto done
    1:  r1 = 0`
    const middle = bpf`
    1:  ${inner}
        goto 1b`
    const code = bpf`
        ${middle}
        ${middle}
    done: exit`
    const back = ['r1 += 1', 'if r1 < 5 goto -2', 'if r1 > 7 goto +1']
    expect(textOf(code)).to.deep.equal([
      ...[...back, 'goto +8', 'r1 = 0', 'goto -6'],
      ...[...back, 'goto +2', 'r1 = 0', 'goto -6'],
      'exit',
    ])
  })

  it('functions by label: calls and addresses', () => {
    const code = bpf`
      r2 = each ll
      call twice
      exit
    twice:
      r0 = r1
      r0 *= 2
      exit
    each:
      r0 = 0
      exit`
    expect(textOf(code).slice(0, 2)).to.deep.equal(['r2 = subprog[+6] ll', 'call +1'])
    expect(code.instructions[0]).to.deep.include({ code: 0x18, dst: 2, src: 4, imm: 6, next: 0 })
    expect(code.instructions[1]).to.deep.include({ slot: 2, code: 0x85, src: 1, imm: 1 })
    expect(code.functions).to.deep.equal([
      { name: 'main', offset: 0 },
      { name: 'twice', offset: 4 },
      { name: 'each', offset: 7 },
    ])
  })

  it('functions that are code of their own stand behind the program, once', () => {
    const leaf = bpf`
      leaf:
        r0 = 3
        exit`
    const other = bpf`
        call ${leaf}
        r0 += 1
        exit`
    const code = bpf`
      start:
        call ${leaf}
        call ${other}
        r2 = ${leaf} ll
        exit`
    expect(textOf(code)).to.deep.equal([
      'call +4',
      'call +5',
      'r2 = subprog[+2] ll',
      'exit',
      ...['r0 = 3', 'exit'],
      ...['call -3', 'r0 += 1', 'exit'],
    ])
    expect(code.functions).to.deep.equal([
      { name: 'start', offset: 0 },
      { name: 'leaf', offset: 5 },
      { name: 'function_2', offset: 7 },
    ])
    expect(
      () =>
        bpf`call ${bpf`goto out`}
      out: exit`.bytes(),
      'a function has no text around it',
    ).to.throw('there is no label out')
  })

  it('functions have functions of their own', () => {
    const outer = bpf`
      outer:
        call inner
        if r0 == 0 goto done
        r0 = 1
      done:
        exit
      inner:
        r0 = 0
        exit`
    const code = bpf`
        call ${outer}
        exit`
    expect(code.functions).to.deep.equal([
      { name: 'main', offset: 0 },
      { name: 'outer', offset: 2 },
      { name: 'inner', offset: 6 },
    ])
    const lines = [
      '  call outer',
      '  exit',
      'outer:',
      '  call inner',
      '  if r0 == 0 goto done',
      '  r0 = 1',
      'done:',
      '  exit',
    ]
    expect(String(code).split('\n')).to.deep.equal([...lines, 'inner:', '  r0 = 0', '  exit'])
    expect(textOf(code)).to.deep.equal(textOf(assemble(String(code))))
  })

  it('the greatest numbers that fit', () => {
    expect(
      textOf(bpf`call ${{ btfId: 2 ** 31 - 1 }}
      r1 = ${{ btfId: 2 ** 31 - 1 }} ll
      r2 = ${{ map: new Opened(7), offset: 2 ** 32 - 1 }} ll
      r3 = ${Number.MAX_SAFE_INTEGER} ll
      r4 = ${Number.MIN_SAFE_INTEGER} ll
      r5 = ${-(2n ** 63n)} ll`),
    ).to.deep.equal([
      'call kernel-function#2147483647',
      'r1 = btf[id:2147483647] ll',
      'r2 = map[fd:7][0]+4294967295 ll',
      'r3 = 0x1fffffffffffff ll',
      'r4 = 0xffe0000000000001 ll',
      'r5 = 0x8000000000000000 ll',
    ])
  })

  it('a function may be longer than a call can have arguments', () => {
    const long = assemble(`${'r0 = 0\n'.repeat(200_000)}exit`)
    const code = bpf`call ${long}
      exit`
    expect([code.length, code.functions[1]?.offset]).to.deep.equal([200_003, 2])
  })

  it('labels that are told apart in the text are not those of others', () => {
    const inner = bpf`
        if r1 == 0 goto skip
        r1 = 1
  skip:`
    // The label that the inner one would be given.
    const code = bpf`
  skip:   if r1 == 0 goto skip_5
          goto skip
          r1 = 1
  skip_5: ${inner}
          exit`
    expect(textOf(assemble(String(code)))).to.deep.equal(textOf(code))
  })

  it('a function may call itself by its label', () => {
    const self = bpf`self: call self
      exit`
    expect(textOf(self)).to.deep.equal(['call -1', 'exit'])
    expect(self.functions).to.deep.equal([{ name: 'self', offset: 0 }])
  })

  it('knows the line of each instruction', () => {
    const fragment = bpf`r1 = 1
      r2 = 2`
    const code = bpf`
      r0 = ${5} ll // five
    a: b: ${fragment}
      exit`
    expect(code.lines).to.deep.equal([
      { slot: 0, line: 2, column: 7, text: `r0 = \${5} ll // five` },
      { slot: 2, line: 1, column: 1, text: 'r1 = 1' },
      { slot: 3, line: 2, column: 7, text: 'r2 = 2' },
      { slot: 4, line: 4, column: 7, text: 'exit' },
    ])
  })

  it('is never changed: what it gives is the caller’s', () => {
    const code = bpf`exit`
    code.bytes().fill(0)
    ;(code.instructions as unknown[]).length = 0
    expect(textOf(code)).to.deep.equal(['exit'])
    expect(code.instructions).to.have.length(1)
    expect(code).to.be.instanceOf(Code)
    expect(inspect(code)).to.equal('Code (1 slot) {\n  exit\n}')
  })

  it('text may be empty, with lines of either end', () => {
    expect(bpf``.bytes()).to.have.length(0)
    expect(textOf(assemble('r0 = 0\r\nexit\r\n'))).to.deep.equal(['r0 = 0', 'exit'])
    expect(assemble('# nothing\n// at\n; all\n/* here */').length).to.equal(0)
  })
})
