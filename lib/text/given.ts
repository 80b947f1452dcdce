import { inspect } from 'node:util'

/** Characters of a value that a message has room for. */
const MOST = 60

/** What was given in the place of something else, for a message: objects of this library by the name that messages call them. */
export function given(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'description' in value && typeof value.description === 'string') {
    return value.description
  }
  const shown = {
    depth: 1,
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
    maxArrayLength: 8,
    customInspect: false,
  }
  const text = inspect(value, shown)
  return text.length > MOST ? `${text.slice(0, MOST - 3)}...` : text
}
