import { bytes, type Codec } from '../codec'
import { makeCodec } from '../codec/make'
import { possibleCpus } from '../cpu/possible'
import { type MapType, mapTypeLabel } from './attributes'
import { KeyedMap } from './keyed-map'
import { type MapAttributes, type MapCore, MapSpec } from './spec'

/**
 * Room for whatever the kernel may copy: of a type that is not known, it is not known either whether its values are per
 * CPU, and then it copies a value for each of them (bpf_map_value_size).
 */
function roomyBytes(size: number): Codec<Uint8Array> {
  const exact = bytes(size)
  return makeCodec<Uint8Array>({
    name: exact.name,
    size: ((size + 7) & ~7) * possibleCpus(),
    align: 8,
    write() {
      throw new TypeError('a raw map is read, not written')
    },
    read: (view, offset) => exact.read(view, offset),
  })
}

/**
 * A map of a type that this library has no class for, or an outer map of whose inner maps nothing is known: its keys and
 * values as bytes, as far as the kernel lets user space read them. Opened by `openMap`; neither made nor written.
 */
export class RawMap extends KeyedMap<Uint8Array, Uint8Array> {
  declare protected readonly family: 'RawMap'

  /** @internal */
  static specOf(attributes: MapAttributes): MapSpec<RawMap> {
    const { type, keySize, valueSize, maxEntries } = attributes
    const label = mapTypeLabel(type)
    const family = {
      name: 'RawMap' as const,
      // What messages say of it; the number is what counts.
      type: label as MapType,
      shape: `${label}, ${keySize} → ${valueSize} bytes`,
      wrap: (core: MapCore) => new RawMap(core, attributes),
      build(): never {
        throw new TypeError(`maps of ${label} can be opened by this library, not made`)
      },
    }
    return new MapSpec<RawMap>(family, { type }, { keySize, valueSize, maxEntries })
  }

  private constructor(core: MapCore, { keySize, valueSize }: MapAttributes) {
    super(core, { key: bytes(keySize), value: roomyBytes(valueSize) })
    // The batch commands would lay values out at a distance that is not known.
    this.target().setLacks('BPF_MAP_LOOKUP_BATCH')
  }

  /** A value's bytes; undefined where there is no such key. Errors: ENOTSUPP, EOPNOTSUPP (not readable). */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.lookup(key, 0)
  }

  /** Whether there is such a key. */
  has(key: Uint8Array): boolean {
    return this.exists(key)
  }

  entries(): IterableIterator<[Uint8Array, Uint8Array]> {
    return this.walk()
  }

  keys(): IterableIterator<Uint8Array> {
    return this.walkKeys()
  }

  [Symbol.iterator](): IterableIterator<[Uint8Array, Uint8Array]> {
    return this.walk()
  }
}
