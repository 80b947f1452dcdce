import { expect } from 'chai'
import { relocate } from '../../lib/co-re'
import { CORE_KINDS, type CoreKind } from '../../lib/co-re/kinds'
import { arrayOf, enumOf, insn, int, LE, MOV, type RawType, rawBtf, referring, struct } from './kit'

const U32 = int('u32', 4)
const U64 = int('u64', 8)
const S32 = int('s32', 4, 1)
const ONE: readonly [string, number] = ['ONE', 1]
const TWO: readonly [string, number] = ['TWO', 2]

const fwd = (name: string, flag = false): RawType => ({ kind: 'fwd', name, flag })
const union = (name: string, size: number, ...members: (readonly [string, number, number])[]): RawType => ({
  ...struct(name, size, ...members),
  kind: 'union',
})
/** What it returns, and what it takes; 0 at the end is `...`. */
const proto = (returns: number, ...params: number[]): RawType => ({
  ...{ kind: 'func_proto', sizeOrType: returns, vlen: params.length },
  rest: params.flatMap((type) => ['', type]),
})
/** As compilers before kind_flag had them: an integer of 3 bits that begins at bit 2. */
const bitInt: RawType = { kind: 'int', name: 'u32', sizeOrType: 4, rest: [2 * 2 ** 16 + 3] }
const wide = (name: string, size: number, ...values: (readonly [string, number])[]): RawType => ({
  ...{ kind: 'enum64', name, sizeOrType: size, vlen: values.length },
  rest: values.flatMap(([value, low]) => [value, low, 0]),
})

/** Types 2 and on; type 1 is `typedef <type 2> t`, which has the same name on both sides. */
type Types = readonly RawType[]

