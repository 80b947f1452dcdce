import { readFileSync } from 'node:fs'
import { nearest } from '../text/nearest'

/** What the kernel calls its functions: /proc/kallsyms tells the names to everybody, the addresses to root. */

const KALLSYMS = '/proc/kallsyms'

/** The functions of the kernel and of its modules; undefined where the kernel does not tell (CONFIG_KALLSYMS). */
function kernelFunctions(): ReadonlySet<string> | undefined {
  let text: string
  try {
    text = readFileSync(KALLSYMS, 'latin1')
  } catch {
    // It is asked for when something else has failed already: that is what has to be told.
    return undefined
  }
  // 'address type name', and the module in brackets; t and T are code, w and W code that others may replace.
  return new Set(Array.from(text.matchAll(/^\S+ [tTwW] (\S+)/gm), ([, name = '']) => name))
}

/** Why there is no probe at a function of this name, in words. */
export function functionHint(name: string): string {
  const functions = kernelFunctions()
  if (functions === undefined) return `the kernel has no function '${name}', or none that can be probed`
  if (functions.has(name)) return `'${name}' is a function of the kernel, and cannot be probed`
  const near = nearest(name, functions)
  const did = near === undefined ? '' : `: did you mean '${near}'?`
  return `the kernel has no function '${name}'${did} (${KALLSYMS} lists them)`
}

/** Of several names, those that the kernel has no function of. */
export function unknownFunctions(names: readonly string[]): readonly string[] {
  const functions = kernelFunctions()
  return functions === undefined ? [] : names.filter((name) => !functions.has(name))
}
