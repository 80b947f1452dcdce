import { tryKernel } from './btf'
import type { BtfKind } from './types'

/** The kernel's description of its own types, as programs name them by id. Linux 5.4, with CONFIG_DEBUG_INFO_BTF. */
export const KERNEL_BTF = '/sys/kernel/btf/vmlinux'

export type KernelTypeKind = Extract<BtfKind, 'struct' | 'typedef' | 'func'>

const found = new Map<string, number | undefined>()

/**
 * The BTF id of a type or function of the kernel itself; undefined where there is none of that name and kind, or no BTF.
 * Of several of the same name, the first.
 */
export function kernelTypeId(kind: KernelTypeKind, name: string): number | undefined {
  const key = `${kind} ${name}`
  if (found.has(key)) return found.get(key)
  const btf = tryKernel()
  if (btf === undefined) return undefined
  const id = btf.find(name, kind)?.id
  found.set(key, id)
  return id
}
