import { inspect } from 'node:util'
import { mapCreate, mapOpenById, objGet } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'
import { checkFd, checkKind } from '../../syscalls/fd'
import { BPF_F_RDONLY, BPF_F_WRONLY } from '../../syscalls/uapi-map'
import type { MapContent } from '../btf/build/of-map'
import { mapQuestions, unsupportedOr } from '../features/unsupported'
import { Handle } from '../handle/handle'
import { checkKnownOptions } from '../text/known-options'
import { checkName, checkU32, checkU64, flagBits, MAP_FLAGS, MAP_TYPES, type MapFlag, type MapType } from './attributes'
import type { BpfMap } from './bpf-map'
import { makeDescribed, type SharedTypes } from './content'
import { checkFamilyOptions, type FamilyName } from './family-options'
import { readAttributes, verifyShape } from './mismatch'

/** What the kernel is told when a map is made, and what it answers about one that exists. */
export interface MapAttributes {
  /** The kernel's number of a map that was opened; undefined in a description, and of one just made. */
  readonly id?: number | undefined
  /** enum bpf_map_type. */
  readonly type: number
  /** Bytes of a key; 0 where the type has none. */
  readonly keySize: number
  /** Bytes of one value, on one CPU; 0 where the type has none. */
  readonly valueSize: number
  /** undefined in a description that only opens maps. */
  readonly maxEntries: number | undefined
  /** BPF_F_... bits. */
  readonly flags: number
  /** BLOOM_FILTER: hash functions; ARENA: address. */
  readonly mapExtra: bigint
  readonly numaNode: number | undefined
  /** '' for none. */
  readonly name: string
  readonly btf: MapBtf | undefined
  /** The types that a map carries which was opened; undefined for none, and in a description. */
  readonly types?: MapTypes | undefined
}

/** The types of a map's key and value, by their ids in a BTF object of the kernel's; 0 for none. */
export interface MapTypes {
  readonly btfId: number
  readonly keyTypeId: number
  readonly valueTypeId: number
}

/** The BTF types of a map's key and value, by their ids in a BTF object that the caller has loaded. */
export interface MapBtf {
  readonly fd: number
  readonly keyTypeId: number
  readonly valueTypeId: number
}

/** What every kind of map can be told at creation. */
export interface CreateOptions {
  /** Up to 15 of A-Z a-z 0-9 _ and dot; Linux 4.15. */
  readonly name?: string
  /** Creation flags under the kernel's names: ['NO_PREALLOC', 'RDONLY_PROG']. */
  readonly flags?: readonly MapFlag[]
  /** Memory of this NUMA node; sets NUMA_NODE. Linux 4.14. */
  readonly numaNode?: number
  /** BLOOM_FILTER: number of hash functions, 1 to 15; ARENA: user address of the first page. Linux 5.16. */
  readonly mapExtra?: number | bigint
  /** BTF types of key and value; the BTF object is needed only for the call. Linux 4.18. */
  readonly btf?: MapBtf
}

/** How to open a map that exists. */
export interface OpenOptions {
  /** Ask the kernel for a handle that cannot write, or cannot read. Linux 4.15. */
  readonly access?: 'read-write' | 'read-only' | 'write-only'
}

/** Everything that a map object is made of. */
export interface MapCore<M extends BpfMap = BpfMap> {
  readonly handle: Handle
  readonly attributes: MapAttributes
  readonly spec: MapSpec<M>
}

type Build = (attributes: MapAttributes, subject: Subject) => number

/** What distinguishes one family of maps from another. */
export interface Family<M extends BpfMap> {
  readonly name: FamilyName
  readonly type: MapType
  /** 'u32 → u64' as `util.inspect` shows it; '' for none. */
  readonly shape: string
  wrap(core: MapCore<M>): M
  /** Makes the map where a plain BPF_MAP_CREATE is not enough; gives the fd. */
  readonly build?: Build
  /** What `util.inspect` says below the first line. */
  readonly note?: string | undefined
  /** The option that tells how large it is, where that is not maxEntries, and what it counts. */
  readonly size?: { readonly option: string; readonly of: string }
  /** What BTF of such maps tells; undefined where they have none. */
  readonly content?: MapContent | undefined
  /** Further checks on a map that was opened, not made; throws. */
  verify?(map: M): void
}

/** What all families are told. */
export interface MapSpecOptions extends CreateOptions {
  /** The kernel's number of a type that this library has no name for. */
  readonly type?: number
}

/** What the family makes of it, in bytes and entries. */
export interface MapSizes {
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number | undefined
}

const CHANGES = new Set(['name', 'maxEntries'])

/** Refuses what a map that is made of a description cannot have otherwise. */
export function checkChanges(changes: object): void {
  checkKnownOptions(changes, CHANGES)
}

