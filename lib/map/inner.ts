import { mapCreate, mapTryOpenById } from '../../syscalls/bpf'
import { KernelError, type Subject } from '../../syscalls/errno'
import { Handle } from '../handle/handle'
import type { MapType } from './attributes'
import type { BpfMap } from './bpf-map'
import type { SharedTypes } from './content'
import { fill } from './fillable'
import { brief } from './inspect'
import { KeyedMap } from './keyed-map'
import { readAttributes } from './mismatch'
import { createFields, isMapSpec, labelOf, type MapAttributes, type MapSpec, wrapOrClose } from './spec'

/** What the kernel takes for no inner map (bpf_map_meta_alloc in kernel/bpf/map_in_map.c, array_map_alloc_check). */
const NOT_INNER: Partial<Record<MapType, string>> = {
  ARRAY_OF_MAPS: 'outer maps do not nest: an inner map cannot hold maps itself (kernel: EINVAL)',
  HASH_OF_MAPS: 'outer maps do not nest: an inner map cannot hold maps itself (kernel: EINVAL)',
  PROG_ARRAY:
    'a PROG_ARRAY belongs to one kind of program, so it cannot be exchanged as an inner map (kernel: ENOTSUPP)',
  CGROUP_STORAGE: 'a CGROUP_STORAGE belongs to one program, so it cannot be an inner map (kernel: ENOTSUPP)',
  PERCPU_CGROUP_STORAGE:
    'a PERCPU_CGROUP_STORAGE belongs to one program, so it cannot be an inner map (kernel: ENOTSUPP)',
  STRUCT_OPS: 'a STRUCT_OPS is an attached object, so it cannot be an inner map (kernel: ENOTSUPP)',
}

/** Refuses what the kernel would refuse as a template, with the reason that it does not give. */
export function checkInnerSpec(outer: string, inner: unknown): asserts inner is MapSpec {
  if (inner === undefined) {
    throw new TypeError(
      `${outer} needs \`inner\`, the spec of its inner maps: inner: HashMap.spec({ key, value, maxEntries })`,
    )
  }
  if (!isMapSpec(inner)) {
    const spec =
      typeof inner === 'object' && inner !== null && 'spec' in inner ? ': a map was given, its .spec will do' : ''
    throw new TypeError(`${outer}: \`inner\` must be a spec, such as HashMap.spec({ key, value, maxEntries })${spec}`)
  }
  const why = NOT_INNER[inner.family.type]
  if (why !== undefined) throw new TypeError(`${outer}: ${why}`)
}

/** BPF_MAP_CREATE of an outer map. The template lives only for this call: the kernel copies what it needs of it. */
export function createOuter(attributes: MapAttributes, inner: MapSpec, subject: Subject): number {
  using template = makeTemplate(inner)
  return mapCreate({ inner_map_fd: template.fd, ...createFields(attributes) }, subject)
}

/**
 * With the BTF that inner maps will have: from Linux 5.15 to 6.1 a struct without a timer in it is, to the kernel's
 * comparison, not like a value that nothing is told of (timer_off in bpf_map_meta_equal).
 */
function makeTemplate(inner: MapSpec): BpfMap {
  try {
    return inner.create()
  } catch (error) {
    throw error instanceof KernelError ? error.within('making the template of an outer map') : error
  }
}

/** A new inner map that holds the entries; closed where that fails. */
export function createFilled<M extends BpfMap>(
  template: MapSpec<M>,
  content: Iterable<unknown>,
  changes: { readonly name?: string; readonly maxEntries?: number },
  types: SharedTypes | undefined,
): M {
  const inner = template.createWith(types, changes)
  try {
    const fillable = inner as Partial<Record<typeof fill, (entries: Iterable<unknown>) => void>>
    if (fillable[fill] === undefined) {
      throw new TypeError(`a ${template.typeName} cannot be filled from a list: install a map, made by createInner()`)
    }
    fillable[fill](content)
    // Hundreds of them may be on their way into an outer map at once, all filled, and never used again by this object.
    if (inner instanceof KeyedMap) inner.rest()
    return inner
  } catch (error) {
    inner.close()
    // The error names a map that is gone by now; what it was for is what the caller knows.
    throw error instanceof KernelError ? error.within('filling a new inner map') : error
  }
}

/** Opens an inner map by its id; undefined where it is gone. Needs CAP_SYS_ADMIN. */
export function openInner<M extends BpfMap>(template: MapSpec<M>, id: number, subject: Subject): M | undefined {
  const fd = mapTryOpenById(id, 0, subject)
  if (fd === undefined) return undefined
  return template.adopt(new Handle(fd, labelOf(template.family.name, '', id)))
}

/** What the map of an id looks like, whatever its kind; undefined where it is gone. Needs CAP_SYS_ADMIN. */
export function attributesById(id: number, subject: Subject): MapAttributes | undefined {
  const fd = mapTryOpenById(id, 0, subject)
  if (fd === undefined) return undefined
  using handle = new Handle(fd, labelOf('map', '', id))
  return readAttributes(handle.fd, subject)
}

/** A second object for the same inner map, with an end of its own; it knows its id where that is known. */
export function duplicateInner<M extends BpfMap>(template: MapSpec<M>, inner: M, id = inner.attributes.id): M {
  const handle = inner.handle.duplicate()
  const attributes = { ...inner.attributes, id }
  return wrapOrClose(handle, () => template.family.wrap({ handle, attributes, spec: template }))
}

/** What maps are filled from, where that is not entries by keys. */
const FORMS: Partial<Record<MapType, string>> = {
  ARRAY: 'entries, [[index, value], ...] or list.entries()',
  PERCPU_ARRAY: 'entries, [[index, value], ...] or list.entries()',
  QUEUE: 'values, [value, ...]',
  STACK: 'values, [value, ...]',
  BLOOM_FILTER: 'values, [value, ...]',
}

/** Refuses what can be no content of an inner map, by the form that it must have: an object is the likely slip. */
export function checkContent(template: MapSpec, x: unknown): asserts x is Iterable<unknown> {
  if (typeof x === 'object' && x !== null && Symbol.iterator in x) return
  const form = FORMS[template.family.type] ?? 'entries, [[key, value], ...] or a Map'
  throw new TypeError(`an inner map is given as a ${template.typeName}, or as its ${form}; ${brief(x)} is neither`)
}
