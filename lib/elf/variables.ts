import { type InspectOptions, inspect } from 'node:util'
import type { Global } from './globals'

/** Shown as a list: each tells its name itself. */
const SHOWN = Object.freeze(
  Object.assign(Object.create(null), {
    [inspect.custom](this: Readonly<Record<string, Global>>, depth: number, options: InspectOptions): string {
      const all = Object.values(this)
      if (depth < 0) return `{ ${all.length} variables }`
      return all.length === 0 ? '{}' : `{\n${all.map((each) => `  ${each.words(options)}`).join(',\n')}\n}`
    },
  }),
)

/** Variables by name. To assign to one, where its value is meant, is a TypeError that says so. */
export function variables(entries: readonly (readonly [string, Global])[]): Readonly<Record<string, Global>> {
  const found = Object.create(SHOWN)
  // Of several files, each may have a static one of the same name: the last is it, and what all files see before these.
  for (const [name, global] of new Map(entries)) {
    Object.defineProperty(found, name, {
      enumerable: true,
      get: () => global,
      set: (value: unknown) => {
        const text = typeof value === 'object' ? '...' : inspect(value)
        throw new TypeError(`a variable is written by its value: globals.${name}.value = ${text}`)
      },
    })
  }
  return Object.freeze(found) as Readonly<Record<string, Global>>
}
