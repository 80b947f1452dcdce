import { endianness } from 'node:os'
import type { Btf, BtfMember, BtfResolved } from '../btf'
import type { Access, Step } from './access'
import { isComposite } from './compatible'
import { Refusal } from './error'
import type { CoreKind, FieldKind } from './kinds'

const LITTLE = endianness() === 'LE'

/** What an access answers to a relocation. */
export interface Answer {
  /** As 64 bits without a sign. */
  readonly value: bigint
  /** Whether the compiler must have come to the same; of bit fields it may have taken another unit. */
  readonly certain: boolean
  /** What a load or store at that offset has in hand; undefined where it is nothing of a size of its own. */
  readonly loaded: Loaded | undefined
  /** A value of 32 bits whose BTF does not say whether they have a sign. */
  readonly signUnknown: boolean
}

export interface Loaded {
  /** In bytes. */
  readonly size: number
  /** Whether more or fewer bytes of it make the same value, as far as they go: pointers, integers without a sign. */
  readonly stretches: 'pointer' | 'integer' | undefined
}

const answer = (value: bigint | number, rest: Partial<Answer> = {}): Answer => ({
  ...{ certain: true, loaded: undefined, signUnknown: false },
  ...rest,
  value: BigInt.asUintN(64, BigInt(value)),
})

/** What there is not. undefined: the instruction must not be reached. */
export function answerOfNothing(kind: CoreKind): Answer | undefined {
  switch (kind) {
    case 'field_exists':
    case 'type_id_target':
    case 'type_exists':
    case 'type_size':
    case 'type_matches':
    case 'enumval_exists':
      return answer(0)
    default:
      return undefined
  }
}

/** What an access answers (bpf_core_calc_relo of libbpf). Throws Refusal, and BtfError. */
export function answerOf(access: Access, kind: CoreKind): Answer {
  switch (kind) {
    case 'type_id_local':
    case 'type_id_target':
      // Linkers of objects number the types anew, and leave instructions as they are.
      return answer(access.root, { certain: false })
    case 'field_exists':
    case 'type_exists':
    case 'type_matches':
    case 'enumval_exists':
      return answer(1)
    case 'type_size':
      return answer(access.btf.sizeOf(access.root))
    case 'enumval_value':
      return enumerator(access)
    default:
      return field(access, kind)
  }
}

function enumerator({ btf, steps }: Access): Answer {
  const { type, index } = steps[0] as Step
  const of = btf.type(type)
  if (of.kind !== 'enum' && of.kind !== 'enum64') throw new Refusal(`type ${type} of ${btf.name} is no enum`)
  const value = of.values[index]?.value ?? 0
  return answer(value, { signUnknown: of.kind === 'enum' && !of.signed && value > 0x7fff_ffff })
}

function field(access: Access, kind: Exclude<FieldKind, 'field_exists'>): Answer {
  const { btf, steps, bitOffset } = access
  const { type, index, name } = steps.at(-1) as Step
  if (name === undefined) return element(btf, type, bitOffset, kind)
  const around = btf.type(type)
  const member = isComposite(around) ? around.members[index] : undefined
  if (member === undefined) throw new Refusal(`type ${type} of ${btf.name} has no member ${index}`)
  const is = btf.resolve(member.type)
  const { from, bytes, bits } = storage(btf, is, bitOffset, member)
  const isBitfield = member.bitfieldSize > 0
  switch (kind) {
    case 'field_byte_offset':
      return answer(from, { certain: !isBitfield, loaded: isBitfield ? undefined : loaded(is, bytes) })
    case 'field_byte_size':
      return answer(bytes, { certain: !isBitfield })
    case 'field_signed':
      return answer(isSigned(is) ? 1 : 0)
    case 'field_lshift_u64': {
      const before = bitOffset - from * 8
      return answer(LITTLE ? 64 - (before + bits) : (8 - bytes) * 8 + before, { certain: !isBitfield })
    }
    case 'field_rshift_u64':
      return answer(64 - bits)
  }
}

/** a[n]: elements are no bit fields. */
function element(btf: Btf, type: number, bitOffset: number, kind: CoreKind): Answer {
  const bytes = btf.sizeOf(type)
  if (kind === 'field_byte_offset') return answer(bitOffset / 8, { loaded: loaded(btf.resolve(type), bytes) })
  if (kind === 'field_byte_size') return answer(bytes)
  throw new Refusal('only the offset and the size of an element can be asked for')
}

interface Storage {
  /** The first byte, and how many there are. */
  readonly from: number
  readonly bytes: number
  readonly bits: number
}

/** The bytes to load for a field: of a bit field, the smallest aligned unit of at least its type that has all of it. */
function storage(btf: Btf, is: BtfResolved, bitOffset: number, { bitfieldSize }: BtfMember): Storage {
  if (bitfieldSize === 0) {
    const bytes = btf.sizeOf(is.id)
    return { from: Math.floor(bitOffset / 8), bytes, bits: bytes * 8 }
  }
  let bytes = btf.sizeOf(is.id)
  if (bytes === 0) throw new Refusal('its bit field is of a type that has no bytes')
  for (;;) {
    const from = Math.floor(bitOffset / 8 / bytes) * bytes
    if (bitOffset + bitfieldSize <= (from + bytes) * 8) return { from, bytes, bits: bitfieldSize }
    if (bytes >= 8) throw new Refusal('its bit field is spread over more than the 64 bits that one load has')
    bytes *= 2
  }
}

function loaded(is: BtfResolved, size: number): Loaded {
  if (is.kind === 'ptr') return { size, stretches: 'pointer' }
  return { size, stretches: is.kind === 'int' && is.encoding !== 'signed' ? 'integer' : undefined }
}

function isSigned(is: BtfResolved): boolean {
  if (is.kind === 'enum' || is.kind === 'enum64') return is.signed
  return is.kind === 'int' && is.encoding === 'signed'
}
