import { type InspectOptions, inspect } from 'node:util'

/** Shown as the plain object that it looks like. */
const SHOWN = Object.freeze(
  Object.assign(Object.create(null), {
    [inspect.custom](this: object, _depth: number, options: InspectOptions): string {
      return inspect({ ...this }, options)
    },
  }),
)

/** A plain object by name, without what every object has: a map may be called 'constructor'. */
export function dictionary<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  const found: Record<string, T> = Object.create(SHOWN)
  for (const [name, value] of entries) found[name] = value
  return Object.freeze(found)
}
