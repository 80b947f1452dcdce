import { endianness } from 'node:os'
import { mapNextId, mapOpenById, mapTryOpenById, objGet } from '../../syscalls/bpf'
import { KernelError } from '../../syscalls/errno'
import { checkFd, checkKind, duplicateFd } from '../../syscalls/fd'
import type { BtfValue } from '../btf'
import { bytes, type Codec } from '../codec'
import { Handle } from '../handle/handle'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { Arena } from './arena'
import { ArrayMap } from './array'
import { ArrayOfMaps } from './array-of-maps'
import { checkU32, flagNames, MAP_FLAGS, MAP_TYPES, type MapFlag, mapTypeLabel, permanentFlags } from './attributes'
import { BloomFilter } from './bloom-filter'
import type { BpfMap } from './bpf-map'
import { openNamed } from './by-name'
import { CgroupArray, PerfEventArray, ProgArray } from './fd-array'
import { HashMap, LpmTrie, LruHashMap } from './hash'
import { HashOfMaps } from './hash-of-maps'
import { LegacyCgroupStorage, LegacyPerCpuCgroupStorage } from './legacy-storage'
import { CgroupStorage, InodeStorage, SkStorage, TaskStorage } from './local-storage'
import { readAttributes } from './mismatch'
import { LruPerCpuHashMap, PerCpuArrayMap, PerCpuHashMap } from './per-cpu-tables'
import { Queue, Stack } from './queue'
import { RawMap } from './raw'
import { CpuMap, DevMap, DevMapHash } from './redirect'
import { RingBuf, UserRingBuf } from './ring'
import { ReuseportSockArray, SockHash, SockMap, XskMap } from './sockets'
import {
  type MapAttributes,
  type MapCore,
  type MapSpec,
  type MapTypes,
  mapHandle,
  type OpenOptions,
  openFlags,
} from './spec'
import { BUILD_ID_BYTES, StackTrace } from './stack-trace'
import { typedBy, UNTYPED, withTypes } from './types'

const LE = endianness() === 'LE'

/** Where a map is to be found. An fd is taken over, once it is certain to be a map's. */
export type MapSource =
  | { readonly id: number }
  | { readonly pin: string }
  | { readonly fd: number }
  | { readonly name: string }

/** How to open a map whatever its type. */
export interface AnyMapOptions extends OpenOptions {
  /** Bytes where no codecs are given, whatever the map's BTF says. */
  readonly raw?: boolean
}

/** What is known of a map that is opened whatever its type; its BTF tells what is not given. */
export interface OpenMapOptions<K, V> extends AnyMapOptions {
  readonly key?: Codec<K>
  readonly value?: Codec<V>
  /** What the inner maps of an outer map look like; found out from one of them where not given. */
  readonly inner?: MapSpec
}

const TO_OPEN_ANY = optionNames<AnyMapOptions>({ access: true, raw: true })
const TO_OPEN = optionNames<OpenMapOptions<unknown, unknown>>({
  access: true,
  raw: true,
  key: true,
  value: true,
  inner: true,
})

/** Any map, by its class: `if (map instanceof HashMap)` tells the rest. */
export type OpenedMap<K = BtfValue, V = BtfValue> =
  | HashMap<K, V>
  | LruHashMap<K, V>
  | LpmTrie<K, V>
  | PerCpuHashMap<K, V>
  | LruPerCpuHashMap<K, V>
  | ArrayMap<V>
  | PerCpuArrayMap<V>
  | HashOfMaps<K, BpfMap>
  | ArrayOfMaps<BpfMap>
  | Queue<V>
  | Stack<V>
  | BloomFilter<V>
  | ProgArray
  | CgroupArray
  | PerfEventArray
  | SockMap
  | SockHash<K>
  | ReuseportSockArray
  | XskMap
  | DevMap<boolean>
  | DevMapHash<boolean>
  | CpuMap<boolean>
  | StackTrace<boolean>
  | RingBuf
  | UserRingBuf
  | Arena
  | SkStorage<V>
  | InodeStorage<V>
  | TaskStorage<V>
  | CgroupStorage<V>
  | LegacyCgroupStorage<K, V>
  | LegacyPerCpuCgroupStorage<K, V>
  | RawMap

