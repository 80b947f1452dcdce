import { expect } from 'chai'
import { AssemblyError, assemble, bpf, type Code } from '../../lib/asm'
import { errorOf } from '../support/error'

function refusal(make: () => Code): AssemblyError {
  const error = errorOf(() => make().bytes())
  expect(error).to.be.instanceOf(AssemblyError)
  return error as AssemblyError
}

describe('AssemblyError', () => {
  it('points at the place, in the line as it stands there', () => {
    const error = refusal(
      () => bpf`
        r0 = 0
        r1 = *(u32 *)(10)
        exit
      `,
    )
    expect(error).to.be.instanceOf(SyntaxError)
    expect(error).to.include({ name: 'AssemblyError', code: 'ERR_EBPF_ASSEMBLY', line: 3, column: 23 })
    expect(error.message.split('\n')).to.deep.equal([
      "line 3, column 23: expected a register (r0 to r10), found '10'",
      '   3 |         r1 = *(u32 *)(10)',
      '                             ^',
    ])
    expect(error.reason).to.equal("expected a register (r0 to r10), found '10'")
  })

  it('counts an interpolated value as it is shown, and tabs as tabs', () => {
    const error = refusal(() => bpf`${{ fd: 3 }}`)
    expect(error.message).to.include(`\${{...}}`)
    const inLine = refusal(() => bpf`	r1 = ${12} + ${1.5}`)
    expect(inLine.message.split('\n')).to.deep.equal([
      'line 1, column 15: 1.5 is not a whole number',
      `   1 | \tr1 = \${12} + \${1.5}`,
      '       \t             ^',
    ])
  })

  it('shows what is near the place of a line that is long', () => {
    const error = refusal(() => assemble(`r0 = 0\nr0 =${' '.repeat(5000)}nonsense ; ${'and so on '.repeat(500)}`))
    const [place, line = '', caret = ''] = error.message.split('\n')
    expect(place).to.match(/^line 2, column 5005: /)
    expect(line).to.match(/^ {3}2 \| \.\.\..*\.\.\.$/)
    expect(line.length).to.be.below(220)
    expect(line.slice(caret.indexOf('^'))).to.match(/^nonsense ; and so on/)
  })

  it('of a number with more signs than anybody means', () => {
    const error = refusal(() => assemble(`r0 = ${'-'.repeat(20_000)}1`))
    expect(error).to.include({ line: 1, column: 70, reason: 'a number has 64 signs at most' })
    expect(error.message.length).to.be.below(500)
    expect(assemble('r0 = - -+~ 5').bytes()).to.deep.equal(assemble('r0 = -6').bytes())
    expect(assemble(`r0 = ${'-'.repeat(64)}1`).bytes()).to.deep.equal(assemble('r0 = 1').bytes())
  })

  it('points into the fragment that has the mistake', () => {
    const fragment = bpf`
      r1 = 1
      goto nowhere`
    const error = refusal(
      () => bpf`
        r0 = 0
        ${fragment}
        exit`,
    )
    expect(error).to.include({ line: 3, column: 12, reason: 'there is no label nowhere' })
    expect(error.message).to.include('goto nowhere\n')
  })

  /** Text, the place, and what is said. */
  for (const [text, column, reason] of [
    // what is expected
    ['mov r1, r2', 1, "'mov' begins no instruction here: this assembler takes `r0 = 0`"],
    ['add32 r1, 5', 1, 'this assembler takes `w0 += 5`'],
    ['ldxw r0, [r1+0]', 1, 'this assembler takes `r0 = *(u32 *)(r1 + 0)`'],
    ['stxdw [r10-8], r1', 1, 'this assembler takes `*(u64 *)(r10 - 8) = r1`'],
    ['jeq r0, 0, out', 1, 'this assembler takes `if r0 == 5 goto out`'],
    ['lddw r1, 5', 1, 'this assembler takes `r0 = 5 ll`'],
    ['ret', 1, 'this assembler takes `exit`'],
    ['fib r1, r2', 1, 'expected an instruction (`r1 = 5`, `goto out`, `call ...`)'],
    ['exitt', 1, '(exit?)'],
    ['r1', 3, 'expected an assignment (= '],
    ['r1 =', 5, 'expected a register, a number, a load or a label, found the end of the line'],
    ['r1 == 5', 4, 'expected an assignment'],
    ['exit now', 6, "expected the end of the line, found 'now'"],
    ['r1 = 5 6', 8, 'the end of the line'],
    ['r1 = 5x', 6, 'expected a number'],
    ['r1 = 09', 6, 'expected a number'],
    ['r11 = 0', 1, 'there is no register r11'],
    ['w12 = 0', 1, 'they end at w10'],
    [
      'r1 = *(u24 *)(r2 + 0)',
      8,
      "expected a type of memory (u8, u16, u32, u64, and s8, s16, s32 in loads), found 'u24'",
    ],
    ['r1 = *(u32)(r2 + 0)', 11, "expected '*'"],
    ['r1 = *(u32 *)(r2 + 0', 21, "expected ')', found the end of the line"],
    ['if r1 goto +1', 7, 'expected a comparison'],
    ['if r1 == 5', 11, 'expected goto, found the end of the line'],
    ['goto 5', 6, 'expected a label, or a distance with its sign (+5)'],
    ['lock *(u64 *)(r1 + 0) -= r2', 23, 'expected an atomic operation'],
    ['call', 5, 'expected a helper, a label'],
    ['/* no end', 1, 'this comment has no end'],
    ['r1 = "abc', 6, 'this string has no end'],
    ["r1 = 'ab'", 6, 'expected a character'],
    ["r1 = '\\q'", 6, 'there is no \\q'],
    // what does not fit
    ['r1 = 0x80000000', 6, 'its upper bit would be taken for a sign): write ll behind it'],
    ['r1 = 0x1122334455667788', 6, '0x1122334455667788 does not fit a signed immediate of 32 bits: write ll'],
    ['r1 += 4294967295', 7, 'load it into a register with ll first'],
    ['if r1 == 0xffffffff goto +1', 10, 'load it into a register with ll first'],
    ['w1 = 0x100000000', 6, 'does not fit 32 bits: it is from -2147483648 to 4294967295'],
    ['r1 = 0x10000000000000000 ll', 6, 'does not fit 64 bits'],
    ['*(u8 *)(r1 + 0) = 256', 19, '256 does not fit 8 bits: it is from -128 to 255'],
    ['*(u16 *)(r1 + 0) = -32769', 20, 'does not fit 16 bits'],
    ['*(u64 *)(r1 + 0) = 0xffffffff', 20, 'load it into a register with ll, and store that'],
    ['r1 = "123456789" ll', 6, '9 bytes of text do not fit into 8'],
    ['r1 = "abc"', 6, 'a string constant in a register takes 64 bits: add ll'],
    ['r1 += "abc"', 7, 'a string constant stands where bytes are stored'],
    ['r1 = map[fd:5][0]+-1 ll', 19, 'does not fit 32 bits'],
    ['*(u32 *)(r1 + 0) = "abcde"', 20, '5 bytes of text do not fit into 4'],
    ['r1 = *(u32 *)(r2 + 32768)', 18, '32768 does not fit an offset of 16 bits: it is from -32768 to 32767'],
    ['goto +32768', 6, '32768 does not fit a jump of 16 bits'],
    ['call 2147483648', 6, 'does not fit the number of a helper'],
    ['call unknown#2147483648', 14, 'does not fit a number of 32 bits'],
    ['ld_pseudo r1, 16, 0', 15, 'does not fit the 4 bits of src_reg'],
    ['r1 = map[fd:2147483648] ll', 13, 'does not fit 32 bits'],
    ['call -2147483649', 6, 'does not fit a jump of 32 bits'],
    ['r1 = addr_space_cast(r2, 65536, 0)', 26, 'does not fit an address space'],
    // what cannot be together
    ['r1 = w2', 6, '32 bits (wN) and 64 bits (rN)'],
    ['w1 += r2', 7, '32 bits (wN) and 64 bits (rN)'],
    ['if r1 == w2 goto +1', 10, '32 bits (wN) and 64 bits (rN) cannot be compared'],
    ['w1 = 5 ll', 1, 'w1 has 32 bits: r1 takes this'],
    ['w1 = *(u64 *)(r2 + 0)', 1, 'w1 has 32 bits'],
    ['*(u64 *)(r10 - 8) = w1', 21, 'w1 has 32 bits, and 64 are stored'],
    ['r1 = *(u32 *)(w2 + 0)', 15, 'w2 is the lower half of a register'],
    ['*(s32 *)(r1 + 0) = r2', 2, 'a store has no sign'],
    ['r1 = *(s64 *)(r2 + 0)', 7, '64 bits have no sign to extend'],
    ['w1 = (s32)w2', 7, '32 bits extended to 32 are what they were'],
    ['r1 = -r2', 7, 'a register is negated in place: this must be r1'],
    ['r1 = be16 r2', 11, 'a register is swapped in place: this must be r1'],
    ['r1 = *(u16 *)skb[12]', 1, 'packet loads put their result into r0'],
    ['r0 = *(u64 *)skb[12]', 7, 'packet loads are of u8, u16 or u32'],
    ['lock *(u16 *)(r1 + 0) += r2', 7, 'atomic operations are done on u32 and u64 alone'],
    ['r2 = atomic_fetch_add((u64 *)(r1 + 0), r3)', 40, 'the old value comes back in the register that was given'],
    ['r2 = cmpxchg_64(r1 + 0, r0, r3)', 1, 'the old value comes back in r0'],
    ['w0 = cmpxchg_64(r1 + 0, r0, r2)', 1, 'this is r0 on both sides'],
    ['w2 = xchg_64(r1 + 0, r2)', 1, 'this is r2 on both sides'],
    ['r0 = cmpxchg_64(r1 + 0, r2, r3)', 25, 'what is compared with is always in r0'],
    ['r2 = atomic64_xchg((u32 *)(r1 + 0), r2)', 20, 'this operation is done on u64'],
    // names
    ['call bpf_map_lokup_elem', 6, 'did you mean bpf_map_lookup_elem?'],
    ['call map_lookup_elem', 6, 'did you mean bpf_map_lookup_elem?'],
    ['call bpf_iter_num_new', 6, 'kernel functions are interpolated, by their BTF id'],
    ['call bpf_map_lookup_elem#2', 6, 'bpf_map_lookup_elem is helper 1, not 2'],
    ['call bpf_map_lokup_elem#1', 6, 'helper 1 is bpf_map_lookup_elem, not bpf_map_lokup_elem'],
    ['goto nowhere', 6, 'there is no label nowhere'],
    ['goto 1b', 6, 'there is no label 1 before this line'],
    ['goto 1f', 6, 'there is no label 1 behind this line'],
    ['a: r0 = 0\na: exit', 1, 'the label a is there twice'],
    ['r1: exit', 1, 'r1 is a register, and no name for a label'],
    ['bpf_loop: exit', 1, 'bpf_loop is a helper, and no name for a label'],
    ['r1 = out', 6, 'a label with ll'],
    ['r1 = map[id:5] ll', 10, 'a program names maps by fd, not by id'],
    ['r0 = 0; exit', 7, 'a semicolon begins a comment: an instruction behind it needs a line of its own'],
  ] as const) {
    it(`${JSON.stringify(text)}: ${reason}`, () => {
      const error = refusal(() => assemble(text))
      expect(error.reason).to.include(reason)
      expect(error.column).to.equal(column)
      expect(error.line).to.equal(text.split('\n').length)
    })
  }

  it('a comment behind a semicolon is one, unless it reads as an instruction', () => {
    expect(assemble('r0 = 0 ; exit the program\nexit; done').length).to.equal(2)
    expect(assemble('exit;').length).to.equal(1)
  })

  it('a label that is nearly there is suggested', () => {
    expect(refusal(() => assemble('goto outt\nif r1 == 0 goto out\nout: exit')).reason).to.equal(
      'there is no label outt; did you mean out?',
    )
    // Nothing else aims at it.
    expect(refusal(() => assemble('if r1 == 0 goto ouut\nout: exit')).reason).to.equal(
      'there is no label ouut; did you mean out?',
    )
  })

  it('a jump that is too far says what to write', () => {
    const far = 'exit\n'.repeat(32768)
    expect(refusal(() => assemble(`goto out\n${far}out: exit`)).reason).to.include('gotol goes farther')
    expect(refusal(() => assemble(`out: exit\n${far}if r1 == 0 goto out`)).reason).to.include('jump to a gotol')
    expect(assemble(`gotol out\n${far}out: exit`).instructions[0]).to.include({ code: 0x06, imm: 32768 })
    expect(assemble(`goto out\n${far.slice(5)}out: exit`).instructions[0]).to.include({ code: 0x05, off: 32767 })
  })

  it('values of the wrong kind', () => {
    const wrong: readonly [() => Code, string][] = [
      [() => bpf`r1 = ${2n ** 40n}`, '0x10000000000 does not fit a signed immediate of 32 bits: write ll'],
      [() => bpf`r1 = ${2n ** 64n} ll`, 'does not fit 64 bits'],
      [() => bpf`r1 = ${2 ** 60} ll`, 'is past 2^53, where numbers are not exact: give it as a bigint'],
      [() => bpf`r1 = ${Number.NaN}`, 'NaN is not a whole number'],
      [() => bpf`r1 = ${{ fd: 3 }}`, `expected ll behind \${{...}}`],
      [() => bpf`r1 += ${{ fd: 3 }}`, `expected a number, found \${{...}}`],
      [() => bpf`r1 = ${{} as never} ll`, `\${{...}} cannot stand here`],
      [() => bpf`r1 = ${undefined as never} ll`, `\${undefined} cannot stand here`],
      [() => bpf`r1 = ${true as never}`, `\${true} cannot stand here`],
      [() => bpf`r1 = *(u32 *)(r2 + ${40000})`, '40000 does not fit an offset of 16 bits'],
      [() => bpf`r1 = ${{ map: { fd: 3 }, offset: -1 }} ll`, '-1 does not fit the offset of a map value'],
      [() => bpf`r1 = ${{ map: { fd: 3 }, offset: 1.5 }} ll`, '1.5 is not a whole number'],
      [() => bpf`r1 = ${{ map: null as never, offset: 0 }} ll`, `\${{...}} cannot stand here`],
      [() => bpf`r1 = ${{ btfId: 5, module: null as never }} ll`, `\${{...}} cannot stand here`],
      [() => bpf`r1 = ${{ btfId: 1.5 }} ll`, '1.5 is not a whole number'],
      [() => bpf`r1 = ${{ btfId: 0 }} ll`, '0 does not fit a BTF id: it is from 1 to 2147483647'],
      [() => bpf`call ${{ btfId: 2 ** 31 }}`, 'does not fit a BTF id'],
      [() => bpf`call ${{ btfId: 1.5 }}`, '1.5 is not a whole number'],
      [() => bpf`call ${{ btfId: -7 }}`, '-7 does not fit a BTF id: it is from 1 to 2147483647'],
      [() => bpf`call ${{ btfId: 5, module: 'sk' as never }}`, 'expected a helper, a label'],
      [() => bpf`r1 = "a${'b'}" ll`, 'between quotes nothing is interpolated'],
      [() => bpf`*(u32 *)(r10 - 4) = "${7}"`, 'between quotes nothing is interpolated'],
      [() => bpf`r1 = '${'b'}'`, 'between quotes nothing is interpolated'],
      [() => bpf`call ${'two words'}`, 'expected a helper'],
      [() => bpf`${'r0 = 0\nexit'}`, 'expected an instruction'],
      [() => bpf`goto ${3}`, 'expected a label, or a distance with its sign'],
    ]
    for (const [make, reason] of wrong) expect(refusal(make).reason).to.include(reason)
  })

  it('neither bpf nor assemble takes the other’s argument', () => {
    expect(() => bpf('exit' as never)).to.throw(TypeError, 'assemble()')
    expect(() => bpf(['exit'] as never)).to.throw(TypeError, 'assemble()')
    expect(() => assemble(['exit'] as never)).to.throw(TypeError, 'string')
  })
})
