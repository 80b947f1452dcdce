import { type Codec, withPath } from '../codec'
import { checkCodec } from '../codec/make'
import { checkU32, type MapFlag, type MapType } from './attributes'
import type { BpfMap } from './bpf-map'
import { contentOf } from './content'
import { checkFamilyOptions, type FamilyName } from './family-options'
import { type CreateOptions, type Family, isMapSpec, type MapCore, MapSpec, type OpenOptions } from './spec'

/** What a map with keys and values of any size is made of. */
export interface TableOptions<K, V> extends CreateOptions {
  readonly key: Codec<K>
  readonly value: Codec<V>
  /** How many entries it may hold. */
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface TableCodecs<K, V> extends OpenOptions {
  readonly key: Codec<K>
  readonly value: Codec<V>
}

/** What an array is made of; its keys are the indices from 0. */
export interface ArrayOptions<V> extends CreateOptions {
  readonly value: Codec<V>
  /** How many elements it has; all of them exist from the start, as zeros. */
  readonly maxEntries: number
}

export interface ArrayCodec<V> extends OpenOptions {
  readonly value: Codec<V>
}

/** The same options for a map that is to be opened: it has its size already. */
export type AnySize<Options extends { readonly maxEntries: number }> = Omit<Options, 'maxEntries'> &
  OpenOptions & { readonly maxEntries?: number }

/** The spec of a map with a key codec and a value codec, whose sizes are the kernel's. */
export function tableSpec<M extends BpfMap, K, V>(
  name: FamilyName,
  type: MapType,
  options: AnySize<TableOptions<K, V>>,
  wrap: (core: MapCore) => M,
  more: Partial<Family<M>> = {},
): MapSpec<M> {
  const { key, value } = options
  checkNamed(name, 'key', key)
  checkNamed(name, 'value', value)
  checkMaxEntries(type, options.maxEntries)
  const shape = `${key.name} → ${value.name}`
  return new MapSpec<M>(
    { name, type, shape, wrap, content: contentOf(type, key as Codec<unknown>, value as Codec<unknown>), ...more },
    options,
    { keySize: key.size, valueSize: value.size, maxEntries: options.maxEntries },
  )
}

/** The spec of a map that is indexed by a u32. */
export function indexedSpec<M extends BpfMap, V>(
  name: FamilyName,
  type: MapType,
  options: AnySize<ArrayOptions<V>>,
  wrap: (core: MapCore) => M,
  more: Partial<Family<M>> = {},
): MapSpec<M> {
  const { value } = options
  checkNamed(name, 'value', value)
  checkMaxEntries(type, options.maxEntries)
  return new MapSpec<M>(
    { name, type, shape: value.name, wrap, content: contentOf(type, undefined, value as Codec<unknown>), ...more },
    options,
    { keySize: 4, valueSize: value.size, maxEntries: options.maxEntries },
  )
}

/** The spec of a map that has values and no keys. */
export function valuesSpec<M extends BpfMap, V>(
  name: FamilyName,
  type: MapType,
  options: CreateOptions & { readonly value: Codec<V>; readonly maxEntries?: number },
  wrap: (core: MapCore) => M,
  more: Partial<Family<M>> = {},
): MapSpec<M> {
  const { value } = options
  checkCodec(value)
  return new MapSpec<M>({ name, type, shape: value.name, wrap, ...more }, options, {
    keySize: 0,
    valueSize: value.size,
    maxEntries: options.maxEntries,
  })
}

/** The spec of a map without codecs: what it holds is no value of the caller's. */
export function plainSpec<M extends BpfMap>(
  name: FamilyName,
  type: MapType,
  options: CreateOptions & { readonly maxEntries?: number },
  sizes: { readonly keySize: number; readonly valueSize: number },
  wrap: (core: MapCore) => M,
  more: Partial<Family<M>> = {},
): MapSpec<M> {
  return new MapSpec<M>({ name, type, shape: '', wrap, ...more }, options, {
    keySize: sizes.keySize,
    valueSize: sizes.valueSize,
    maxEntries: options.maxEntries,
  })
}

/** Says which codec is missing, and from what. */
function checkNamed(name: string, option: string, codec: unknown): void {
  try {
    checkCodec(codec)
  } catch (error) {
    throw withPath(name, withPath(option, error))
  }
}

/** Types without a limit of their own: there the kernel insists on 0. */
const UNLIMITED: ReadonlySet<MapType> = new Set<MapType>([
  'CGROUP_STORAGE',
  'PERCPU_CGROUP_STORAGE',
  'SK_STORAGE',
  'INODE_STORAGE',
  'TASK_STORAGE',
  'CGRP_STORAGE',
])

/** 0 is what the kernel answers with a bare EINVAL; undefined where a map is opened, not made. */
export function checkMaxEntries(type: MapType, maxEntries: number | undefined): void {
  if (maxEntries !== undefined && !UNLIMITED.has(type)) checkU32('maxEntries', maxEntries, 1)
}

/** Refuses what maps of the family cannot be told, before anything is made of it. Throws TypeError. */
export function checkOptions(name: FamilyName, options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${name} takes an object of options, not ${options === null ? 'null' : typeof options}`)
  }
  const { inner, value } = options as { inner?: unknown; value?: unknown }
  if (inner === undefined && !isMapSpec(value)) {
    checkFamilyOptions(name, options)
    return
  }
  const instead = name.startsWith('PerCpuArray')
    ? 'a PERCPU_ARRAY would store the fd of a map as a number; perCpuMaps({ inner }) makes one inner map for each CPU'
    : 'HashOfMaps and ArrayOfMaps do: HashOfMaps.create({ key, inner, maxEntries })'
  throw new TypeError(`${name} holds bytes, not maps: ${instead}`)
}

/**
 * The options of a map whose size another option tells: with that for maxEntries, which compiled objects and `openMap` give
 * too. Throws RangeError where they differ.
 */
export function sizedBy<O extends { readonly maxEntries?: number }>(options: O, option: string, size: number): O {
  const { maxEntries = size } = options
  if (maxEntries !== size)
    throw new RangeError(`${option} is ${size}, and maxEntries ${maxEntries}: ${option} alone will do`)
  return { ...options, maxEntries: size }
}

/** The same options with one more flag: one that the kernel insists on, or that an option of ours stands for. */
export function withFlag<T extends CreateOptions>(options: T, flag: MapFlag): T {
  const flags = options?.flags ?? []
  return { ...options, flags: flags.includes(flag) ? flags : [...flags, flag] }
}
