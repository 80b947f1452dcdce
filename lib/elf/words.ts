import { type InspectOptions, inspect } from 'node:util'
import type { Btf } from '../btf'
import { codecOf } from './codecs'
import type { ObjectMap, ObjectProgram } from './description'
import { hasEvents, isOuter } from './map-shape'

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
  const keyName = keySize === 0 ? '' : ` ${(key ?? codecOf(btf, keyType, keySize)).name}`
  if (isOuter(type))
    return `${keyName} → ${inner === undefined ? 'maps that it does not tell' : `(${wordsOfMap(inner, btf)})`}`
  if (type === 'PROG_ARRAY') return `${keyName} → programs`
  const valueName = valueSize === 0 ? '' : (value ?? codecOf(btf, valueType, valueSize)).name
  return valueName === '' || hasEvents(type) ? '' : keyName === '' ? ` ${valueName}` : `${keyName} → ${valueName}`
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
