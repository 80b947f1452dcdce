/** A plain object by name, without what every object has: a map may be called 'constructor'. */
export function dictionary<T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> {
  return Object.freeze(Object.assign(Object.create(null), Object.fromEntries(entries))) as Readonly<Record<string, T>>
}
