import { mapInfo } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'
import { flagNames, MAP_FLAGS, MAP_TYPES, mapTypeLabel, permanentFlags } from './attributes'
import type { BpfMap } from './bpf-map'
import type { MapAttributes, MapSpec, MapTypes } from './spec'

/** A map that is not what it was taken for: the attribute that differs, and both of its values. */
export class MapMismatchError extends TypeError {
  override readonly name: string = 'MapMismatchError'
  readonly code = 'ERR_EBPF_MISMATCH'

  constructor(
    message: string,
    /** 'type', 'keySize', 'valueSize', 'flags' or 'maxEntries'. */
    readonly attribute: string,
    readonly expected: unknown,
    readonly actual: unknown,
  ) {
    super(message)
  }
}

/** The attributes of a map that exists, as the kernel tells them. */
export function readAttributes(fd: number, subject: Subject): MapAttributes {
  const info = mapInfo(fd, subject)
  return {
    id: info.id,
    type: info.type,
    keySize: info.key_size,
    valueSize: info.value_size,
    maxEntries: info.max_entries,
    flags: info.map_flags,
    mapExtra: info.map_extra ?? 0n,
    numaNode: undefined,
    name: info.name,
    btf: undefined,
    types: typesOf(info),
  }
}

function typesOf({ btf_id, btf_key_type_id, btf_value_type_id }: ReturnType<typeof mapInfo>): MapTypes | undefined {
  if (btf_id === 0) return undefined
  return { btfId: btf_id, keyTypeId: btf_key_type_id, valueTypeId: btf_value_type_id }
}

/** Refuses a map that codecs of these sizes would read wrongly. */
export function verifyShape<M extends BpfMap>(spec: MapSpec<M>, actual: MapAttributes): void {
  const expected = spec.attributes
  const what = actual.name === '' ? 'the map' : `map '${actual.name}'`
  if (expected.type !== actual.type) {
    const [is, wanted] = [mapTypeLabel(actual.type), mapTypeLabel(expected.type)]
    throw new MapMismatchError(`${what} is of type ${is}, not ${wanted} (${spec.family.name})`, 'type', wanted, is)
  }
  for (const attribute of ['keySize', 'valueSize'] as const) {
    if (expected[attribute] === actual[attribute]) continue
    const message = `${what} has a ${attribute} of ${actual[attribute]} bytes, the codec of ${spec.typeName} ${expected[attribute]}`
    throw new MapMismatchError(message, attribute, expected[attribute], actual[attribute])
  }
}

/** The flags that decide whether two maps are alike, as the kernel keeps them. */
export function keptFlags({ type, flags }: MapAttributes): number {
  // dev_map_init_map sets it unasked.
  const own = type === MAP_TYPES.DEVMAP || type === MAP_TYPES.DEVMAP_HASH ? MAP_FLAGS.RDONLY_PROG : 0
  return permanentFlags(flags) | own
}

/**
 * Where an inner map differs from an outer map's template, as the kernel compares them: bpf_map_meta_equal, and
 * array_map_meta_equal and xsk_map_meta_equal, which also compare the size. undefined where they fit.
 */
export function innerMismatch(template: MapAttributes, inner: MapAttributes): MapMismatchError | undefined {
  const name = inner.name === '' ? 'the inner map' : `inner map '${inner.name}'`
  const differ = (attribute: string, expected: unknown, actual: unknown, more = '') =>
    new MapMismatchError(
      `${name} does not fit the outer map's template: its ${attribute} ${attribute === 'flags' ? 'are' : 'is'} ${actual}, the template's ${expected}${more}`,
      attribute,
      expected,
      actual,
    )
  if (template.type !== inner.type) return differ('type', mapTypeLabel(template.type), mapTypeLabel(inner.type))
  if (template.keySize !== inner.keySize) return differ('keySize', template.keySize, inner.keySize)
  if (template.valueSize !== inner.valueSize) return differ('valueSize', template.valueSize, inner.valueSize)
  const [wanted, given] = [keptFlags(template), keptFlags(inner)]
  if (wanted !== given) return differ('flags', listed(wanted), listed(given))
  const array = template.type === MAP_TYPES.ARRAY && (wanted & MAP_FLAGS.INNER_MAP) === 0
  const fixed = array || template.type === MAP_TYPES.XSKMAP
  if (fixed && template.maxEntries !== inner.maxEntries) {
    const way = ' (arrays of differing lengths need dynamicSize: true in the template and in the inner map)'
    return differ('maxEntries', template.maxEntries, inner.maxEntries, array ? way : '')
  }
  return undefined
}

/** Flags as messages have them. */
export function listed(flags: number): string {
  return flags === 0 ? 'none' : flagNames(flags).join(' | ')
}
