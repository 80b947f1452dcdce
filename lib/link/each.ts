import { checkU64 } from '../map/attributes'
import type { Cookie } from './event'

/** What links to many functions at once have in common. */

/** As the kernel takes cookies: one for each function, or none. */
export function cookiesOf(
  cookies: readonly Cookie[] | undefined,
  count: number,
  byPattern: boolean,
): BigUint64Array | undefined {
  if (cookies === undefined) return undefined
  if (!Array.isArray(cookies)) throw new TypeError('cookies are a list: one for each function')
  if (byPattern)
    throw new TypeError('cookies go with names: which functions a pattern finds, and in which order, nobody knows')
  if (cookies.length !== count) throw new RangeError(`${cookies.length} cookies for ${count} functions`)
  return BigUint64Array.from(cookies as readonly Cookie[], (cookie, i) => checkU64(`cookies[${i}]`, cookie))
}

/** The names that a pattern is for. Throws RangeError where there are none. `where` is what messages call the names. */
export function matching(names: readonly string[], pattern: RegExp, where: string): readonly string[] {
  // One with the flag g or y goes on where it stopped.
  const fresh = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''))
  const found = names.filter((name) => fresh.test(name))
  if (found.length === 0) throw new RangeError(`${pattern} is for none of ${where}`)
  return found
}
