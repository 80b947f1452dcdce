/** Types as the words that stand for them: Documentation/bpf/btf.rst, include/uapi/linux/btf.h. */
import { KIND_NAMES } from '../format'
import type { BtfInt, BtfLinkage } from '../types'
import type { BtfDescription, DescriptionOf } from './description'

/** BTF_INT_SIGNED, BTF_INT_CHAR, BTF_INT_BOOL. */
const ENCODINGS: Readonly<Record<BtfInt['encoding'], number>> = { unsigned: 0, signed: 1, char: 2, bool: 4 }

/** enum btf_func_linkage and BTF_VAR_*. */
export const LINKAGES: Readonly<Record<BtfLinkage, number>> = { static: 0, global: 1, extern: 2 }

/** Gives the offset of a string, which it puts among the strings where it is not. */
export type StringOffset = (text: string) => number

/** struct btf_type and what follows it. */
export function wordsOf(type: BtfDescription, string: StringOffset): number[] {
  const { kind, name = '' } = type
  switch (kind) {
    case 'int': {
      const { size, encoding = 'unsigned', bitOffset = 0, bits = size * 8 } = type
      return [...head(kind, string(name), size), (ENCODINGS[encoding] << 24) | (bitOffset << 16) | bits]
    }
    case 'array':
      return [...head(kind, string(name), 0), type.type, type.indexType, type.length]
    case 'struct':
    case 'union':
      return composite(type, string)
    case 'enum': {
      const values = type.values.flatMap((each) => [string(each.name), each.value])
      return [...head(kind, string(name), type.size, type.values.length, type.signed), ...values]
    }
    case 'enum64': {
      // The low half is the first in either byte order.
      const values = type.values.flatMap((each) => [string(each.name), low(each.value), low(each.value >> 32n)])
      return [...head(kind, string(name), type.size, type.values.length, type.signed), ...values]
    }
    case 'fwd':
      return head(kind, string(name), 0, 0, type.of === 'union')
    case 'func':
      return head(kind, string(name), type.type, LINKAGES[type.linkage ?? 'static'])
    case 'func_proto': {
      const params = type.params.flatMap((each) => [string(each.name), each.type])
      if (type.variadic) params.push(0, 0)
      return [...head(kind, string(name), type.returns, params.length / 2), ...params]
    }
    case 'var':
      return [...head(kind, string(name), type.type), LINKAGES[type.linkage ?? 'static']]
    case 'datasec': {
      const vars = type.vars.flatMap((each) => [each.type, each.offset, each.size])
      return [...head(kind, string(name), type.size, type.vars.length), ...vars]
    }
    case 'float':
      return head(kind, string(name), type.size)
    case 'decl_tag':
      return [...head(kind, string(name), type.type, 0, type.attribute), type.component ?? -1]
    case 'type_tag':
      return head(kind, string(name), type.type, 0, type.attribute)
    default:
      return head(kind, string(name), type.type)
  }
}

/** name_off, info, and size or type. */
function head(kind: BtfDescription['kind'], name: number, sizeOrType: number, vlen = 0, flag = false): number[] {
  return [name, (flag ? 0x8000_0000 : 0) | (KIND_NAMES.indexOf(kind) << 24) | vlen, sizeOrType]
}

/** With a bit field in it, the upper byte of each offset is the size of one. */
function composite(type: DescriptionOf<'struct'> | DescriptionOf<'union'>, string: StringOffset): number[] {
  const withSizes = type.members.some(({ bitfieldSize = 0 }) => bitfieldSize > 0)
  const members = type.members.flatMap((member) => {
    const { name, bitOffset, bitfieldSize = 0 } = member
    return [string(name), member.type, withSizes ? (bitfieldSize << 24) | bitOffset : bitOffset]
  })
  return [...head(type.kind, string(type.name ?? ''), type.size, type.members.length, withSizes), ...members]
}

function low(value: bigint): number {
  return Number(BigInt.asIntN(32, value))
}
