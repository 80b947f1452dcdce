import { ATTACH_TYPES, type AttachTypeName, PROGRAM_TYPES, type ProgramTypeName } from '../../syscalls/uapi-names'
import * as uapi from '../../syscalls/uapi-prog'
import { ATTACH_TYPE_ALIASES, checkKnown, PROGRAM_TYPE_ALIASES } from '../features/names'

/** A program's type as the library names it; `type 40` for one that it does not know. */
export type ProgramTypeLabel = ProgramTypeName | `type ${number}`

const TYPE_NAMES: ReadonlyMap<number, ProgramTypeName> = new Map(
  Object.entries(PROGRAM_TYPES).map(([name, number]) => [number, name as ProgramTypeName]),
)
const TYPES = Object.keys(PROGRAM_TYPES) as ProgramTypeName[]
const ATTACH = Object.keys(ATTACH_TYPES) as AttachTypeName[]

/** 'xdp' for 6. */
export function programTypeLabel(type: number): ProgramTypeLabel {
  return TYPE_NAMES.get(type) ?? `type ${type}`
}

/** The kernel's number of a program type. Throws TypeError for a name that is none. */
export function programTypeNumber(name: ProgramTypeName): number {
  checkKnown('program type', name, TYPES, PROGRAM_TYPE_ALIASES)
  return PROGRAM_TYPES[name]
}

/** The kernel's number of an attach type. Throws TypeError for a name that is none. */
export function attachTypeNumber(name: AttachTypeName): number {
  checkKnown('attach type', name, ATTACH, ATTACH_TYPE_ALIASES)
  return ATTACH_TYPES[name]
}

/** prog_flags of BPF_PROG_LOAD under the kernel's names, without the prefix BPF_F_. */
export const PROGRAM_FLAGS = {
  STRICT_ALIGNMENT: uapi.BPF_F_STRICT_ALIGNMENT,
  ANY_ALIGNMENT: uapi.BPF_F_ANY_ALIGNMENT,
  TEST_RND_HI32: uapi.BPF_F_TEST_RND_HI32,
  TEST_STATE_FREQ: uapi.BPF_F_TEST_STATE_FREQ,
  SLEEPABLE: uapi.BPF_F_SLEEPABLE,
  XDP_HAS_FRAGS: uapi.BPF_F_XDP_HAS_FRAGS,
  XDP_DEV_BOUND_ONLY: uapi.BPF_F_XDP_DEV_BOUND_ONLY,
  TEST_REG_INVARIANTS: uapi.BPF_F_TEST_REG_INVARIANTS,
} as const

export type ProgramFlag = keyof typeof PROGRAM_FLAGS

/** flags of BPF_PROG_TEST_RUN, without the prefixes BPF_F_ and BPF_F_TEST_. RUN_ON_CPU goes with `cpu`. */
export const RUN_FLAGS = {
  XDP_LIVE_FRAMES: uapi.BPF_F_TEST_XDP_LIVE_FRAMES,
  SKB_CHECKSUM_COMPLETE: uapi.BPF_F_TEST_SKB_CHECKSUM_COMPLETE,
} as const

export type RunFlag = keyof typeof RUN_FLAGS

/** The bits of flags given by name. */
export function bitsOf<Flag extends string>(
  what: string,
  known: Readonly<Record<Flag, number>>,
  flags: readonly Flag[] | undefined,
): number {
  if (flags === undefined) return 0
  const names = Object.keys(known) as Flag[]
  if (!Array.isArray(flags)) throw new TypeError(`flags are given as a list of names: ['${names[0]}']`)
  let bits = 0
  for (const flag of flags as readonly Flag[]) {
    checkKnown(what, flag, names)
    bits |= known[flag]
  }
  return bits
}
