import { expect } from 'chai'
import fc from 'fast-check'
import { assemble, disassemble } from '../../lib/asm'
import { needs } from '../support/kernel'
import { findLlvm, type Llvm } from '../support/llvm'
import { FORMS, knotted, programs } from './forms'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').replace(/.{16}/g, '$& ')

/** To LLVM the name of a helper is a symbol, to be told by somebody else. */
const numbered = (text: string): string =>
  text.replace(/call (bpf_\w+)/g, (_, name: string) => `call ${assemble(`call ${name}`).instructions[0]?.imm}`)

describe('LLVM', () => {
  let llvm: Llvm

  before(function () {
    const found = findLlvm()
    needs(this, found !== undefined, 'llvm-mc and llvm-objdump with the BPF target (Debian: llvm-19)')
    llvm = found as Llvm
  })

  for (const { name, bytes, llvm: since } of FORMS) {
    if (since === undefined) continue
    it(`${name}: its assembler makes the same bytes of our text, and its disassembler's text is ours`, function () {
      needs(this, llvm.version >= since, `LLVM ${since}, not ${llvm.version}`)
      // One run of the tools for many instructions.
      const all = fc.sample(bytes, 400).map((instruction) => Uint8Array.from(instruction))
      const program = Uint8Array.from(all.flatMap((instruction) => [...instruction]))
      const { bytes: theirs, text } = llvm.listing(numbered(disassemble(program)))
      expect(hex(theirs)).to.equal(hex(program))
      expect(text).not.to.include('unknown')
      expect(hex(assemble(text).bytes())).to.equal(hex(program))
      // Without the bytes in front nothing but the text tells.
      const bare = text.replace(/\t?(?:[0-9a-f]{2} ){7,15}[0-9a-f]{2}\t/g, ' ')
      expect(bare).not.to.equal(text)
      expect(hex(assemble(bare).bytes())).to.equal(hex(program))
    })
  }

  it('programs of all that it knows, as a whole', function () {
    needs(this, llvm.version >= 19, `LLVM 19, not ${llvm.version}`)
    fc.assert(
      fc.property(
        programs(({ llvm: since }) => since !== undefined, 300),
        (program) => {
          const text = disassemble(program)
          expect(hex(llvm.assemble(numbered(text)))).to.equal(hex(program))
        },
      ),
      { numRuns: 10 },
    )
  })

  it('labels: goto, gotol, may_goto, comparisons and calls of functions', function () {
    needs(this, llvm.version >= 19, `LLVM 19, not ${llvm.version}`)
    fc.assert(
      fc.property(knotted, (program) => {
        // The address of a function is for the linker to put in, and a call of a number is a helper's.
        const text = disassemble(program, { labels: true })
          .replace(/^.*(?:func_\d+|subprog.*) ll$/gm, '  r2 = 0 ll')
          .replace(/call [+-]\d+/g, 'exit')
        const wanted = assemble(text).bytes()
        expect(hex(llvm.assemble(text))).to.equal(hex(wanted))
      }),
      { numRuns: 30 },
    )
  })

  /** What may be written in more than one way, and what is refused here and there. */
  for (const [what, text] of [
    [
      'numbers',
      'r1 = 0x10\nr2 = -0x10\nr3 = 0b101\nr4 = 017\nw5 = 0xffffffff\nr6 = -2147483648\nr7 = 0xffffffffffffffff ll',
    ],
    ['characters and sums', "r1 = 'a'\nr2 = 4 + 3 - 1\n*(u8 *)(r10 - 4 + 1) = 'z'"],
    ['blanks', '  r1=*( u32*) (r10-4)\n*(u64*)(r10-8)=r1\nif r1==5 goto +1\nlock *(u64 *)(r1+0)+=r2'],
    ['comments', 'r1 = 1 // one\nr2 = 2 # two\n/* three\n is */ r3 = 3\nr4 /* four */ = 4'],
    ['numeric labels', '1: r1 = 1\ngoto 1b\ngoto 1f\n1:\nif r1 > 3 goto 1b\nexit'],
    [
      'words and half words',
      '*(u32 *)(r10 - 4) = w1\nw2 = *(u16 *)(r1 + 2)\nw3 = *(u8 *)(r1 + 0)\nlock *(u32 *)(r1 + 0) |= w2',
    ],
    ['a constant of 64 bits by its kind', 'ld_pseudo r1, 1, 5\nld_pseudo r2, 2, 0x12345'],
    ['a slot as it is', '.8byte 0x95\n.8byte 0x1122334455667788'],
  ] as const) {
    it(`reads as LLVM does: ${what}`, function () {
      needs(this, llvm.version >= 18, `LLVM 18, not ${llvm.version}`)
      expect(hex(assemble(text).bytes())).to.equal(hex(llvm.assemble(text)))
    })
  }

  it('both refuse what makes no sense', () => {
    for (const text of [
      'r1 = w2',
      'w1 = r2',
      'r1 =',
      'r1 = *(u32 *)(w2 + 0)',
      'r1 = *(u32 *)(r2 + 40000)',
      'if r1 == w2 goto +1',
      'w1 = (s32)w2',
      'exit exit',
      'r1 = 5 6',
      'if r1 goto +1',
      '*(u32 *)(r10 - 4)',
      'a: a: exit',
    ]) {
      expect(() => assemble(text).bytes(), text).to.throw(SyntaxError)
      expect(() => llvm.assemble(text), text).to.throw('error:')
    }
  })
})