/**
 * The description of a map, as data: sizes, limits, flags and codecs. It can be created many times, it opens maps that
 * exist, and an outer map takes it as the template of its inner maps.
 */
export class MapSpec<M extends BpfMap = BpfMap> {
  readonly attributes: MapAttributes

  constructor(
    readonly family: Family<M>,
    options: MapSpecOptions,
    { keySize, valueSize, maxEntries }: MapSizes,
  ) {
    const { name = '', flags = [], numaNode, mapExtra = 0n, btf } = options
    checkName(name)
    checkU32('keySize', keySize)
    checkU32('valueSize', valueSize)
    if (maxEntries !== undefined) checkU32('maxEntries', maxEntries)
    if (numaNode !== undefined) checkU32('numaNode', numaNode)
    if (btf !== undefined) checkBtf(btf)
    this.attributes = {
      type: options.type ?? MAP_TYPES[family.type],
      keySize,
      valueSize,
      maxEntries,
      flags: flagBits(flags) | (numaNode === undefined ? 0 : MAP_FLAGS.NUMA_NODE),
      mapExtra: checkU64('mapExtra', mapExtra),
      numaNode,
      name,
      btf,
    }
  }

  /** 'HashMap<u32, u64>'. */
  get typeName(): string {
    return this.family.shape === ''
      ? this.family.name
      : `${this.family.name}<${this.family.shape.replace(' → ', ', ')}>`
  }

  /**
   * Makes a map of this description, with another name or size where given. The caller owns it.
   *
   * Hashes, arrays, LPM tries and local storage get BTF made of their codecs, so that `bpftool map dump` shows fields by
   * name; a map whose BTF cannot be had (no CAP_BPF) is made without. `btf` in the description stands in its place.
   * It about doubles what making a map costs (20 µs instead of 10); an outer map loads it once for all of its inner maps.
   * Errors: UnsupportedError (the kernel has no such maps); EPERM, E2BIG, EINVAL, ENOMEM, ENOTSUPP (see
   * `KernelError.hint`).
   */
  create(changes: { readonly name?: string; readonly maxEntries?: number } = {}): M {
    checkChanges(changes)
    return this.createWith(undefined, changes)
  }

  /** @internal The same with BTF that is loaded already, as an outer map has it for all of its inner maps. */
  createWith(shared: SharedTypes | undefined, changes: { readonly name?: string; readonly maxEntries?: number }): M {
    // These two and nothing else: codecs of this description would read a map of other sizes past their buffers.
    const { name = this.attributes.name, maxEntries = this.attributes.maxEntries } = changes
    const attributes = { ...this.attributes, name, maxEntries }
    checkName(attributes.name)
    if (attributes.maxEntries === undefined) {
      const { option = 'maxEntries', of = 'entries' } = this.family.size ?? {}
      throw new TypeError(`${option} is missing: how many ${of} the ${this.family.name} is to hold`)
    }
    checkU32('maxEntries', attributes.maxEntries)
    const description = labelOf(this.family.name, attributes.name)
    const { content } = this.family
    const build: Build = (its, subject) =>
      content === undefined || its.btf !== undefined
        ? this.make(its, subject)
        : makeDescribed(content, shared, (btf) => this.make(btf === undefined ? its : { ...its, btf }, subject))
    const handle = new Handle(made(build, attributes, { description }, this.family.type), description)
    return wrapOrClose(handle, () => this.family.wrap({ handle, attributes: asMade(attributes, handle), spec: this }))
  }

  /** @internal BPF_MAP_CREATE, as the family has it; gives the fd. */
  make(attributes: MapAttributes, subject: Subject): number {
    return (this.family.build ?? createPlain)(attributes, subject)
  }

  /** @internal The same description of maps that are wrapped or made otherwise, or have something to say of themselves. */
  with(changes: Partial<Pick<Family<M>, 'build' | 'wrap' | 'note' | 'content'>>): MapSpec<M> {
    // Who makes them otherwise knows what types they are to have.
    const content = changes.build === undefined ? this.family.content : undefined
    const family = { ...this.family, content, ...changes }
    return Object.assign(Object.create(MapSpec.prototype), { family, attributes: this.attributes }) as MapSpec<M>
  }

  /** Opens a map by its id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError where it is another kind. */
  fromId(id: number, options: OpenOptions = {}): M {
    checkFamilyOptions(this.family.name, options)
    checkU32('id', id, 1)
    const subject = { description: `map#${id}` }
    return this.adopt(new Handle(mapOpenById(id, openFlags(options), subject), `${this.family.name}#${id}`))
  }

  /** Opens the map pinned at a path. Errors: ENOENT, EACCES; MapMismatchError where it is another kind. */
  fromPin(path: string, options: OpenOptions = {}): M {
    checkFamilyOptions(this.family.name, options)
    const fd = objGet(path, openFlags(options), { description: path })
    const handle = new Handle(fd, `${this.family.name} pinned at ${path}`)
    return wrapOrClose(handle, () => wrapped(this, mapHandle(handle, path)))
  }

