/** The format's numbers, and its header: Documentation/bpf/btf.rst, include/uapi/linux/btf.h. */
import { BtfError } from './error'
import type { BtfKind } from './types'

// BTF_KIND_*
export const INT = 1
export const PTR = 2
export const ARRAY = 3
export const STRUCT = 4
export const UNION = 5
export const ENUM = 6
export const FWD = 7
export const TYPEDEF = 8
export const VOLATILE = 9
export const CONST = 10
export const RESTRICT = 11
export const FUNC = 12
export const FUNC_PROTO = 13
export const VAR = 14
export const DATASEC = 15
export const FLOAT = 16
export const DECL_TAG = 17
export const TYPE_TAG = 18
export const ENUM64 = 19

/** The names of the kinds, by their numbers. */
export const KIND_NAMES: readonly Exclude<BtfKind, 'unknown'>[] = [
  ...(['void', 'int', 'ptr', 'array', 'struct', 'union', 'enum', 'fwd', 'typedef', 'volatile', 'const'] as const),
  ...(['restrict', 'func', 'func_proto', 'var', 'datasec', 'float', 'decl_tag', 'type_tag', 'enum64'] as const),
]

/** struct btf_type: name_off, info, and size or type. */
export const TYPE_BYTES = 12

/** What follows struct btf_type, in bytes, by kind: once, and for each of vlen. */
export interface KindLayout {
  readonly once: number
  readonly each: number
}

const follows = (once: number, each: number): KindLayout => ({ once, each })
const NOTHING = follows(0, 0)

/** By the number of the kind. There is no type of kind 0. */
export const KIND_LAYOUTS: readonly (KindLayout | undefined)[] = KIND_NAMES.map((name) => {
  switch (name) {
    case 'void':
      return undefined
    case 'int':
    case 'var':
    case 'decl_tag':
      return follows(4, 0)
    case 'array':
      return follows(12, 0)
    case 'struct':
    case 'union':
    case 'datasec':
    case 'enum64':
      return follows(0, 12)
    case 'enum':
    case 'func_proto':
      return follows(0, 8)
    default:
      return NOTHING
  }
})

/**
 * The parts of `info`. The kind had 5 bits and vlen 16 up to Linux 7.0; the bits that they have got since were zero, as the
 * kernel saw to.
 */
export const kindOf = (info: number): number => (info >>> 24) & 0x7f
export const vlenOf = (info: number): number => info & 0xffffff
export const kindFlagOf = (info: number): boolean => info >>> 31 === 1

const MAGIC = 0xeb9f
const VERSION = 1
/** Of the header as it was first; longer ones begin the same way. */
const HEADER_BYTES = 24
/** With layout_off and layout_len: Linux 7.1. */
const HEADER_WITH_LAYOUT = 32
const LAYOUT_BYTES = 4

/** Part of the bytes: from where to where. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** What the headers of .BTF and .BTF.ext begin with: magic, version, flags, hdr_len. */
export interface Preamble {
  readonly littleEndian: boolean
  readonly headerLength: number
}

/** Reads and checks it; `least` is the shortest header that there has been. */
export function readPreamble(view: DataView, what: string, least: number): Preamble {
  const total = view.byteLength
  if (total < 8) throw new BtfError(what, `${total} bytes are not even the start of a header`)
  const littleEndian = view.getUint16(0, true) === MAGIC
  if (!littleEndian && view.getUint16(0, false) !== MAGIC) {
    const found = view.getUint16(0, true).toString(16).padStart(4, '0')
    throw new BtfError(what, `this is no BTF: it begins with 0x${found}, and BTF with 0xeb9f in either byte order`, 0)
  }
  const version = view.getUint8(2)
  if (version !== VERSION) throw new BtfError(what, `BTF of version ${version}, and only version 1 is known`, 2)
  const headerLength = view.getUint32(4, littleEndian)
  if (headerLength < least) throw new BtfError(what, `a header of ${headerLength} bytes; it has at least ${least}`, 4)
  if (headerLength > total) {
    throw new BtfError(what, `a header of ${headerLength} bytes, and all there is are ${total}: it is cut off`, 4)
  }
  return { littleEndian, headerLength }
}

/** The section that a header's offset and length, at `field` and behind it, speak of. Offsets count from its end. */
export function readRange(view: DataView, what: string, header: Preamble, field: number, name: string): Range {
  const from = header.headerLength + view.getUint32(field, header.littleEndian)
  const to = from + view.getUint32(field + 4, header.littleEndian)
  if (to > view.byteLength) {
    const where = `${name} go from ${from} to ${to}`
    throw new BtfError(what, `${where}, and all there is are ${view.byteLength} bytes: it is cut off`, field)
  }
  return { from, to }
}

export interface Header extends Preamble {
  readonly types: Range
  readonly strings: Range
  /** How long types are by kind, as the BTF itself says; undefined where it does not. */
  readonly layouts: readonly KindLayout[] | undefined
}

/** Reads struct btf_header. Throws BtfError. */
export function readHeader(view: DataView, what: string): Header {
  const preamble = readPreamble(view, what, HEADER_BYTES)
  const types = readRange(view, what, preamble, 8, 'types')
  const strings = readRange(view, what, preamble, 16, 'strings')
  if ((types.from - preamble.headerLength) % 4 !== 0)
    throw new BtfError(what, 'the types are not aligned to 4 bytes', 8)
  const { littleEndian, headerLength } = preamble
  return { littleEndian, headerLength, types, strings, layouts: readLayouts(view, what, preamble) }
}

/** struct btf_layout for each kind, by number: info_sz, elem_sz, and flags that mean nothing yet. */
function readLayouts(view: DataView, what: string, preamble: Preamble): readonly KindLayout[] | undefined {
  if (preamble.headerLength < HEADER_WITH_LAYOUT) return undefined
  const { from, to } = readRange(view, what, preamble, 24, 'layouts')
  if (to === from) return undefined
  if ((to - from) % LAYOUT_BYTES !== 0)
    throw new BtfError(what, `${to - from} bytes are no whole number of layouts`, 28)
  return Array.from({ length: Math.min((to - from) / LAYOUT_BYTES, 0x80) }, (_, kind) => {
    const at = from + kind * LAYOUT_BYTES
    return { once: view.getUint8(at), each: view.getUint8(at + 1) }
  })
}
