import { expect } from 'chai'
import fc from 'fast-check'
import { assemble, type DisassembleOptions, disassemble } from '../../lib/asm'
import { SCALE } from '../support/compiled'
import { FORMS, knotted, programs } from './forms'

const MODES: readonly DisassembleOptions[] = (['llvm', 'kernel'] as const).flatMap((syntax) =>
  [false, true].flatMap((labels) => [false, true].map((numbers) => ({ syntax, labels, numbers }))),
)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').replace(/.{16}/g, '$& ')

const told = (mode: DisassembleOptions): string =>
  [mode.syntax, mode.labels && 'labels', mode.numbers && 'numbers'].filter(Boolean).join(', ')

describe('disassemble, and assemble again', () => {
  for (const { name, bytes } of FORMS) {
    it(`${name}: the same bytes, in every mode`, () => {
      fc.assert(
        fc.property(bytes, fc.constantFrom(...MODES), (instruction, mode) => {
          const text = disassemble(Uint8Array.from(instruction), mode)
          expect(text).not.to.include('.8byte')
          expect(hex(assemble(text).bytes())).to.equal(hex(Uint8Array.from(instruction)))
        }),
        { numRuns: 200 * SCALE },
      )
    })
  }

  for (const mode of MODES) {
    it(`programs of all forms, the same bytes: ${told(mode)}`, () => {
      fc.assert(
        fc.property(programs(), (bytes) => {
          expect(hex(assemble(disassemble(bytes, mode)).bytes())).to.equal(hex(bytes))
        }),
      )
    })

    it(`jumps and calls from everywhere to everywhere: ${told(mode)}`, () => {
      fc.assert(
        fc.property(knotted, (bytes) => {
          const text = disassemble(bytes, mode)
          expect(hex(assemble(text).bytes())).to.equal(hex(bytes))
          expect(disassemble(assemble(text).bytes(), mode)).to.equal(text)
        }),
      )
    })

    it(`any bytes at all: what is no instruction stays as it is: ${told(mode)}`, () => {
      // All opcodes, and small fields: else nearly nothing would be an instruction.
      const slot = fc.tuple(
        fc.nat(255),
        fc.nat(0xbb),
        fc.constantFrom(0, 1, 8, 16, 255),
        fc.constantFrom(0, 255),
        fc.nat(255),
        fc.constantFrom(0, 1),
        fc.constant(0),
        fc.constantFrom(0, 255),
      )
      const random = fc.array(fc.oneof(slot, fc.array(fc.nat(255), { minLength: 8, maxLength: 8 })), { maxLength: 20 })
      fc.assert(
        fc.property(random, (slots) => {
          const bytes = Uint8Array.from(slots.flat())
          expect(hex(assemble(disassemble(bytes, mode)).bytes())).to.equal(hex(bytes))
        }),
        { numRuns: 500 * SCALE },
      )
    })
  }

  it('the text of code is the code', () => {
    fc.assert(
      fc.property(programs(), (bytes) => {
        const code = assemble(disassemble(bytes, { labels: true }))
        expect(hex(assemble(String(code)).bytes())).to.equal(hex(bytes))
        expect(code.length).to.equal(bytes.length / 8)
        expect(code.instructions.reduce((sum, { next }) => sum + (next === undefined ? 1 : 2), 0)).to.equal(code.length)
      }),
    )
  })

  it('all 256 opcodes: one is printed as an instruction, or says why it is none', () => {
    const known = new Set<number>()
    for (let code = 0; code < 256; code++) {
      const text = disassemble(Uint8Array.from([code, 0, 0, 0, 0, 0, 0, 0]))
      if (!text.startsWith('.8byte')) known.add(code)
      else expect(text).to.match(/^\.8byte 0x[0-9a-f]{16} \/\/ (no instruction has this opcode|bits are set)/)
    }
    // Byte swaps need their width, and a 64-bit constant its second slot.
    for (const code of [0xd4, 0xdc, 0xd7, 0x18]) known.add(code)
    // Twelve operations with both operands and negation, in both widths; the swaps; and so on, from the standard's tables.
    const arithmetic = 2 * (12 * 2 + 1) + 3
    const jumps = 2 * 11 * 2 + ['goto', 'gotol', 'gotox', 'call', 'callx', 'exit', 'may_goto'].length
    const memory = 4 + 3 + 4 + 4 + ['atomic u32', 'atomic u64'].length
    const packets = 3 + 3
    expect(known.size).to.equal(arithmetic + jumps + memory + packets + 1)
  })

  it('refuses what are no whole instructions', () => {
    expect(() => disassemble(new Uint8Array(7))).to.throw(RangeError, '7 bytes')
    expect(() => disassemble([] as never)).to.throw(TypeError, 'Uint8Array')
    expect(() => disassemble(new Uint8Array(8), { syntax: 'intel' as never })).to.throw(TypeError, 'intel')
    expect(disassemble(new Uint8Array(0))).to.equal('')
  })
})