/**
 * Opens a map that exists, whatever its type: the class is that of the kernel's type. Keys and values are read by the codecs
 * that are given; where none are, by the BTF that the map carries (see `codecOf`), and as bytes where it carries none, with
 * `raw: true`, and where nothing can be made of it: no CAP_SYS_ADMIN, a struct of open length; `util.inspect` of the map says
 * why. The inner maps of an outer map are each read by their own. `openMap<Port, Stats>(...)` says what they are, unchecked.
 *
 * By id and by name it needs CAP_SYS_ADMIN. A name must be that of one map only: where several have it, the error tells
 * their ids. Errors: ENOENT, EPERM, EACCES; MapMismatchError; MapNameError.
 */
export function openMap<K = Uint8Array, V = Uint8Array>(
  source: MapSource,
  options: OpenMapOptions<K, V> & { readonly raw: true },
): OpenedMap<K, V>
export function openMap<K = BtfValue, V = BtfValue>(source: MapSource, options?: OpenMapOptions<K, V>): OpenedMap<K, V>
export function openMap<K, V>(source: MapSource, options: OpenMapOptions<K, V> = {}): OpenedMap<K, V> {
  const kinds = ['id', 'pin', 'fd', 'name']
  const where = typeof source === 'object' && source !== null ? Object.keys(source) : []
  const [kind = ''] = where
  if (where.length !== 1 || !kinds.includes(kind)) {
    throw new TypeError('openMap takes { id }, { pin } or { fd }, or the { name } of a map, and codecs behind it')
  }
  checkKnownOptions(options, TO_OPEN)
  if ('fd' in source) {
    checkFd(source.fd)
    checkKind(source.fd, 'bpf-map')
    const subject = { description: `fd ${source.fd}` }
    return specOf(readAttributes(source.fd, subject), source.fd, options).fromFd(source.fd)
  }
  return adopt(openSource(source, options), options, 'pin' in source ? source.pin : undefined)
}

/**
 * Every map of the system, as `openMap` opens it, each closed when its step ends: `openMap({ id: map.id })` gives one to
 * keep. Maps that vanish meanwhile are passed over. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 4.13.
 */
export function maps(
  options: AnyMapOptions & { readonly raw: true },
): Generator<OpenedMap<Uint8Array, Uint8Array>, void, undefined>
export function maps(options?: AnyMapOptions): Generator<OpenedMap, void, undefined>
export function* maps(
  options: AnyMapOptions = {},
): Generator<OpenedMap | OpenedMap<Uint8Array, Uint8Array>, void, undefined> {
  checkKnownOptions(options, TO_OPEN_ANY)
  for (let id = mapNextId(0); id !== undefined; id = mapNextId(id)) {
    const fd = mapTryOpenById(id, openFlags(options), { description: `map#${id}` })
    if (fd === undefined) continue
    const map = adopt<BtfValue, BtfValue>(new Handle(fd, `map#${id}`), options)
    map.handle.lent = 'maps() closes it when its step ends; openMap({ id: map.id }) gives one to keep'
    try {
      yield map
    } finally {
      map.close()
    }
  }
}

function openSource(source: Exclude<MapSource, { readonly fd: number }>, options: OpenOptions): Handle {
  if ('id' in source) return openId(source.id, options)
  return 'pin' in source ? openPin(source.pin, options) : openNamed(source.name, options)
}

function openId(id: number, options: OpenOptions): Handle {
  checkU32('id', id, 1)
  const description = `map#${id}`
  return new Handle(mapOpenById(id, openFlags(options), { description }), description)
}

function openPin(path: string, options: OpenOptions): Handle {
  return new Handle(objGet(path, openFlags(options), { description: path }), `map pinned at ${path}`)
}

/** Wraps the handle in the class of the map's type, or closes it. */
function adopt<K, V>(handle: Handle, options: OpenMapOptions<K, V>, called?: string): OpenedMap<K, V> {
  let spec: MapSpec<OpenedMap<K, V>>
  try {
    spec = specOf(readAttributes(mapHandle(handle, called).fd, { description: handle.what }), handle.fd, options)
  } catch (error) {
    handle.close()
    throw error
  }
  return spec.adopt(handle)
}

