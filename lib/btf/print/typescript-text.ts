import { UniqueNames } from './identifiers'

/** An expression in the library's codecs, and what it takes of a struct. */
export interface CodecText {
  readonly text: string
  readonly size: number
  readonly align: number
}

/** Names that mean something else to those who read TypeScript, or to the text itself. */
const TAKEN = [
  ...['Array', 'ArrayBuffer', 'BigInt', 'Boolean', 'Codec', 'DataView', 'Date', 'Error', 'Function', 'Map', 'Number'],
  ...['Object', 'Promise', 'Proxy', 'Record', 'RegExp', 'Set', 'String', 'StructCodec', 'Symbol', 'Uint8Array'],
]

/** The names of one module. */
export function typeNames(): UniqueNames {
  const names = new UniqueNames('')
  for (const name of TAKEN) names.take(name)
  return names
}

/** A name of C as one of a type in TypeScript: `task_struct` is TaskStruct. */
export function typeName(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const own = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join('')
  return /^[A-Z]/.test(own) ? own : `T${own}`
}

export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
}

export function arrayOf(type: string): string {
  return type.includes('|') && !type.startsWith('{') ? `(${type})[]` : `${type}[]`
}

/** A union; where it is long, one line each. */
export function oneOf(types: readonly string[]): string {
  const line = types.join(' | ')
  return line.length <= 90 ? line : types.map((type) => `\n  | ${type}`).join('')
}

/** What enumOf takes: `{ TCP: 6 }`. */
export function enumLiteral(constants: readonly (readonly [string, bigint])[], wide: boolean): string {
  const entries = constants.map(([name, value]) => {
    // Of an object literal it would be the prototype.
    const key = name === '__proto__' ? `['__proto__']` : propertyName(name)
    return `${key}: ${value}${wide ? 'n' : ''}`
  })
  const line = `{ ${entries.join(', ')} }`
  return line.length <= 90 ? line : `{\n${entries.map((entry) => `  ${entry},\n`).join('')}}`
}
