import { LE } from '../../syscalls/attr-common'

/** enum in include/uapi/linux/btf.h */
const KINDS = { struct: 4, typedef: 8, func: 12 } as const

export type BtfKind = keyof typeof KINDS

/** What follows the three words of a struct btf_type, in bytes, by kind: a fixed part, and a part for each of vlen. */
const FOLLOWS: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0], // INT
  3: [12, 0], // ARRAY
  4: [0, 12], // STRUCT
  5: [0, 12], // UNION
  6: [0, 8], // ENUM
  13: [0, 8], // FUNC_PROTO
  14: [4, 0], // VAR
  15: [0, 12], // DATASEC
  17: [4, 0], // DECL_TAG
  19: [0, 12], // ENUM64
}
const TYPE_BYTES = 12
const HEADER_LENGTH = 4

/** BTF as it is loaded, and where its parts are. */
export interface BtfImage {
  readonly bytes: Buffer
  /** Where the types are, the first of which has id 1, and where the strings are. */
  readonly types: readonly [from: number, to: number]
  readonly strings: readonly [from: number, to: number]
}

/** Reads struct btf_header: magic, version, flags; hdr_len, type_off, type_len, str_off, str_len. */
export function btfImageOf(bytes: Buffer): BtfImage {
  const word = (at: number) => (LE ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
  const head = word(HEADER_LENGTH)
  const [types, strings] = [head + word(8), head + word(16)]
  return { bytes, types: [types, types + word(12)], strings: [strings, strings + word(20)] }
}

/**
 * The id of the type or function of this name and kind; of several, the first. undefined where there is none. Goes by a
 * name that is in the strings once, as in BTF without duplicates (btf__dedup), and by any that is there more often.
 */
export function findType({ bytes, types, strings }: BtfImage, kind: BtfKind, name: string): number | undefined {
  const places = placesOf(bytes.subarray(strings[0], strings[1]), name)
  if (places.size === 0) return undefined
  const wanted = KINDS[kind]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let id = 1
  for (let type = types[0]; type < types[1]; id++) {
    const info = view.getUint32(type + 4, LE)
    const itsKind = (info >>> 24) & 0x1f
    if (itsKind === wanted && places.has(view.getUint32(type, LE))) return id
    const [fixed, each] = FOLLOWS[itsKind] ?? NOTHING
    type += TYPE_BYTES + fixed + each * (info & 0xffff)
  }
  return undefined
}

/** Where a name stands among the strings, each of which ends with a NUL. */
function placesOf(strings: Buffer, name: string): Set<number> {
  const places = new Set<number>()
  const text = `\0${name}\0`
  for (let at = strings.indexOf(text, 0, 'latin1'); at >= 0; at = strings.indexOf(text, at + 1, 'latin1')) {
    places.add(at + 1)
  }
  return places
}

const NOTHING = [0, 0] as const
