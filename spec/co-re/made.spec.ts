import { expect } from 'chai'
import type { Btf, BtfRelocation } from '../../lib/btf'
import { CoreError, relocate, relocator } from '../../lib/co-re'
import { CORE_KINDS, type CoreKind } from '../../lib/co-re/kinds'
import { essentialName } from '../../lib/co-re/names'
import { POISON } from '../../lib/co-re/patch'
import { errorOf } from '../support/error'
import { arrayOf, enumOf, insn, int, LD_IMM64, LE, MOV, type RawType, rawBtf, referring, struct } from './kit'

/** struct bpf_core_relo of the instruction at that slot. */
const asks = (kind: CoreKind, type: number, access = '0', slot = 0): BtfRelocation => ({
  ...{ offset: slot * 8, type, access },
  kind: CORE_KINDS.indexOf(kind),
})

const LDX = { u8: 0x71, u16: 0x69, u32: 0x61, u64: 0x79 } as const
const STX_U64 = 0x7b

interface Case {
  readonly local: readonly RawType[]
  readonly target: readonly RawType[]
  readonly insns: Buffer
  readonly relocation: BtfRelocation
}

function relocated({ local, target, insns, relocation }: Case) {
  return relocate({
    ...{ insns, relocations: [relocation] },
    local: rawBtf(local, { name: 'own' }),
    targets: [rawBtf(target, { name: 'kernel' })],
  })
}

const U32 = int('u32', 4)
const U64 = int('u64', 8)
const S32 = int('s32', 4, 1)