function specOf<K, V>(
  attributes: MapAttributes,
  fd: number,
  { key, value, inner, raw = false }: OpenMapOptions<K, V>,
): MapSpec<OpenedMap<K, V>> {
  const type = mapTypeLabel(attributes.type)
  const told = { key: key === undefined && WITH_KEYS.has(type), value: value === undefined && WITH_VALUES.has(type) }
  const typed = raw ? UNTYPED : typedBy(attributes, told)
  const spec = specFor<K, V>(attributes, {
    // Where no codec is given, K and V are what BTF says, or Uint8Array.
    key: key ?? ((typed.key ?? bytes(attributes.keySize)) as Codec<unknown> as Codec<K>),
    value: value ?? ((typed.value ?? bytes(attributes.valueSize)) as Codec<unknown> as Codec<V>),
    inner: inner ?? innerSpec(attributes, fd, raw),
  })
  return typed.note === undefined ? spec : spec.with({ note: typed.note })
}

/** Types whose keys, and whose values, are what whoever made the map says. */
const WITH_KEYS: ReadonlySet<string> = new Set([
  ...['HASH', 'PERCPU_HASH', 'LRU_HASH', 'LRU_PERCPU_HASH', 'LPM_TRIE', 'HASH_OF_MAPS', 'SOCKHASH'],
  ...['CGROUP_STORAGE', 'PERCPU_CGROUP_STORAGE'],
])
const WITH_VALUES: ReadonlySet<string> = new Set([
  ...['HASH', 'PERCPU_HASH', 'LRU_HASH', 'LRU_PERCPU_HASH', 'LPM_TRIE', 'ARRAY', 'PERCPU_ARRAY'],
  ...['QUEUE', 'STACK', 'BLOOM_FILTER', 'CGROUP_STORAGE', 'PERCPU_CGROUP_STORAGE'],
  ...['SK_STORAGE', 'INODE_STORAGE', 'TASK_STORAGE', 'CGRP_STORAGE'],
])

/** What only some types need, and nobody but the caller or an inner map can tell. */
interface Contents<K, V> {
  readonly key: Codec<K>
  readonly value: Codec<V>
  readonly inner: MapSpec | undefined
}

/** The spec that opens maps of these attributes, and makes more of them. */
function specFor<K, V>(attributes: MapAttributes, contents: Contents<K, V>): MapSpec<OpenedMap<K, V>> {
  const { key, value, inner } = contents
  const { valueSize, maxEntries = 0 } = attributes
  const same = { flags: creationFlags(attributes), maxEntries }
  const programs = valueSize === 8
  const type = mapTypeLabel(attributes.type)
  switch (type) {
    case 'HASH':
      return HashMap.spec({ ...same, key, value })
    case 'ARRAY':
      return ArrayMap.spec({ ...same, value })
    case 'PROG_ARRAY':
      return ProgArray.spec(same)
    case 'PERF_EVENT_ARRAY':
      return PerfEventArray.spec(same)
    case 'PERCPU_HASH':
      return PerCpuHashMap.spec({ ...same, key, value })
    case 'PERCPU_ARRAY':
      return PerCpuArrayMap.spec({ ...same, value })
    case 'STACK_TRACE':
      return StackTrace.spec<boolean>({ ...same, ...stackShape(attributes) })
    case 'CGROUP_ARRAY':
      return CgroupArray.spec(same)
    case 'LRU_HASH':
      return LruHashMap.spec({ ...same, key, value })
    case 'LRU_PERCPU_HASH':
      return LruPerCpuHashMap.spec({ ...same, key, value })
    case 'LPM_TRIE':
      return LpmTrie.spec({ ...same, key, value })
    case 'ARRAY_OF_MAPS':
      return inner === undefined ? RawMap.specOf(attributes) : ArrayOfMaps.spec({ ...same, inner })
    case 'HASH_OF_MAPS':
      return inner === undefined ? RawMap.specOf(attributes) : HashOfMaps.spec({ ...same, key, inner })
    case 'DEVMAP':
      return DevMap.spec<boolean>({ ...same, programs })
    case 'SOCKMAP':
      return SockMap.spec({ ...same, valueSize: valueSize as 4 | 8 })
    case 'CPUMAP':
      return CpuMap.spec<boolean>({ ...same, programs })
    case 'XSKMAP':
      return XskMap.spec(same)
    case 'SOCKHASH':
      return SockHash.spec({ ...same, key, valueSize: valueSize as 4 | 8 })
    case 'CGROUP_STORAGE':
      return LegacyCgroupStorage.spec({ ...same, key, value })
    case 'REUSEPORT_SOCKARRAY':
      return ReuseportSockArray.spec({ ...same, valueSize: valueSize as 4 | 8 })
    case 'PERCPU_CGROUP_STORAGE':
      return LegacyPerCpuCgroupStorage.spec({ ...same, key, value })
    case 'QUEUE':
      return Queue.spec({ ...same, value })
    case 'STACK':
      return Stack.spec({ ...same, value })
    case 'SK_STORAGE':
      return SkStorage.spec({ ...same, value })
    case 'DEVMAP_HASH':
      return DevMapHash.spec<boolean>({ ...same, programs })
    case 'RINGBUF':
      return RingBuf.spec({ ...same, size: maxEntries })
    case 'INODE_STORAGE':
      return InodeStorage.spec({ ...same, value })
    case 'TASK_STORAGE':
      return TaskStorage.spec({ ...same, value })
    case 'BLOOM_FILTER':
      return BloomFilter.spec({ ...same, value, ...hashesOf(attributes) })
    case 'USER_RINGBUF':
      return UserRingBuf.spec({ ...same, size: maxEntries })
    case 'CGRP_STORAGE':
      return CgroupStorage.spec({ ...same, value })
    case 'ARENA':
      return Arena.spec({ ...same, pages: maxEntries, mapExtra: attributes.mapExtra })
    default:
      return RawMap.specOf(attributes)
  }
}

