import { LE } from '../../syscalls/attr-common'
import { btfLoad } from '../../syscalls/bpf-btf'
import { type Answer, attempt, judge } from './answer'

/**
 * Small BTF of each kind that came later than the format itself (Documentation/bpf/btf.rst), to see whether the kernel
 * takes it: what it does not, whoever loads a compiled object has to leave out.
 */

const MAGIC = 0xeb9f
const HEADER_BYTES = 24
/** Offsets of names in STRINGS. */
const STRINGS = '\0int\0x\0.data\0?.data\0'
const INT_NAME = 1
const X_NAME = 5
const DATA_NAME = 7
const ODD_NAME = 13

const KIND_FLAG = 1 << 31

const kind = (number: number, vlen = 0) => (number << 24) | vlen
/** [1] int */
const INT = [INT_NAME, kind(1), 4, (1 << 24) | 32]
/** [2] static int x */
const VAR = [X_NAME, kind(14), 1, 0]
/** [2] int (void), [3] a function x of it */
const PROTO = [0, kind(13), 1]
const FUNC = (linkage: number) => [X_NAME, kind(12, linkage), 2]

const KINDS = {
  /** variables and their sections, for global data */
  datasec: [...INT, ...VAR, DATA_NAME, kind(15, 1), 4, 2, 0, 4],
  /** functions, for the names and lines of programs */
  func: [...INT, ...PROTO, ...FUNC(0)],
  /** functions that are verified apart from their callers */
  func_global: [...INT, ...PROTO, ...FUNC(1)],
  float: [INT_NAME, kind(16), 4],
  decl_tag: [...INT, ...VAR, X_NAME, kind(17), 2, -1],
  type_tag: [...INT, X_NAME, kind(18), 1, 0, kind(2), 2],
  enum64: [X_NAME, kind(19, 1), 8, INT_NAME, 0, 0],
  /** tags of any attribute of the source, not of btf_decl_tag and btf_type_tag alone */
  attribute_tag: [...INT, ...VAR, X_NAME, kind(17) | KIND_FLAG, 2, -1],
  /** sections whose names have more than letters, digits, dots and underscores */
  section_name: [...INT, ...VAR, ODD_NAME, kind(15, 1), 4, 2, 0, 4],
} as const satisfies Record<string, readonly number[]>

export type BtfKindName = keyof typeof KINDS
export const BTF_KINDS = Object.keys(KINDS) as BtfKindName[]

/** The BTF that holds the types, which are 32-bit words, and their names. */
export function btfImage(types: readonly number[], strings: string): ArrayBuffer {
  const typeBytes = types.length * 4
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + typeBytes + strings.length))
  view.setUint16(0, MAGIC, LE)
  view.setUint8(2, 1)
  const words = [HEADER_BYTES, 0, typeBytes, typeBytes, strings.length, ...types]
  for (const [i, word] of words.entries()) view.setInt32(4 + i * 4, word, LE)
  for (let i = 0; i < strings.length; i++) view.setUint8(HEADER_BYTES + typeBytes + i, strings.charCodeAt(i))
  return view.buffer
}

/** `int x(void)`, and the id of its type. */
export function functionTypes() {
  return { types: KINDS.func_global, strings: STRINGS, functionId: 3 }
}

/** EINVAL of a kernel that does not know the kind (btf_check_meta in kernel/bpf/btf.c). */
export function probeBtfKind(name: BtfKindName): Answer {
  return judge(
    attempt(() => btfLoad({ btf: btfImage(KINDS[name], STRINGS) }, { description: `BTF with a ${name}` })),
    { no: ['EINVAL'] },
  )
}