describe('relocations to types made by hand', () => {
  // What is made here is little-endian, as is what patches it.
  before(function () {
    if (!LE) this.skip()
  })

  describe('names without their flavours', () => {
    const names: Readonly<Record<string, string>> = {
      task_struct: 'task_struct',
      task_struct___old: 'task_struct',
      a___b___c: 'a___b',
      a____b: 'a____b',
      a___: 'a___',
      ___a: '___a',
      _____a: '_____a',
      a___b____c: 'a',
      a___b___: 'a',
      a__b: 'a__b',
      '': '',
      x___y: 'x',
    }
    for (const [name, essential] of Object.entries(names)) {
      it(`'${name}': '${essential}'`, () => {
        expect(essentialName(name)).to.equal(essential)
      })
    }
  })

  describe('loads and stores', () => {
    const access = (own: RawType, its: RawType, code: number, extra: readonly RawType[] = []): Case => ({
      local: [own, struct('s', 16, ['f', 1, 64])],
      target: [its, struct('s', 32, ['f', 1, 128]), ...extra],
      insns: insn(code, 0, { dst: 1, src: 2, off: 8 }),
      relocation: asks('field_byte_offset', 2, '0:0'),
    })
    const pointer = referring('ptr', 0)

    it('a pointer of a kernel of 32 bits is loaded as 4 bytes', () => {
      const { insns, poisoned } = relocated(access(pointer, pointer, LDX.u64, [int('long int', 4, 1)]))
      expect(poisoned).to.deep.equal([])
      expect(Buffer.from(insns)).to.deep.equal(insn(LDX.u32, 0, { dst: 1, src: 2, off: 16 }))
    })

    it('a pointer that has become an integer of the same size is not the same field', () => {
      const { poisoned } = relocated(access(pointer, U64, LDX.u64))
      expect(poisoned[0]?.reason).to.equal('struct s of kernel has u64 as its f, where the program has a pointer')
    })

    for (const [name, type, code] of [
      ['u8', int('u8', 1), LDX.u8],
      ['u16', int('u16', 2), LDX.u16],
      ['u32', U32, LDX.u32],
      ['u64', U64, LDX.u64],
    ] as const) {
      it(`a u32 that is a ${name} now is loaded and stored as one`, () => {
        const read = relocated(access(U32, type, LDX.u32))
        expect(Buffer.from(read.insns)).to.deep.equal(insn(code, 0, { dst: 1, src: 2, off: 16 }))
        const written = relocated(access(U64, type, STX_U64))
        expect(written.insns[0]).to.equal((code & 0x18) | 0x63)
      })
    }

    for (const [what, own, its] of [
      ['has a sign now', U32, int('s64', 8, 1)],
      ['had a sign', S32, U64],
    ] as const) {
      it(`what ${what} is not loaded with another size, and its offset is there all the same`, () => {
        const { poisoned, insns } = relocated(access(own, its, LDX.u32))
        expect(Buffer.from(insns)).to.deep.equal(insn(0x85, POISON))
        expect(poisoned).to.deep.equal([
          {
            ...{ slot: 0, kind: 'field_byte_offset', what: 'struct s.f' },
            reason:
              'it is 8 bytes and the program has 4 bytes: only pointers and integers without a sign may change in a load or store',
          },
        ])
        const added = relocated({ ...access(own, its, 0), insns: insn(0x07, 8, { dst: 1 }) })
        expect(added.poisoned).to.deep.equal([])
        expect(Buffer.from(added.insns)).to.deep.equal(insn(0x07, 16, { dst: 1 }))
      })
    }

    it('what is a bit field now is not loaded', () => {
      const bits: RawType = { ...struct('s', 32, ['f', 1, 0x03_000080]), flag: true }
      const { poisoned } = relocated({ ...access(U32, U32, LDX.u32), target: [U32, bits] })
      expect(poisoned[0]?.reason).to.contain('it is a bit field and the program has 4 bytes')
    })

    it('what is of a size that no load has is refused', () => {
      const error = errorOf(() => relocated(access(U32, int('u24', 3), LDX.u32)))
      expect(error.message).to.contain('the field has 3 bytes now, which no load or store has')
    })

    it('a load that is not of the size of its field is refused', () => {
      const error = errorOf(() => relocated(access(U32, U64, LDX.u16)))
      expect(error.message).to.contain("its instruction has 2 bytes in hand, and the program's field 4")
    })

    it('offsets are those of 16 bits, immediates those of 32', () => {
      const far = (bits: number, insns: Buffer): Case => ({
        ...access(U32, U32, 0),
        ...{ target: [U32, struct('s', 0x4000_0000, ['f', 1, bits])], insns },
      })
      const load = insn(LDX.u32, 0, { off: 8 })
      expect(Buffer.from(relocated(far(0x7fff * 8, load)).insns).readInt16LE(2)).to.equal(0x7fff)
      expect(errorOf(() => relocated(far(0x8000 * 8, load))).message).to.contain('the offset is 32768 now')
      expect(Buffer.from(relocated(far(0xffff_fff8, MOV(8))).insns).readInt32LE(4)).to.equal(0x1fff_ffff)
    })
  })

  it('64-bit arithmetic extends the sign of an immediate, which sizes have not got; that of 32 bits does not', () => {
    const size = (insns: Buffer) =>
      relocated({
        ...{ local: [struct('s', 4)], target: [struct('s', 2 ** 31)], insns },
        relocation: asks('type_size', 1),
      }).insns
    expect(Buffer.from(size(insn(0xb4, 4)))).to.deep.equal(insn(0xb4, -(2 ** 31)))
    expect(errorOf(() => size(MOV(4))).message).to.contain(
      '2147483648 is too large for the immediate of its instruction',
    )
  })

  it('fields have the sign of their enum', () => {
    const sign = (signed: boolean) =>
      relocated({
        ...{ local: [U32, struct('s', 4, ['f', 3, 0]), enumOf('e', false, ['A', 1])], insns: MOV(0) },
        target: [U32, struct('s', 4, ['f', 3, 0]), enumOf('e', signed, ['A', 1])],
        relocation: asks('field_signed', 2, '0:0'),
      }).insns
    expect(Buffer.from(sign(true))).to.deep.equal(MOV(1))
    expect(Buffer.from(sign(false))).to.deep.equal(MOV(0))
  })

  describe('bit fields', () => {
    const field = (kind: CoreKind, own: number, type: RawType, its: number, insns: Buffer) =>
      relocated({
        local: [U32, { ...struct('s', 64, ['f', 1, own]), flag: true }],
        target: [type, { ...struct('s', 64, ['f', 1, its]), flag: true }],
        insns,
        relocation: asks(kind, 2, '0:0'),
      })
    const imm = ({ insns }: { insns: Uint8Array }) => Buffer.from(insns).readInt32LE(4)
    const BITS = 2 ** 24

    it('is loaded by the smallest aligned unit that has all of it', () => {
      const u8 = int('u8', 1)
      // 6 bits from bit 5 on: not in one byte, but in two.
      for (const [at, from, size] of [
        [2, 0, 1],
        [5, 0, 2],
        [13, 0, 4],
        [29, 0, 8],
        [45, 4, 4],
      ] as const) {
        expect(imm(field('field_byte_offset', 3 * BITS, u8, 6 * BITS + at, MOV(0))), `${at}`).to.equal(from)
        expect(imm(field('field_byte_size', 3 * BITS, u8, 6 * BITS + at, MOV(4))), `${at}`).to.equal(size)
        const left = imm(field('field_lshift_u64', 3 * BITS, u8, 6 * BITS + at, MOV(61)))
        expect(left, `${at}`).to.equal(64 - (at - from * 8) - 6)
        expect(imm(field('field_rshift_u64', 3 * BITS, u8, 6 * BITS + at, MOV(61)))).to.equal(58)
      }
    })

    it('what 64 bits have not got is refused', () => {
      const error = errorOf(() => field('field_byte_size', 3 * BITS, U32, 6 * BITS + 61, MOV(4)))
      expect(error.message).to.contain('its bit field is spread over more than the 64 bits that one load has')
      const empty = errorOf(() => field('field_byte_size', 3 * BITS, int('none', 0), 6 * BITS, MOV(4)))
      expect(empty.message).to.contain('its bit field is of a type that has no bytes')
    })

    it('may have become a field of its own', () => {
      expect(imm(field('field_lshift_u64', 3 * BITS, U32, 64, MOV(61)))).to.equal(32)
      expect(imm(field('field_rshift_u64', 3 * BITS, U32, 64, MOV(61)))).to.equal(32)
      expect(imm(field('field_byte_offset', 3 * BITS, U32, 64, MOV(0)))).to.equal(8)
    })
  })

  describe('values of enumerators', () => {
    const value = (own: RawType, its: RawType, constant: bigint) => {
      const { insns } = relocated({
        ...{ local: [own], target: [its], insns: LD_IMM64(constant) },
        relocation: asks('enumval_value', 1, '0'),
      })
      return BigInt.asIntN(
        64,
        (BigInt(Buffer.from(insns).readInt32LE(12)) << 32n) | BigInt(Buffer.from(insns).readUInt32LE(4)),
      )
    }
    const high: [string, number] = ['A', 0x9000_0000]
    const low: [string, number] = ['A', 0xffff_fffe]

    it('have a sign where BTF says so', () => {
      expect(value(enumOf('e', true, low), enumOf('e', true, ['A', 0xffff_fff0]), -2n)).to.equal(-16n)
      expect(value(enumOf('e', false, ['A', 1]), enumOf('e', false, high), 1n)).to.equal(0x9000_0000n)
      expect(value(enumOf('e', false, low), enumOf('e', false, high), 0xffff_fffen)).to.equal(0x9000_0000n)
    })

    it('where old BTF does not, the constant tells', () => {
      expect(value(enumOf('e', false, low), enumOf('e', false, ['A', 0xffff_fff0]), -2n)).to.equal(-16n)
      expect(value(enumOf('e', true, low), enumOf('e', false, ['A', 0xffff_fff0]), -2n)).to.equal(-16n)
      expect(value(enumOf('e', false, low), enumOf('e', true, ['A', 0xffff_fff0]), -2n)).to.equal(-16n)
    })

    it('need 64 bits where the enum has become so large', () => {
      const wide: RawType = { kind: 'enum64', name: 'e', sizeOrType: 8, vlen: 1, rest: ['A', 5, 1] }
      expect(value(enumOf('e', false, ['A', 1]), wide, 1n)).to.equal(0x1_0000_0005n)
    })
  })

  describe('types of one name', () => {
    const local = rawBtf([U32, struct('s', 8, ['a', 1, 0], ['b', 1, 32])], { name: 'own' })
    const kernel = (...types: RawType[]) => rawBtf([U32, ...types], { name: 'kernel' })
    const offsets = (targets: Iterable<Btf>, ...members: number[]) => {
      const insns = Buffer.concat(members.map((i) => MOV(i * 4)))
      const relocations = members.map((i, slot) => asks('field_byte_offset', 2, `0:${i}`, slot))
      const { insns: made, poisoned } = relocate({ insns, relocations, local, targets })
      const slots = members.map((_, slot) => Buffer.from(made).readInt32LE(slot * 8 + 4))
      return { slots, poisoned: poisoned.map(({ reason }) => reason) }
    }
    const AB = struct('s', 16, ['a', 1, 64], ['b', 1, 96])

    it('that agree are one', () => {
      expect(offsets([kernel(AB, AB, { ...AB, name: 's___2' })], 0, 1).slots).to.deep.equal([8, 12])
    })

    it('that do not agree are told', () => {
      const error = errorOf(() => offsets([kernel(AB, struct('s___2', 16, ['a', 1, 32]))], 0))
      expect(error).to.be.instanceOf(CoreError)
      expect(error.message).to.equal(
        'relocation 0 (the byte offset of struct s.a, at instruction 0): struct s (type 2 of kernel) says bit 64, and ' +
          'struct s___2 (type 3 of kernel) says bit 32: which of them is meant cannot be told',
      )
    })

    it('that agree in the offset and not in the answer are told, too', () => {
      const others = [kernel(struct('s', 8, ['a', 1, 0]), U64, struct('s___2', 8, ['a', 3, 0]))]
      const relocations = [asks('field_byte_size', 2, '0:0')]
      const error = errorOf(() => relocate({ insns: MOV(4), relocations, local, targets: others }))
      expect(error.message).to.contain('struct s (type 2 of kernel) says 4, and struct s___2 (type 4 of kernel) says 8')
    })

    it('are no more than those that the ones before have left', () => {
      const two = [kernel(struct('s', 16, ['a', 1, 64], ['b', 1, 96]), struct('s___2', 16, ['b', 1, 0]))]
      expect(errorOf(() => offsets(two, 1)).message).to.contain('which of them is meant')
      expect(offsets(two, 0, 1).slots).to.deep.equal([8, 12])
      // What none of them has, leaves all of them.
      const without = [kernel(struct('s', 16, ['b', 1, 96]), struct('s___2', 16, ['b', 1, 96]))]
      expect(offsets(without, 0, 1)).to.deep.equal({
        slots: [POISON, 12],
        poisoned: ['struct s of kernel has no a; struct s___2 of kernel has no a'],
      })
    })

    it('share what is known with all programs of an object', () => {
      const apply = relocator(local, [
        kernel(struct('s', 16, ['a', 1, 64], ['b', 1, 96]), struct('s___2', 16, ['b', 1, 0])),
      ])
      expect(apply(MOV(0), [asks('field_byte_offset', 2, '0:0')]).poisoned).to.deep.equal([])
      expect(Buffer.from(apply(MOV(4), [asks('field_byte_offset', 2, '0:1')]).insns).readInt32LE(4)).to.equal(12)
    })

    it('are of one kind', () => {
      const union: RawType = { ...AB, kind: 'union' }
      const { poisoned } = offsets([kernel(union, referring('typedef', 2, 's'))], 0)
      expect(poisoned).to.deep.equal(['kernel has no struct s'])
    })

    it('are told without the flavour that the program gives them', () => {
      const own = rawBtf([U32, struct('s___old', 8, ['a', 1, 0])], { name: 'own' })
      const relocations = [asks('field_byte_offset', 2, '0:0')]
      const { poisoned } = relocate({ insns: MOV(0), relocations, local: own, targets: [kernel()] })
      expect(poisoned[0]).to.include({ what: 'struct s___old.a', reason: 'kernel has no struct s' })
    })

    it('are looked for in modules only if the kernel has none', () => {
      const plain = kernel()
      const module = (name: string, ...types: RawType[]) => rawBtf(types, { base: plain, name })
      const one = module('one', struct('s', 16, ['a', 1, 32]))
      const two = module('two', struct('s', 16, ['a', 1, 96]))
      expect(offsets([plain, one], 0).slots).to.deep.equal([4])
      expect(errorOf(() => offsets([plain, one, two], 0)).message).to.contain('struct s (type 2 of two) says bit 96')
      expect(offsets([plain, module('none'), module('nor')], 0).poisoned).to.deep.equal([
        'kernel has no struct s, nor has any of 2 modules',
      ])

      let read = 0
      function* targets() {
        read++
        yield kernel(AB)
        read++
        yield one
      }
      expect(offsets(targets(), 0, 1).slots).to.deep.equal([8, 12])
      expect(read).to.equal(1)
    })

    it('that are only declared, or something without members, are not meant', () => {
      const own = rawBtf([U32, struct('s', 8, ['a', 1, 0]), referring('typedef', 2, 't')], { name: 'own' })
      const apply = (...types: RawType[]) =>
        relocate({
          ...{ insns: MOV(0), relocations: [asks('field_byte_offset', 3, '0:0')] },
          ...{ local: own, targets: [rawBtf(types, { name: 'kernel' })] },
        }).poisoned[0]?.reason
      const fwd: RawType = { kind: 'fwd', name: 's' }
      expect(apply(fwd, referring('typedef', 1, 't'))).to.equal('t of kernel is declared, and not described')
      expect(apply(referring('typedef', 0, 't'))).to.equal('t of kernel is void, which has nothing in it')
      expect(apply(U32, referring('typedef', 1, 't'))).to.equal('t of kernel has no a')
    })
  })

  describe('fields', () => {
    const anonymous = (kind: 'struct' | 'union', size: number, ...members: [string, number, number][]): RawType => ({
      ...struct('', size, ...members),
      kind,
    })

    it('of anonymous structs and unions are found in whatever they are in', () => {
      const { insns } = relocated({
        local: [U32, struct('s', 8, ['a', 1, 0], ['b', 1, 32])],
        target: [
          U32,
          // One with a field of the name that is another field, and one where it is.
          struct('s', 64, ['', 4, 64], ['', 5, 128]),
          referring('ptr', 0),
          anonymous('struct', 8, ['c', 1, 0], ['d', 1, 32]),
          anonymous('union', 24, ['', 6, 0]),
          anonymous('struct', 24, ['e', 3, 0], ['b', 1, 128]),
        ],
        insns: MOV(4),
        relocation: asks('field_byte_offset', 2, '0:1'),
      })
      expect(Buffer.from(insns).readInt32LE(4)).to.equal(16 + 16)
    })

    it('that are something else there are not found, and what follows them has its own offset', () => {
      const own = [U32, struct('s', 8, ['a', 1, 0])]
      const its = [U32, struct('s', 64, ['', 4, 64], ['', 5, 128]), referring('ptr', 0)]
      const inner = [anonymous('struct', 8, ['a', 3, 32]), anonymous('struct', 8, ['a', 1, 0])]
      const { insns } = relocated({
        ...{ local: own, target: [...its, ...inner], insns: MOV(0) },
        relocation: asks('field_byte_offset', 2, '0:0'),
      })
      expect(Buffer.from(insns).readInt32LE(4)).to.equal(16)
    })

    it('that were structs may be unions, and what is in them elsewhere', () => {
      const inner = (kind: 'struct' | 'union', at: number) => anonymous(kind, 16, ['b', 1, at])
      const { insns } = relocated({
        local: [U32, { ...inner('struct', 32), name: 'i' }, struct('s', 16, ['a', 2, 0])],
        target: [U32, { ...inner('union', 64), name: 'j' }, struct('s', 32, ['a', 2, 128])],
        insns: MOV(4),
        relocation: asks('field_byte_offset', 3, '0:0:0'),
      })
      expect(Buffer.from(insns).readInt32LE(4)).to.equal(16 + 8)
    })

    it('of arrays whose length is open have any index, where they are the last', () => {
      const own = [U32, arrayOf(1, 0), struct('s', 4, ['n', 1, 0], ['list', 2, 32])]
      const its = (...members: [string, number, number][]): Case => ({
        ...{ local: own, target: [U32, arrayOf(1, 0), struct('s', 16, ...members), arrayOf(1, 9)], insns: MOV(4 + 32) },
        relocation: asks('field_byte_offset', 3, '0:1:8'),
      })
      const value = (made: { insns: Uint8Array }) => Buffer.from(made.insns).readInt32LE(4)
      expect(value(relocated(its(['list', 2, 64])))).to.equal(8 + 32)
      expect(value(relocated(its(['list', 4, 64], ['n', 1, 512])))).to.equal(8 + 32)
      const closed = relocated({ ...its(), target: [U32, arrayOf(1, 4), struct('s', 24, ['list', 2, 64])] })
      expect(closed.poisoned[0]?.reason).to.contain('has an array of 4 there')
      const { poisoned } = relocated(its(['list', 2, 64], ['n', 1, 64]))
      expect(poisoned[0]).to.deep.equal({
        ...{ slot: 0, kind: 'field_byte_offset', what: 'struct s.list[8]' },
        reason: 'struct s of kernel has an array of 0 there, and the program wants element 8',
      })
    })

    it('that are no array any more are told so', () => {
      const { poisoned } = relocated({
        local: [U32, arrayOf(1, 4), struct('s', 16, ['list', 2, 0])],
        target: [U32, struct('s', 16, ['list', 1, 0])],
        insns: MOV(8),
        relocation: asks('field_byte_offset', 3, '0:0:2'),
      })
      expect(poisoned[0]?.reason).to.equal(
        'struct s of kernel has u32 as its list, where the program has an array of 4',
      )
    })
  })
})