/** The flags that a map like this one is made with. */
function creationFlags({ type, flags }: MapAttributes): MapFlag[] {
  // dev_map_init_map sets it unasked, and refuses it when asked.
  const own = type === MAP_TYPES.DEVMAP || type === MAP_TYPES.DEVMAP_HASH ? MAP_FLAGS.RDONLY_PROG : 0
  return flagNames(permanentFlags(flags) & ~own).filter((flag) => typeof flag === 'string')
}

function stackShape({ valueSize, flags }: MapAttributes) {
  const buildIds = (flags & MAP_FLAGS.STACK_BUILD_ID) !== 0
  return { buildIds, depth: valueSize / (buildIds ? BUILD_ID_BYTES : 8) }
}

function hashesOf({ mapExtra }: MapAttributes) {
  return mapExtra === 0n ? {} : { hashes: Number(mapExtra) }
}

/**
 * What the inner maps of an outer map look like, as the first tells that can be opened; undefined where there is none, or
 * it may not be opened. The kernel keeps the template to itself.
 */
function innerSpec(attributes: MapAttributes, fd: number, raw: boolean): MapSpec | undefined {
  if (attributes.type !== MAP_TYPES.ARRAY_OF_MAPS && attributes.type !== MAP_TYPES.HASH_OF_MAPS) return undefined
  using outer = RawMap.specOf(attributes).adopt(new Handle(duplicateFd(fd), 'an outer map'))
  try {
    for (const [, id] of outer) {
      const innerFd = mapTryOpenById(new DataView(id.buffer).getUint32(0, LE))
      if (innerFd === undefined) continue
      using inner = new Handle(innerFd, 'an inner map')
      const found = readAttributes(inner.fd, { description: inner.what })
      const spec = withTypes(specOf<BtfValue, BtfValue>(found, inner.fd, { raw }), found.types)
      return raw ? spec : eachByItsOwn(spec, found.types)
    }
  } catch (error) {
    // A write-only handle, or no CAP_SYS_ADMIN: the ids can still be had.
    if (!(error instanceof KernelError && error.code === 'EPERM')) throw error
  }
  return undefined
}

/**
 * Inner maps come from where they like, each with types of its own; one without is read as the first, whose layout the
 * programs take it to have.
 */
function eachByItsOwn(first: MapSpec<OpenedMap>, types: MapTypes | undefined): MapSpec<OpenedMap> {
  const wrap = (core: MapCore<OpenedMap>): OpenedMap => {
    const its = core.attributes.types
    const same =
      its === undefined ||
      (its.btfId === types?.btfId && its.keyTypeId === types.keyTypeId && its.valueTypeId === types.valueTypeId)
    if (same) return first.family.wrap(core)
    const spec = specOf<BtfValue, BtfValue>(core.attributes, core.handle.fd, {})
    return spec.family.wrap({ ...core, spec })
  }
  return first.with({ wrap })
}
