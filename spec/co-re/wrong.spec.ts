import { expect } from 'chai'
import fc from 'fast-check'
import { Btf, BtfError, type BtfRelocation } from '../../lib/btf'
import { CoreError, relocate } from '../../lib/co-re'
import { CORE_KINDS, type CoreKind } from '../../lib/co-re/kinds'
import { SCALE } from '../support/compiled'
import { errorOf } from '../support/error'
import {
  arrayOf,
  compiledObject,
  enumOf,
  fixturePath,
  insn,
  int,
  LD_IMM64,
  LE,
  MOV,
  needsFixtures,
  type RawType,
  rawBtf,
  referring,
  struct,
} from './kit'

const U32 = int('u32', 4)

/** 1 u32, 2 struct s, 3 struct inner, 4 its array, 5 enum e, 6 a struct without a name, 7 one that is declared, 8 a function. */
const TYPES: readonly RawType[] = [
  U32,
  struct('s', 40, ['a', 1, 0], ['list', 4, 32], ['', 6, 224]),
  struct('inner', 8, ['x', 1, 0], ['y', 1, 32]),
  arrayOf(3, 3),
  enumOf('e', false, ['A', 1], ['B', 2]),
  struct('', 8, ['p', 1, 0], ['q', 1, 32]),
  { kind: 'fwd', name: 'declared' },
  { kind: 'func_proto', rest: [] },
  { kind: 'func', name: 'f', sizeOrType: 8 },
]

