import { tabulate } from '../tabulate'
import { KIND_NAMES, kindFlagOf, kindOf, TYPE_BYTES, vlenOf } from './format'
import type { BtfImage } from './image'
import type { BtfInt, BtfLinkage, BtfMember, BtfType } from './types'

// BTF_INT_*
const INT_SIGNED = 1
const INT_CHAR = 2
const INT_BOOL = 4

/** enum btf_func_linkage and BTF_VAR_*: one and the same. */
const LINKAGES: readonly BtfLinkage[] = ['static', 'global', 'extern']

/** Reads the type of an id that is among the image's own. Throws BtfError. */
export function decodeType(image: BtfImage, id: number): BtfType {
  const at = image.placeOf(id)
  const info = image.word(at + 4)
  const number = kindOf(info)
  const name = image.stringAt(at)
  const kind = KIND_NAMES[number]
  switch (kind) {
    case 'int':
      return decodeInt(image, id, at, name)
    case 'ptr':
    case 'typedef':
    case 'volatile':
    case 'const':
    case 'restrict':
      return { kind, id, name, type: image.reference(at + 8) }
    case 'type_tag':
      return { kind, id, name, type: image.reference(at + 8), attribute: kindFlagOf(info) }
    case 'array':
      return {
        kind,
        id,
        name,
        type: image.reference(at + TYPE_BYTES),
        indexType: image.reference(at + TYPE_BYTES + 4),
        length: image.word(at + TYPE_BYTES + 8),
      }
    case 'struct':
    case 'union':
      return { kind, id, name, size: image.word(at + 8), members: decodeMembers(image, at, info) }
    case 'enum':
      return decodeEnum(image, id, at, info, name)
    case 'enum64':
      return decodeEnum64(image, id, at, info, name)
    case 'fwd':
      return { kind, id, name, of: kindFlagOf(info) ? 'union' : 'struct' }
    case 'func':
      return { kind, id, name, type: image.reference(at + 8), linkage: linkageOf(image, vlenOf(info), at + 4) }
    case 'func_proto':
      return decodeFuncProto(image, id, at, info, name)
    case 'var': {
      const linkage = linkageOf(image, image.word(at + TYPE_BYTES), at + TYPE_BYTES)
      return { kind, id, name, type: image.reference(at + 8), linkage }
    }
    case 'datasec':
      return decodeDatasec(image, id, at, info, name)
    case 'float':
      return { kind, id, name, size: image.word(at + 8) }
    case 'decl_tag': {
      const component = image.word(at + TYPE_BYTES) | 0
      return { kind, id, name, type: image.reference(at + 8), component, attribute: kindFlagOf(info) }
    }
    default:
      return { kind: 'unknown', id, name, number }
  }
}

function decodeInt(image: BtfImage, id: number, at: number, name: string): BtfInt {
  const word = image.word(at + TYPE_BYTES)
  return {
    kind: 'int',
    id,
    name,
    size: image.word(at + 8),
    encoding: encodingOf((word >>> 24) & 0xf),
    bitOffset: (word >>> 16) & 0xff,
    bits: word & 0xff,
  }
}

/** The kernel takes one of the bits alone. */
function encodingOf(bits: number): BtfInt['encoding'] {
  if ((bits & INT_BOOL) !== 0) return 'bool'
  if ((bits & INT_SIGNED) !== 0) return 'signed'
  return (bits & INT_CHAR) !== 0 ? 'char' : 'unsigned'
}

function linkageOf(image: BtfImage, number: number, at: number): BtfLinkage {
  const linkage = LINKAGES[number]
  if (linkage === undefined) throw image.error(`linkage ${number}: it is 0 (static), 1 (global) or 2 (extern)`, at)
  return linkage
}

/** With kind_flag the upper byte of an offset is the size of a bit field. */
function decodeMembers(image: BtfImage, at: number, info: number): BtfMember[] {
  const withSizes = kindFlagOf(info)
  return each(at, info, 12, (member) => {
    const offset = image.word(member + 8)
    return {
      name: image.stringAt(member),
      type: image.reference(member + 4),
      bitOffset: withSizes ? offset & 0xffffff : offset,
      bitfieldSize: withSizes ? offset >>> 24 : 0,
    }
  })
}

function decodeEnum(image: BtfImage, id: number, at: number, info: number, name: string): BtfType {
  const signed = kindFlagOf(info)
  const values = each(at, info, 8, (value) => {
    const word = image.word(value + 4)
    return { name: image.stringAt(value), value: signed ? word | 0 : word }
  })
  return { kind: 'enum', id, name, size: image.word(at + 8), signed, values }
}

function decodeEnum64(image: BtfImage, id: number, at: number, info: number, name: string): BtfType {
  const signed = kindFlagOf(info)
  const values = each(at, info, 12, (value) => {
    // The low half is the first in either byte order.
    const bits = (BigInt(image.word(value + 8)) << 32n) | BigInt(image.word(value + 4))
    return { name: image.stringAt(value), value: signed ? BigInt.asIntN(64, bits) : bits }
  })
  return { kind: 'enum64', id, name, size: image.word(at + 8), signed, values }
}

/** A last parameter with neither name nor type stands for `...`. */
function decodeFuncProto(image: BtfImage, id: number, at: number, info: number, name: string): BtfType {
  const params = each(at, info, 8, (param) => ({ name: image.stringAt(param), type: image.reference(param + 4) }))
  const last = params.at(-1)
  const variadic = last !== undefined && last.type === 0 && last.name === ''
  if (variadic) params.pop()
  return { kind: 'func_proto', id, name, returns: image.reference(at + 8), params, variadic }
}

function decodeDatasec(image: BtfImage, id: number, at: number, info: number, name: string): BtfType {
  const vars = each(at, info, 12, (variable) => ({
    type: image.reference(variable),
    offset: image.word(variable + 4),
    size: image.word(variable + 8),
  }))
  return { kind: 'datasec', id, name, size: image.word(at + 8), vars }
}

/** Reads what follows struct btf_type, vlen times. */
function each<T>(at: number, info: number, bytes: number, read: (at: number) => T): T[] {
  const first = at + TYPE_BYTES
  return tabulate(vlenOf(info), (i) => read(first + i * bytes))
}
