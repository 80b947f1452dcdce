import { tryKernel } from './btf'
import type { KernelTypeKind } from './kernel'

/**
 * What of the names of a kind in the kernel's BTF begins with a prefix, without it: for messages that name what is near.
 * Empty where the kernel has no BTF.
 */
export function kernelNames(prefix: string, kind: KernelTypeKind = 'typedef'): readonly string[] {
  const names: string[] = []
  for (const { name } of tryKernel()?.types(kind) ?? []) {
    if (name.startsWith(prefix)) names.push(name.slice(prefix.length))
  }
  return names
}
