import { existsSync, readFileSync } from 'node:fs'
import { KERNEL_BTF } from './kernel'

/**
 * What of the names in the kernel's BTF begins with a prefix, without it: for messages that name what is near. Names of
 * types, members and functions are together there. Empty where the kernel has no BTF.
 */
export function kernelNames(prefix: string): readonly string[] {
  if (!existsSync(KERNEL_BTF)) return []
  const bytes = readFileSync(KERNEL_BTF)
  const names: string[] = []
  // Strings end with a NUL, so each begins behind one.
  const start = `\0${prefix}`
  for (let at = bytes.indexOf(start, 0, 'latin1'); at >= 0; at = bytes.indexOf(start, at + 1, 'latin1')) {
    const from = at + start.length
    names.push(bytes.toString('latin1', from, bytes.indexOf(0, from)))
  }
  return names
}
