import { types } from 'node:util'

/** What withPath knows of an error that it has seen: the path so far, and the message before any path. */
const located = new WeakMap<Error, { path: string; bare: string }>()

/**
 * Puts a path segment in front of the message of an error that a codec threw:
 * `-1 is out of range for u32 (0 to 4294967295)` becomes `packets: -1 is ...`, then `value.packets: -1 is ...`.
 *
 * The same error object comes back, with its stack, whose first line is kept in step with the message.
 * A string is a field, a number an index. Only TypeError and RangeError, which are what codecs throw, are
 * touched; every other value comes back as it is. Containers and callers use it as
 * `catch (error) { throw withPath('key', error) }`.
 */
export function withPath(segment: string | number, error: unknown): unknown {
  if (!isCodecError(error)) return error
  const before = error.message
  const known = located.get(error)
  // Somebody may have rewritten the message in between: what it says now is then the message.
  const inner = known !== undefined && before === `${known.path}: ${known.bare}` ? known : { path: '', bare: before }
  const path = join(segment, inner.path)
  const message = `${path}: ${inner.bare}`
  const stack = error.stack
  // Not an assignment: a frozen error must come back unchanged, and not as a TypeError about itself.
  if (!Reflect.set(error, 'message', message)) return error
  located.set(error, { path, bare: inner.bare })
  const at = before === '' || typeof stack !== 'string' ? -1 : stack.indexOf(`: ${before}`)
  if (at >= 0 && typeof stack === 'string') {
    Reflect.set(error, 'stack', `${stack.slice(0, at + 2)}${message}${stack.slice(at + 2 + before.length)}`)
  }
  return error
}

/** By name as well as by class: an error made in another context (a REPL, node:vm) has another RangeError. */
function isCodecError(error: unknown): error is Error {
  if (!types.isNativeError(error)) return false
  return (
    error instanceof TypeError ||
    error instanceof RangeError ||
    error.name === 'TypeError' ||
    error.name === 'RangeError'
  )
}

function join(segment: string | number, path: string): string {
  const text =
    typeof segment === 'number'
      ? `[${segment}]`
      : /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(segment)
        ? segment
        : `[${JSON.stringify(segment)}]`
  return path === '' || path.startsWith('[') ? text + path : `${text}.${path}`
}

/** A value as an error message shows it: short, and never calling code of the value's own. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 64 ? `${value.slice(0, 61)}...` : value)
    case 'bigint':
      return `${value}n`
    case 'number':
      return Object.is(value, -0) ? '-0' : `${value}`
    case 'boolean':
    case 'undefined':
      return `${value}`
    case 'symbol':
      return 'a symbol'
    case 'function':
      return 'a function'
    default:
      if (value === null) return 'null'
      if (Array.isArray(value)) return `an array of ${value.length}`
      if (types.isUint8Array(value)) return `a Uint8Array of ${value.length}`
      return 'an object'
  }
}