describe('relocations that cannot be', () => {
  before(function () {
    if (!LE) this.skip()
  })

  const local = rawBtf(TYPES, { name: 'own' })
  const target = rawBtf(TYPES, { name: 'kernel' })
  const apply = (insns: Uint8Array, relocation: Partial<BtfRelocation>, targets: Iterable<Btf> = [target]) =>
    relocate({ insns, relocations: [{ offset: 0, type: 2, access: '0:0', kind: 0, ...relocation }], local, targets })

  const number = (kind: CoreKind) => CORE_KINDS.indexOf(kind)

  const refused: readonly (readonly [string, Partial<BtfRelocation>, string, Uint8Array?])[] = [
    ['no access', { access: '' }, 'its access string is "", and not numbers between colons, as \'0:1:2\''],
    ['a colon first', { access: ':0' }, 'its access string is ":0", and not numbers'],
    ['a colon last', { access: '0:' }, 'its access string is "0:"'],
    ['two colons', { access: '0::1' }, 'its access string is "0::1"'],
    ['a sign', { access: '0:-1' }, 'its access string is "0:-1"'],
    ['a blank', { access: '0: 1' }, 'its access string is "0: 1"'],
    ['letters', { access: '0:0x1' }, 'its access string is "0:0x1"'],
    ['a number without end', { access: `0:${'9'.repeat(99)}` }, 'its access string is "0:9999999999'],
    ['a large number', { access: '0:2147483648' }, 'which is too large for an index'],
    ['too many steps', { access: Array(65).fill('0').join(':') }, 'its access string has 65 steps, and at most 64'],
    ['no such member', { access: '0:3' }, 'struct s has 3 members, and its access string asks for number 3'],
    ['no such element', { access: '0:1:3' }, 'struct s.list has 3 elements, and its access string asks for number 3'],
    ['a member of an element', { access: '0:1:2:2' }, 'struct s.list[2] has 2 members'],
    ['a member of an integer', { access: '0:1:2:1:0' }, 'struct s.list[2].y is u32, which has nothing in it'],
    ['a far element', { access: '2147483647:0' }, 'would be more than 512 MiB behind its start'],
    ['a field of an enum', { type: 5, access: '0:1' }, 'enum e has nothing in it'],
    ['what is declared only', { type: 7 }, 'own at offset'],
    ['void', { type: 0 }, 'own: void has no size'],
    ['a function', { type: 9 }, 'own at offset'],
    ['a type that is not there', { type: 10 }, 'own has types 0 to 9, and none with id 10'],
    ['a type that is no number', { type: 1.5 }, 'own has types 0 to 9, and none with id 1.5'],
    ['a struct without a name', { type: 6 }, 'a type that has no name cannot be found in the target'],
    [
      'a whole type with a part',
      { kind: number('type_size'), access: '0:0' },
      'its access string is "0:0", and that of a',
    ],
    ['an enumerator of a struct', { kind: number('enumval_value'), access: '0' }, 'struct s is no enum'],
    ['no such enumerator', { kind: number('enumval_value'), type: 5, access: '2' }, 'enum e has 2 values'],
    [
      'a part of an enumerator',
      { kind: number('enumval_value'), type: 5, access: '0:1' },
      'has 2 steps, and that of an',
    ],
    [
      'the sign of an element',
      { kind: number('field_signed'), access: '0:1:1' },
      'only the offset and the size of an element',
    ],
    ['a kind that is none', { kind: 13 }, 'its kind is 13, and those that are known are 0 to 12'],
    ['a kind that is no number', { kind: Number.NaN }, 'its kind is NaN'],
    ['an instruction behind the last', { offset: 8 }, 'its instruction is said to be at byte 8, and there are 8'],
    ['half an instruction', { offset: 4 }, 'its instruction is said to be at byte 4, where none begins'],
    ['another immediate', {}, "the immediate of its instruction is 1, and the program's own types make it 0", MOV(1)],
    ['another offset', {}, "the offset of its instruction is 4, and the program's own", insn(0x61, 0, { off: 4 })],
    ['another constant', {}, 'the constant of its instruction is 1', LD_IMM64(1n)],
    ['a register', {}, 'its instruction (opcode 0xbf) has no immediate', insn(0xbf)],
    ['a jump', {}, 'its instruction (opcode 0x15) is no arithmetic, load, store or constant', insn(0x15)],
    ['half a constant', {}, 'whose second half is not there', LD_IMM64(0n).subarray(0, 8)],
    [
      'the fd of a map',
      {},
      'its instruction is no plain constant',
      Buffer.concat([insn(0x18, 0, { src: 1 }), insn(0)]),
    ],
    ['a constant with an offset', {}, 'is no plain constant', Buffer.concat([insn(0x18, 0, { off: 1 }), insn(0)])],
    ['a packet', {}, 'its instruction is no plain constant of 64 bits', Buffer.concat([insn(0x20), insn(0)])],
  ]
  for (const [what, relocation, reason, insns = MOV(0)] of refused) {
    it(`${what}: ${reason}`, () => {
      const error = errorOf(() => apply(insns, relocation)) as CoreError
      expect(error).to.be.instanceOf(CoreError)
      expect(error).to.include({ name: 'CoreError', code: 'ERR_EBPF_CORE', index: 0 })
      expect(error.reason).to.contain(reason)
      expect(error.message).to.match(/^relocation 0 \(.*, at instruction [01]\): /)
    })
  }

  it('an instruction that was poisoned is not relocated again', () => {
    const both = [0, 2].map((kind) => ({ offset: 0, type: 2, access: '0:0', kind }))
    const error = errorOf(() => relocate({ insns: MOV(0), relocations: both, local, targets: [rawBtf([U32])] }))
    expect(error.message).to.equal(
      'relocation 1 (whether there is struct s.a, at instruction 0): its instruction (opcode 0x85) is no arithmetic, ' +
        'load, store or constant',
    )
  })

  it('what is asked, of what, and where are told', () => {
    const error = errorOf(() => apply(Buffer.concat([MOV(0), MOV(1)]), { offset: 8, access: '2:1:2:1' })) as CoreError
    expect(error).to.include({ what: 'struct s[2].list[2].y', kind: 'field_byte_offset', slot: 1, index: 0 })
    expect(error.message).to.equal(
      'relocation 0 (the byte offset of struct s[2].list[2].y, at instruction 1): the immediate of its instruction is 1, ' +
        "and the program's own types make it 104",
    )
  })

  it('there must be something to relocate to, but for what is of the program itself', () => {
    expect(errorOf(() => apply(MOV(0), {}, [])).message).to.contain('there is no BTF to relocate it to')
    const own = apply(LD_IMM64(9n), { kind: number('type_id_local'), access: '0' }, [])
    expect(Buffer.from(own.insns)).to.deep.equal(LD_IMM64(2n))
  })

  it('errors of who reads the targets come through', () => {
    function* targets(): Generator<Btf> {
      yield* []
      throw new Error('not to be read')
    }
    expect(errorOf(() => apply(MOV(0), {}, targets())).message).to.equal('not to be read')
  })

  it('the instructions that were given stay as they are', () => {
    const insns = LD_IMM64(1n)
    const { insns: made } = apply(insns, { kind: number('enumval_value'), type: 5, access: '0' })
    made.fill(0xff)
    expect(insns).to.deep.equal(LD_IMM64(1n))
  })

  it('arguments of other types are TypeErrors, others RangeErrors', () => {
    const good = { insns: MOV(0), relocations: [], local, targets: [target] }
    const broken = (change: object) => errorOf(() => relocate({ ...good, ...change } as typeof good))
    expect(broken({ insns: [1] }).message).to.equal('insns must be a Uint8Array, not [ 1 ]')
    expect(broken({ insns: new Uint8Array(12) })).to.be.instanceOf(RangeError)
    expect(broken({ local: {} }).message).to.equal('local must be a Btf, not {}')
    expect(broken({ targets: target }).message).to.match(/^targets must be an array of Btf/)
    const relocations = [{ offset: 0, type: 2, access: '0:0', kind: 0 }]
    expect(broken({ targets: [1], relocations }).message).to.equal('targets[0] must be a Btf, not 1')
    for (const change of [{ insns: 1 }, { local: 1 }, { targets: 1 }])
      expect(broken(change)).to.be.instanceOf(TypeError)
  })
})

