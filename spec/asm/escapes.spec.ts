import { expect } from 'chai'
import { AssemblyError, assemble, bpf, type Code, disassemble } from '../../lib/asm'
import { errorOf } from '../support/error'

const textOf = (code: Code): string[] => disassemble(code.bytes()).split('\n')

/** The error of a template, and the line that it shows. */
function refusal(make: () => Code): AssemblyError {
  const error = errorOf(make)
  expect(error).to.be.instanceOf(AssemblyError)
  return error as AssemblyError
}

describe('escapes in a template', () => {
  it('outside of quotes end lines, and part words, as what they stand for', () => {
    expect(textOf(bpf`r0 = 0\nexit`)).to.deep.equal(['r0 = 0', 'exit'])
    expect(textOf(bpf`\n\tr0 = 0\r\n\texit\n`)).to.deep.equal(['r0 = 0', 'exit'])
    expect(textOf(bpf`goto out\nr0\t=\t1\nout:\nexit`)).to.deep.equal(['goto +1', 'r0 = 1', 'exit'])
  })

  it('end comments, whatever stands in them', () => {
    expect(textOf(bpf`r0 = 0 // "zero\nexit`)).to.deep.equal(['r0 = 0', 'exit'])
    expect(textOf(bpf`r0 = 0 # isn't\nr1 = 'a' ; it's\nexit // \`map\` \\n`)).to.deep.equal([
      'r0 = 0',
      'r1 = 97',
      'exit',
    ])
    expect(textOf(bpf`call bpf_ktime_get_ns#5\nexit`)).to.deep.equal(['call bpf_ktime_get_ns', 'exit'])
    expect(textOf(bpf`r0 = 0 /* "one\n */\nexit`)).to.deep.equal(['r0 = 0', 'exit'])
    expect(
      textOf(bpf`r0 = 0 // C:\
        exit`),
    ).to.deep.equal(['r0 = 0', 'exit'])
  })

  it('between quotes are those of the assembler, in one line too', () => {
    const several = bpf`
      r1 = "a\n\"b\\" ll
      r2 = "\xff" ll
      r3 = '\n'
      r4 = '\\'
      r5 = '\''
      exit`
    const one = bpf`r1 = "a\n\"b\\" ll\nr2 = "\xff" ll\nr3 = '\n'\nr4 = '\\'\nr5 = '\''\nexit`
    expect(textOf(one)).to.deep.equal(textOf(several))
    expect(Buffer.from(one.bytes()).subarray(20, 24)).to.deep.equal(
      Buffer.from(assemble('r2 = "\\xff" ll').bytes()).subarray(4, 8),
    )
    expect(textOf(one).slice(2)).to.deep.equal(['r3 = 10', 'r4 = 92', 'r5 = 39', 'exit'])
  })

  it('stand beside interpolated values, which stay where they are', () => {
    const map = { fd: 7 }
    const fragment = bpf`r2 = ${'r10'}\nr2 += ${-4}`
    expect(textOf(bpf`r1 = ${map} ll // ${'a'} "map\n${fragment}\ncall ${1} // "\nexit`)).to.deep.equal([
      'r1 = map[fd:7] ll',
      'r2 = r10',
      'r2 += -4',
      'call bpf_map_lookup_elem',
      'exit',
    ])
  })

  it('count as lines where something is wrong', () => {
    const error = refusal(() => bpf`r0 = ${0}\n  r1 = *(u32 *)(10)\nexit`)
    expect(error).to.include({ line: 2, column: 17 })
    expect(error.message.split('\n').slice(1)).to.deep.equal(['   2 |   r1 = *(u32 *)(10)', '                       ^'])
    expect(bpf`r0 = 0\n exit`.lines.map(({ line, column, text }) => [line, column, text])).to.deep.equal([
      [1, 1, 'r0 = 0'],
      [2, 2, 'exit'],
    ])
  })

  it('that stand for nothing here are refused, also those that JavaScript has no reading of', () => {
    for (const [make, found] of [
      [() => bpf`r0 = 0\qexit`, "expected the end of the line, found '\\q'"],
      [() => bpf`r0 = 0\\nexit`, "expected the end of the line, found '\\\\'"],
      // No escapes at all to JavaScript: it leaves the cooked text undefined.
      [() => bpf`r0 = 0\xg\nexit`, "expected the end of the line, found '\\x'"],
      [() => bpf`\u{r0} = 0`, "expected an instruction (`r1 = 5`, `goto out`, `call ...`), found '\\u'"],
      [() => bpf`r1 = "\q" ll`, 'there is no \\q'],
      [() => bpf`r1 = "\x4" ll`, 'there is no \\x'],
      [() => bpf`r1 = "abc ll\nexit`, 'this string has no end on its line'],
    ] as const) {
      expect(refusal(make).reason).to.include(found)
    }
  })

  it('are not looked for in text from elsewhere', () => {
    expect(errorOf(() => assemble('r0 = 0\\nexit')).message).to.include("expected the end of the line, found '\\n'")
  })
})