/** Of two types: whether one stands for the other (TYPE_EXISTS), and whether it has all that the other has (TYPE_MATCHES). */
const compared: readonly (readonly [string, Types, Types, boolean, boolean])[] = [
  ['void', [referring('const', 0)], [referring('volatile', 0)], true, true],
  ['an integer of another name', [U32], [int('unsigned', 4)], true, false],
  ['an integer of another size', [U32], [int('u32', 8)], true, false],
  ['an integer with a sign', [U32], [int('u32', 4, 1)], true, false],
  ['an integer that is a bit field here', [bitInt], [U32], false, true],
  ['an integer that is a bit field there', [U32], [bitInt], false, true],
  ['an integer and a pointer', [U32], [referring('ptr', 0)], false, false],
  ['qualifiers', [U32], [referring('const', 3), referring('typedef', 4, 'x'), U32], true, true],
  [
    'a float',
    [{ kind: 'float', name: 'f', sizeOrType: 4 }],
    [{ kind: 'float', name: 'f', sizeOrType: 4 }],
    false,
    false,
  ],

  ['a pointer to something else', [referring('ptr', 3), U32], [referring('ptr', 3), fwd('s')], false, false],
  ['pointers to void', [referring('ptr', 0)], [referring('ptr', 0)], true, true],
  ['a pointer to void and one to something', [referring('ptr', 0)], [referring('ptr', 3), U32], false, false],

  ['arrays of one length', [arrayOf(3, 4), U32], [arrayOf(3, 4), U32], true, true],
  ['arrays of two lengths', [arrayOf(3, 4), U32], [arrayOf(3, 5), U32], true, false],
  ['arrays of something else', [arrayOf(3, 4), U32], [arrayOf(3, 4), fwd('s')], false, false],

  ['structs of the same members', [struct('s', 4, ['a', 3, 0]), U32], [struct('s', 4, ['a', 3, 0]), U32], true, true],
  ['structs of other names', [struct('s', 4, ['a', 3, 0]), U32], [struct('r', 4, ['a', 3, 0]), U32], true, false],
  ['structs of flavours', [struct('s___x', 0)], [struct('s___y', 0)], true, true],
  ['members of flavours', [struct('s', 4, ['a___x', 3, 0]), U32], [struct('s', 4, ['a___y', 3, 0]), U32], true, true],
  [
    'a member more there',
    [struct('s', 4, ['a', 3, 0]), U32],
    [struct('s', 8, ['b', 3, 0], ['a', 3, 32]), U32],
    true,
    true,
  ],
  [
    'a member more here',
    [struct('s', 8, ['b', 3, 0], ['a', 3, 32]), U32],
    [struct('s', 4, ['a', 3, 0]), U32],
    true,
    false,
  ],
  ['a member of another type', [struct('s', 4, ['a', 3, 0]), U32], [struct('s', 4, ['a', 3, 0]), S32], true, false],
  ['members twice', [struct('s', 8, ['a', 3, 0], ['a', 3, 32]), U32], [struct('s', 4, ['a', 3, 0]), U32], true, false],
  ['a struct and a union', [struct('s', 0)], [union('s', 0)], false, false],
  ['unions', [union('u', 4, ['a', 3, 0]), U32], [union('u', 4, ['a', 3, 0]), U32], true, true],
  ['a struct and its declaration', [struct('s', 0)], [fwd('s')], false, false],

  ['declarations', [fwd('s')], [fwd('s')], true, true],
  ['declarations of a struct and a union', [fwd('s')], [fwd('s', true)], true, false],
  ['a declaration and a struct', [fwd('s')], [struct('s', 0)], false, false],
  [
    'pointers to a declaration and a struct',
    [referring('ptr', 3), fwd('s')],
    [referring('ptr', 3), struct('s', 0)],
    false,
    true,
  ],
  [
    'pointers to a declared union and a struct',
    [referring('ptr', 3), fwd('s', true)],
    [referring('ptr', 3), struct('s', 0)],
    false,
    false,
  ],
  [
    'pointers to a struct and a declaration',
    [referring('ptr', 3), struct('s', 0)],
    [referring('ptr', 3), fwd('s')],
    false,
    true,
  ],
  [
    'pointers to a struct and a declared union',
    [referring('ptr', 3), struct('s', 0)],
    [referring('ptr', 3), fwd('s', true)],
    false,
    false,
  ],
  [
    'pointers to a union and its declaration',
    [referring('ptr', 3), union('s', 0)],
    [referring('ptr', 3), fwd('s', true)],
    false,
    true,
  ],
  [
    'pointers to a struct and an empty one',
    [referring('ptr', 3), struct('s', 4, ['a', 4, 0]), U32],
    [referring('ptr', 3), struct('s', 0)],
    true,
    true,
  ],
  [
    'pointers to structs of other names',
    [referring('ptr', 3), struct('s', 0)],
    [referring('ptr', 3), struct('r', 0)],
    true,
    false,
  ],

  ['enums', [enumOf('e', false, ONE)], [enumOf('e', true, ['ONE', 7])], true, true],
  ['an enum with more there', [enumOf('e', false, ONE)], [enumOf('e', false, TWO, ONE)], true, true],
  ['an enum with more here', [enumOf('e', false, ONE, TWO)], [enumOf('e', false, ONE)], true, false],
  ['an enum twice', [enumOf('e', false, ONE, ONE)], [enumOf('e', false, ONE)], true, false],
  ['enums of 64 bits', [enumOf('e', false, ONE)], [wide('e', 8, ONE)], true, false],
  ['enums of 64 bits for 32', [enumOf('e', false, ONE)], [wide('e', 4, ONE)], true, true],
  ['an enum and an integer', [enumOf('e', false, ONE)], [int('e', 4)], false, false],
  ['an integer and an enum', [int('e', 4)], [enumOf('e', false, ONE)], false, false],

  ['functions', [proto(3, 3, 4), U32, U64], [proto(3, 3, 4), U32, U64], true, true],
  ['functions that take less', [proto(3, 3), U32], [proto(3), U32], false, false],
  ['functions that take something else', [proto(3, 3), U32], [proto(3, 4), U32, fwd('s')], false, false],
  ['functions that return something else', [proto(3), U32], [proto(3), fwd('s')], false, false],
  ['functions that return nothing', [proto(0)], [proto(3), U32], false, false],
  ['functions that take any more', [proto(3, 3, 0), U32], [proto(3, 3, 0), U32], true, true],
  ['functions one of which takes any more', [proto(3, 3, 0), U32], [proto(3, 3), U32], false, false],
  ['functions of which one takes any more, the other one', [proto(3, 3, 0), U32], [proto(3, 3, 3), U32], false, false],
  ['a function and an integer', [proto(0)], [U32], false, false],
]

