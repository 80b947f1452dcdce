import { existsSync, readFileSync } from 'node:fs'
import { type BtfImage, type BtfKind, btfImageOf, findType } from './find'

/** The kernel's description of its own types, as programs name them by id. Linux 5.4, with CONFIG_DEBUG_INFO_BTF. */
export const KERNEL_BTF = '/sys/kernel/btf/vmlinux'

export type KernelTypeKind = BtfKind

/** Five megabytes: kept as long as nobody else needs the memory. */
let image: WeakRef<BtfImage> | undefined
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
  const id = findType(btf, kind, name)
  found.set(key, id)
  return id
}

function readImage(): BtfImage | undefined {
  const before = image?.deref()
  if (before !== undefined) return before
  if (!existsSync(KERNEL_BTF)) return undefined
  const read = btfImageOf(readFileSync(KERNEL_BTF))
  image = new WeakRef(read)
  return read
}
