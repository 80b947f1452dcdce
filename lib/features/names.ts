import { nearest } from '../text/nearest'
import { withoutPrefix } from '../text/without-prefix'

/** The names that can be asked for, and what is said of one that is none. */

/** Refuses a name that is not in the list, with the nearest one that is. */
export function checkKnown(what: string, name: unknown, names: readonly string[]): void {
  if (typeof name === 'string' && names.includes(name)) return
  const text = typeof name === 'string' ? `'${name}'` : String(name)
  const bare = withoutPrefix(name, names)
  if (bare !== undefined) throw new TypeError(`no ${what} is called ${text}: ${bare}`)
  const near = typeof name === 'string' ? nearest(name, names) : undefined
  const hint = near === undefined ? '' : `: did you mean '${near}'?`
  const list = names.length > MANY ? '' : `${hint === '' ? ':' : ''} There are ${names.join(', ')}`
  throw new TypeError(`no ${what} is called ${text}${hint}${list}`)
}

/** Names beyond which a list of them helps nobody. */
const MANY = 60