/** Of two fields: whether they are the same, wherever they are. Type 2 is the field's. */
const fields: readonly (readonly [string, Types, Types, boolean])[] = [
  ['integers', [U32], [int('anything', 8, 1)], true],
  ['an integer that is a bit field here', [bitInt], [U32], false],
  ['an integer that is a bit field there', [U32], [bitInt], false],
  ['a pointer to something else', [referring('ptr', 0)], [referring('ptr', 3), U32], true],
  ['floats', [{ kind: 'float', name: 'f', sizeOrType: 4 }], [{ kind: 'float', name: 'd', sizeOrType: 8 }], true],
  ['a struct and a union', [struct('s', 0)], [union('r', 0)], true],
  ['a struct and an integer', [struct('s', 4)], [U32], false],
  ['enums', [enumOf('e', false, ONE)], [enumOf('e___x', false, TWO)], true],
  ['enums of other names', [enumOf('e', false, ONE)], [enumOf('d', false, ONE)], false],
  ['an enum without a name here', [enumOf('', false, ONE)], [enumOf('d', false, ONE)], true],
  ['an enum without a name there', [enumOf('e', false, ONE)], [enumOf('', false, ONE)], true],
  ['enums of 64 bits', [enumOf('e', false, ONE)], [wide('e', 8, ONE)], true],
  ['an enum and an integer', [enumOf('e', false, ONE)], [U32], false],
  ['arrays of integers', [arrayOf(3, 4), U32], [arrayOf(3, 9), S32], true],
  ['arrays of something else', [arrayOf(3, 4), U32], [arrayOf(3, 4), referring('ptr', 0)], false],
  ['arrays of arrays', [arrayOf(3, 1), arrayOf(4, 1), U32], [arrayOf(3, 1), arrayOf(4, 1), U64], true],
  ['typedefs and qualifiers', [U32], [referring('const', 3), referring('typedef', 4, 'x'), U64], true],
]

describe('types of the program and of the kernel', () => {
  before(function () {
    if (!LE) this.skip()
  })

  const ask = (kind: CoreKind, access: string, own: Types, its: Types, insns: Buffer) =>
    relocate({
      ...{ insns, relocations: [{ offset: 0, type: 1, access, kind: CORE_KINDS.indexOf(kind) }] },
      ...{ local: rawBtf(own), targets: [rawBtf(its)] },
    })

  for (const [what, own, its, exists, matches] of compared) {
    it(`${what}: ${exists ? 'stand' : 'do not stand'} for each other, ${matches ? 'match' : 'do not match'}`, () => {
      const typedef = referring('typedef', 2, 't')
      const value = (kind: CoreKind) => {
        const { insns } = ask(kind, '0', [typedef, ...own], [typedef, ...its], MOV(1))
        return Buffer.from(insns).readInt32LE(4) === 1
      }
      expect({ exists: value('type_exists'), matches: value('type_matches') }).to.deep.equal({ exists, matches })
    })
  }

  for (const [what, own, its, same] of fields) {
    it(`fields: ${what} ${same ? 'are the same field' : 'are not the same field'}`, () => {
      const whole = struct('s', 64, ['f', 2, 0])
      const { insns, poisoned } = ask('field_exists', '0:0', [whole, ...own], [whole, ...its], MOV(1))
      expect(poisoned).to.deep.equal([])
      expect(Buffer.from(insns)).to.deep.equal(insn(0xb7, same ? 1 : 0))
    })
  }
})