describe('BTF that leads into a circle, or far', () => {
  before(function () {
    if (!LE) this.skip()
  })

  const asked = (kind: CoreKind, own: readonly RawType[], its: readonly RawType[], access = '0') =>
    errorOf(() =>
      relocate({
        ...{
          insns: MOV(kind === 'field_byte_offset' ? 0 : 1),
          local: rawBtf(own),
          targets: [rawBtf(its, { name: 'kernel' })],
        },
        relocations: [{ offset: 0, type: 1, access, kind: CORE_KINDS.indexOf(kind) }],
      }),
    )

  it('typedefs of themselves', () => {
    const circle = [referring('typedef', 2, 't'), referring('const', 1)]
    expect(asked('type_exists', circle, circle)).to.be.instanceOf(CoreError)
    expect(asked('type_size', circle, circle)).to.be.instanceOf(CoreError)
  })

  it('pointers to themselves', () => {
    const circle = [referring('typedef', 2, 't'), referring('ptr', 1)]
    for (const kind of ['type_exists', 'type_matches'] as const) {
      expect(asked(kind, circle, circle).message).to.contain('its types are made from each other more than 32 deep')
    }
  })

  it('functions that take themselves, many times', () => {
    const params = Array.from({ length: 100 }, () => ['', 2]).flat()
    const circle = [
      referring('typedef', 2, 't'),
      referring('ptr', 3),
      { kind: 'func_proto', vlen: 100, rest: params } as const,
    ]
    for (const kind of ['type_exists', 'type_matches'] as const) {
      expect(asked(kind, circle, circle).message).to.contain('more than 32 deep')
    }
  })

  it('structs in themselves', () => {
    const circle = [struct('s', 8, ['', 1, 0], ['', 1, 0])]
    expect(asked('field_byte_offset', [struct('s', 8, ['a', 2, 0]), U32], circle, '0:0').message).to.contain(
      'struct s is more than 64 deep',
    )
    expect(asked('type_matches', circle, circle).message).to.contain('more than 32 deep')
  })

  it('structs that are in each other twice, thirty deep, are gone through once', () => {
    const deep = (last: RawType) => [
      ...Array.from({ length: 30 }, (_, i) => struct(i === 0 ? 's' : '', 8, ['', i + 2, 0], ['', i + 2, 0])),
      last,
    ]
    const { poisoned } = relocate({
      ...{ insns: MOV(0), relocations: [{ offset: 0, type: 1, access: '0:0', kind: 0 }] },
      local: rawBtf([struct('s', 8, ['a', 2, 0]), U32]),
      targets: [rawBtf(deep(U32), { name: 'kernel' })],
    })
    expect(poisoned[0]?.reason).to.equal('struct s of kernel has no a')
    const { insns } = relocate({
      ...{ insns: MOV(1), relocations: [{ offset: 0, type: 1, access: '0', kind: 12 }] },
      local: rawBtf(deep(U32)),
      targets: [rawBtf(deep(struct('', 4, ['b', 31, 0])))],
    })
    expect(insns[4]).to.equal(0)
  })

  it('structs of thousands of members without a name are not compared each with each', () => {
    const many = (size: number) => [
      struct('s', 8, ...Array.from({ length: 3000 }, (_, i) => ['', i + 2, 0] as const)),
      ...Array.from({ length: 3000 }, (_, i) => struct('', size, [`m${i % 2 === 0 ? size : i}`, 0, 0])),
    ]
    expect(asked('type_matches', many(1), many(2)).message).to.contain('too many others to compare them')
  })
})

