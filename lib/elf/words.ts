import { type InspectOptions, inspect } from 'node:util'
import type { Btf } from '../btf'
import { codecOf } from './codecs'
import type { ObjectMap, ObjectProgram } from './description'
import { hasEvents, isOuter } from './map-shape'

/** Keys and values have less (KMALLOC_MAX_SIZE). */
const MOST_BYTES = 2 ** 22

/** "HASH_OF_MAPS u32 → HASH u32 → struct stat ×512, pinned by name": a map as an object describes it. */
export function wordsOfMap(map: ObjectMap, btf: Btf | undefined): string {
  const { type, maxEntries, pinning, autocreate } = map
  const size =
    maxEntries === 0 ? '' : hasEvents(type) && type !== 'PERF_EVENT_ARRAY' ? ` ${maxEntries} bytes` : ` ×${maxEntries}`
  const pinned = pinning === 'by-name' ? ', pinned by name' : ''
  return `${type}${entryOf(map, btf)}${size}${pinned}${autocreate ? '' : ', not to be created'}`
}

function entryOf(map: ObjectMap, btf: Btf | undefined): string {
  const { type, keySize, valueSize, keyType, valueType, key, value, inner } = map
  const keyName = keySize === 0 ? '' : ` ${key?.name ?? nameOf(btf, keyType, keySize)}`
  if (isOuter(type))
    return `${keyName} → ${inner === undefined ? 'maps that it does not tell' : `(${wordsOfMap(inner, btf)})`}`
  if (type === 'PROG_ARRAY') return `${keyName} → programs`
  const valueName = valueSize === 0 ? '' : (value?.name ?? nameOf(btf, valueType, valueSize))
  return valueName === '' || hasEvents(type) ? '' : keyName === '' ? ` ${valueName}` : `${keyName} → ${valueName}`
}

function nameOf(btf: Btf | undefined, type: number, size: number): string {
  // What has no type, and sizes that no map could have.
  return type === 0 || size > MOST_BYTES ? `${size} bytes` : codecOf(btf, type, size).name
}

/** "tracepoint (tracepoint/raw_syscalls/sys_enter)": a program as an object describes it. */
export function wordsOfProgram({ section, type, autoload }: ObjectProgram): string {
  return `${type ?? 'of no type'} (${section})${autoload ? '' : ', not to be loaded'}`
}

/**
 * A description that may be changed, but has no more properties than it has: a slip of the finger is a TypeError. Among
 * others it is shown in words; by itself with what it says, property by property.
 */
export function settle<T extends object>(description: T, words: (description: T) => string): T {
  if (Object.isSealed(description)) return description
  Object.defineProperty(description, inspect.custom, {
    value(this: T, depth: number, options: InspectOptions): string {
      if (depth !== options.depth) return words(this)
      const said = Object.entries(this).filter(([, value]) => value !== undefined)
      return inspect(Object.fromEntries(said), options)
    },
  })
  return Object.seal(description)
}
