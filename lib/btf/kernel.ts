import { existsSync, readFileSync } from 'node:fs'
import { LE } from '../../syscalls/attr-common'

/** The kernel's description of its own types, as programs name them by id. Linux 5.4, with CONFIG_DEBUG_INFO_BTF. */
export const KERNEL_BTF = '/sys/kernel/btf/vmlinux'

/** enum in include/uapi/linux/btf.h */
const KINDS = { struct: 4, typedef: 8, func: 12 } as const

export type KernelTypeKind = keyof typeof KINDS

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

interface Image {
  readonly bytes: Buffer
  /** Where the types are, the first of which has id 1, and where the strings are. */
  readonly types: readonly [from: number, to: number]
  readonly strings: readonly [from: number, to: number]
}

/** Five megabytes: kept as long as nobody else needs the memory. */
let image: WeakRef<Image> | undefined
const found = new Map<string, number | undefined>()

/**
 * The BTF id of a type or function of the kernel itself; undefined where there is none of that name and kind, or no BTF.
 * Of several of the same name, the first. The file is gone through once for each name that is asked for, some 2 ms.
 */
export function kernelTypeId(kind: KernelTypeKind, name: string): number | undefined {
  const key = `${kind} ${name}`
  if (found.has(key)) return found.get(key)
  const btf = readImage()
  if (btf === undefined) return undefined
  const id = scan(btf, KINDS[kind], name)
  found.set(key, id)
  return id
}

function readImage(): Image | undefined {
  const before = image?.deref()
  if (before !== undefined) return before
  if (!existsSync(KERNEL_BTF)) return undefined
  const bytes = readFileSync(KERNEL_BTF)
  const word = (at: number) => bytes.readUInt32LE(at)
  const u32 = LE ? word : (at: number) => bytes.readUInt32BE(at)
  // struct btf_header: magic, version, flags; hdr_len, type_off, type_len, str_off, str_len
  const head = u32(HEADER_LENGTH)
  const [types, strings] = [head + u32(8), head + u32(16)]
  const read: Image = { bytes, types: [types, types + u32(12)], strings: [strings, strings + u32(20)] }
  image = new WeakRef(read)
  return read
}

function scan({ bytes, types, strings }: Image, kind: number, name: string): number | undefined {
  // Each name is there once (btf__dedup), so its place stands for it.
  const at = bytes.indexOf(`\0${name}\0`, strings[0], 'latin1')
  if (at < 0 || at >= strings[1]) return undefined
  const place = at + 1 - strings[0]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let id = 1
  for (let type = types[0]; type < types[1]; id++) {
    const info = view.getUint32(type + 4, LE)
    const itsKind = (info >>> 24) & 0x1f
    if (itsKind === kind && view.getUint32(type, LE) === place) return id
    const [fixed, each] = FOLLOWS[itsKind] ?? NOTHING
    type += TYPE_BYTES + fixed + each * (info & 0xffff)
  }
  return undefined
}

const NOTHING = [0, 0] as const
