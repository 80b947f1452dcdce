import { UniqueNames } from './identifiers'

/** An expression in the library's codecs, and what it takes of a struct. */
export interface CodecText {
  readonly text: string
  /** The same on several lines, where there is such a form. */
  readonly broken?: string | undefined
  readonly size: number
  readonly align: number
}

/** Names that mean something else to those who read TypeScript, or to the text itself. */
const TAKEN = [
  ...['Array', 'ArrayBuffer', 'BigInt', 'Boolean', 'Codec', 'DataView', 'Date', 'Error', 'Function', 'Map', 'Number'],
  ...['Object', 'Promise', 'Proxy', 'Record', 'RegExp', 'Set', 'String', 'StructCodec', 'Symbol', 'Uint8Array'],
]

/** Characters of a line. */
export const LINE = 120

/** The names of one module, but for those that it has for something else. */
export function typeNames(taken: Iterable<string>): UniqueNames {
  const names = new UniqueNames('')
  for (const name of new Set([...TAKEN, ...taken])) names.take(name)
  return names
}

/** A name of C as one of a type in TypeScript: `task_struct` is TaskStruct. */
export function typeName(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const own = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join('')
  return /^[A-Z]/.test(own) ? own : `T${own}`
}

export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : literal(name)
}

/** A string in single quotes. */
export function literal(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1)
  return text.includes("'") ? `"${inner}"` : `'${inner.replaceAll('\\"', '"')}'`
}

/** A comment that ends where it shall, whatever a name has in it. */
export function comment(text: string): string {
  return `/** ${text.replaceAll('*/', '* /').replaceAll(/\s+/g, ' ')} */`
}

export function arrayOf(type: string): string {
  return type.includes('|') && !type.startsWith('{') ? `(${type})[]` : `${type}[]`
}

/** A union behind `start =`; where it is long, one line each. */
export function oneOf(types: readonly string[], start: string): string {
  const line = ` ${types.join(' | ')}`
  return start.length + line.length <= LINE ? line : types.map((type) => `\n  | ${type}`).join('')
}

/** The entries of what enumOf takes: `TCP: 6`. */
export function enumLiteral(constants: readonly (readonly [string, bigint])[], wide: boolean): string[] {
  return constants.map(([name, value]) => {
    // Of an object literal it would be the prototype.
    const key = name === '__proto__' ? `['__proto__']` : propertyName(name)
    return `${key}: ${value}${wide ? 'n' : ''}`
  })
}