describe('relocations of any kind', () => {
  before(function () {
    needsFixtures(this)
  })

  const runs = Math.ceil(2000 * SCALE)
  /** Goes through, or says what is wrong with an error of its own. */
  const isTold = (run: () => unknown) => {
    try {
      run()
    } catch (error) {
      if (!(error instanceof CoreError) && !(error instanceof BtfError)) throw error
    }
  }

  it('whatever they say is relocated, poisoned or refused', () => {
    const { btf: local, relocations, sections } = compiledObject(fixturePath('local.bpf.o'))
    const { btf: target } = compiledObject(fixturePath('target.o'))
    const index = fc.oneof({ weight: 4, arbitrary: fc.nat(8) }, { weight: 1, arbitrary: fc.nat(2 ** 32) })
    const access = fc.oneof(
      fc.array(index, { maxLength: 6 }).map((all) => ['0', ...all].join(':')),
      fc.string({ maxLength: 12 }),
      fc.constant('0'),
    )
    const type = fc.oneof({ weight: 9, arbitrary: fc.nat(local.size) }, { weight: 1, arbitrary: fc.nat(2 ** 32 - 1) })
    const offset = fc.oneof(fc.constantFrom(0, 8, 16, 24), fc.nat(40))
    const change = fc.oneof(
      fc.record({ access }),
      fc.record({ kind: fc.nat(14) }),
      fc.record({ type }),
      fc.record({ offset }),
      fc.record({ type, access, kind: fc.nat(14) }),
    )
    const byte = fc.option(fc.tuple(fc.nat(200), fc.nat(255)))
    let applied = 0
    fc.assert(
      fc.property(fc.constantFrom(...relocations), change, byte, ({ section, records }, changes, changed) => {
        const insns = Buffer.from(sections.get(section) as Buffer)
        if (changed !== null) insns[changed[0] % insns.length] = changed[1]
        isTold(() => {
          relocate({ insns, relocations: records.map((one) => ({ ...one, ...changes })), local, targets: [target] })
          applied++
        })
      }),
      { numRuns: runs },
    )
    expect(applied).to.be.within(runs / 20, runs - 1)
  })

  it('whatever bytes of either BTF are changed', () => {
    const object = compiledObject(fixturePath('local.bpf.o'))
    const kernel = compiledObject(fixturePath('target.o'))
    const records = object.relocations.filter((_, i) => i % 10 === 0)
    const changed = (bytes: Uint8Array, places: readonly (readonly [number, number])[]) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of places) copy[24 + (at % (copy.length - 24))] = value
      return Btf.parse(copy)
    }
    // Where types are, ahead of the strings.
    const places = fc.array(fc.tuple(fc.nat(6000), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 4, 0x84))), {
      maxLength: 8,
    })
    let applied = 0
    fc.assert(
      fc.property(places, places, (own, its) => {
        isTold(() => {
          const [local, target] = [changed(object.btf.bytes, own), changed(kernel.btf.bytes, its)]
          for (const { section, records: relocations } of records) {
            isTold(() => {
              relocate({ insns: object.sections.get(section) as Buffer, relocations, local, targets: [target] })
              applied++
            })
          }
        })
      }),
      { numRuns: Math.ceil(runs / 10) },
    )
    expect(applied).to.be.above(runs / 20)
  })
})
