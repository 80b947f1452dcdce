import type { Codec } from '../../codec'
import { BtfBuilder } from './builder'
import { CodecTypes, type HasEnum64 } from './from-codec'

/** What a map's keys and values are, for BTF of it. */
export interface MapContent {
  /** A codec; 'index' is the u32 of arrays, 'fd' the int of local storage, 'prefix' what a key of an LPM_TRIE has to be. */
  readonly key: Codec<unknown> | 'index' | 'fd'
  readonly value: Codec<unknown>
  /** LPM_TRIE: keys that are no structs become some. */
  readonly prefixed?: boolean
}

/** BTF with the types of a map's key and value. */
export interface MapTypes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly keyTypeId: number
  readonly valueTypeId: number
}

/** What stands for keys that have no codec. */
const NO_CODEC = { index: {}, fd: {} } as const

const made = [new WeakMap<object, WeakMap<object, MapTypes>>(), new WeakMap<object, WeakMap<object, MapTypes>>()]

/** Describes a map's keys and values; codecs that were described before cost nothing. */
export function mapTypes(content: MapContent, hasEnum64: HasEnum64): MapTypes {
  const { key, value, prefixed = false } = content
  const byKey = made[prefixed ? 1 : 0] as WeakMap<object, WeakMap<object, MapTypes>>
  const keyObject = typeof key === 'string' ? NO_CODEC[key] : key
  let byValue = byKey.get(keyObject)
  if (byValue === undefined) {
    byValue = new WeakMap()
    byKey.set(keyObject, byValue)
  }
  let types = byValue.get(value)
  if (types === undefined) {
    types = describe(content, hasEnum64)
    byValue.set(value, types)
  }
  return types
}

function describe({ key, value, prefixed = false }: MapContent, hasEnum64: HasEnum64): MapTypes {
  const builder = new BtfBuilder()
  const types = new CodecTypes(builder, hasEnum64)
  let keyTypeId: number
  if (key === 'index') keyTypeId = types.alias('u32')
  else if (key === 'fd') keyTypeId = types.int('i32')
  else {
    keyTypeId = types.add(key)
    if (prefixed && builder.type(keyTypeId)?.kind !== 'struct') keyTypeId = types.lpmKey(key.size)
  }
  const valueTypeId = types.add(value)
  return { bytes: builder.bytes(), keyTypeId, valueTypeId }
}