  /**
   * Takes over an fd that this process has, inherited or received. From then on the map owns it; where the fd is
   * refused (MapMismatchError, EBADFD), it stays the caller's.
   */
  fromFd(fd: number): M {
    checkFd(fd)
    checkKind(fd, 'bpf-map')
    const attributes = readAttributes(fd, { description: `fd ${fd}` })
    verifyShape(this, attributes)
    const handle = new Handle(fd, labelOf(this.family.name, attributes.name))
    try {
      return wrapped(this, handle)
    } catch (error) {
      handle.disown()
      throw error
    }
  }

  /** Wraps a handle of a map that exists, once it is certain that this description fits; closes it where it does not. */
  adopt(handle: Handle): M {
    return wrapOrClose(handle, () => wrapped(this, handle))
  }

  /** HashMap.spec<u32, u64> 'ports' ×1024 */
  [inspect.custom](): string {
    const { name, maxEntries } = this.attributes
    const shape = this.typeName.slice(this.family.name.length)
    const [label, size] = [name === '' ? '' : ` '${name}'`, maxEntries === undefined ? '' : ` ×${maxEntries}`]
    return `${this.family.name}.spec${shape}${label}${size}`
  }
}

/** The map of a handle, once it is certain that the description fits. */
function wrapped<M extends BpfMap>(spec: MapSpec<M>, handle: Handle): M {
  const attributes = readAttributes(handle.fd, { description: handle.what })
  verifyShape(spec, attributes)
  const map = spec.family.wrap({ handle, attributes, spec })
  spec.family.verify?.(map)
  return map
}

/** Whether `x` is a spec, made by this copy of the library. */
export function isMapSpec(x: unknown): x is MapSpec {
  return x instanceof MapSpec
}

/** The fd of a new map; where it cannot be made, certainty on whether that is the kernel's age. */
function made(build: Build, attributes: MapAttributes, subject: Subject, type: MapType): number {
  try {
    return build(attributes, subject)
  } catch (error) {
    throw unsupportedOr(error, () => mapQuestions(type, attributes.flags))
  }
}

function createPlain(attributes: MapAttributes, subject: Subject): number {
  return mapCreate(createFields(attributes), subject)
}

/** What was asked for, as the kernel has made it. */
function asMade(attributes: MapAttributes, { fd, what }: Handle): MapAttributes {
  if ((attributes.flags & MAP_FLAGS.NO_COMMON_LRU) === 0) return attributes
  // htab_map_alloc: each CPU's list has as many elements, and at least one, so there may be room for more.
  return { ...attributes, maxEntries: readAttributes(fd, { description: what }).maxEntries }
}

/** The attributes under the names of union bpf_attr. */
export function createFields(attributes: MapAttributes) {
  const { btf, maxEntries = 0 } = attributes
  return {
    map_type: attributes.type,
    key_size: attributes.keySize,
    value_size: attributes.valueSize,
    max_entries: maxEntries,
    map_flags: attributes.flags,
    numa_node: attributes.numaNode,
    map_name: attributes.name === '' ? undefined : attributes.name,
    btf_fd: btf?.fd,
    btf_key_type_id: btf?.keyTypeId,
    btf_value_type_id: btf?.valueTypeId,
    map_extra: attributes.mapExtra === 0n ? undefined : attributes.mapExtra,
  }
}

export function labelOf(family: string, name: string, id?: number): string {
  return `${family}${id === undefined ? '' : `#${id}`}${name === '' ? '' : ` '${name}'`}`
}

/** The open_flags of an access mode. */
export function openFlags({ access = 'read-write' }: OpenOptions): number {
  if (access === 'read-write') return 0
  if (access === 'read-only') return BPF_F_RDONLY
  if (access === 'write-only') return BPF_F_WRONLY
  throw new TypeError(`access is 'read-write', 'read-only' or 'write-only', not ${JSON.stringify(access)}`)
}

/** What is made of a handle; the handle is closed where that fails. */
export function wrapOrClose<T>(handle: Handle, make: () => T): T {
  try {
    return make()
  } catch (error) {
    handle.close()
    throw error
  }
}

/** The handle, once it is certain to be a map's: the info of a program has other fields in the same places. */
export function mapHandle(handle: Handle, called?: string): Handle {
  checkKind(handle.fd, 'bpf-map', called)
  return handle
}

function checkBtf({ fd, keyTypeId, valueTypeId }: MapBtf): void {
  checkFd(fd, 'btf.fd')
  checkU32('btf.keyTypeId', keyTypeId)
  checkU32('btf.valueTypeId', valueTypeId)
}
