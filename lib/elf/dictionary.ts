/** A plain object by name, without what every object has: a map may be called 'constructor'. */
export function dictionary<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  const found: Record<string, T> = Object.create(null)
  for (const [name, value] of entries) found[name] = value
  return Object.freeze(found)
}
