import { KernelError } from '../../syscalls/errno'
import { BPF_EXIST } from '../../syscalls/uapi-map'
import type { Codec } from '../codec'
import { checkCodec } from '../codec/make'
import type { MapType } from './attributes'
import type { BpfMap } from './bpf-map'
import { checkFamilyOptions, type FamilyName } from './family-options'
import { checkInnerSpec, createOuter } from './inner'
import { innerMismatch, MapMismatchError } from './mismatch'
import { type CreateOptions, type MapAttributes, type MapCore, MapSpec, type OpenOptions } from './spec'
import { checkMaxEntries } from './table-options'

/** What every outer map is made of. */
export interface OuterOptions<M extends BpfMap> extends CreateOptions {
  /** What its inner maps look like. The kernel wants a map as the template: it is made and closed within `create`. */
  readonly inner: MapSpec<M>
  readonly maxEntries: number
  /**
   * Keep handles of the inner maps that this object installs, so that reading them back needs no CAP_SYS_ADMIN. Each
   * costs an fd, given back when its entry is replaced or deleted through this object, and when it is closed.
   */
  readonly hold?: boolean
}

/** What it takes to open an outer map that exists: the kernel does not tell what its inner maps look like. */
export interface OuterOpenOptions<M extends BpfMap> extends OpenOptions {
  readonly inner: MapSpec<M>
  readonly hold?: boolean
}

/** The spec of an outer map. Its values are 4 bytes: an fd goes in, an id comes out. */
export function outerSpec<O extends BpfMap, M extends BpfMap>(
  name: FamilyName,
  type: MapType,
  key: Codec<unknown>,
  options: Omit<OuterOptions<M>, 'maxEntries'> & { readonly maxEntries?: number },
  wrap: (core: MapCore) => O,
  verify: (map: O) => void,
): MapSpec<O> {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${name} takes an object of options`)
  if ('value' in options) {
    throw new TypeError(`${name} takes no \`value\`: its values are maps, 4 bytes each; describe them with \`inner\``)
  }
  checkFamilyOptions(name, options)
  checkCodec(key)
  checkInnerSpec(name, options.inner)
  checkMaxEntries(type, options.maxEntries)
  const shape = `${key.name} → ${options.inner.typeName}`
  return new MapSpec<O>(
    {
      name,
      type,
      shape,
      wrap,
      verify,
      build: (attributes, subject) => createOuter(attributes, options.inner, subject),
    },
    options,
    { keySize: key.size, valueSize: 4, maxEntries: options.maxEntries },
  )
}

/** The little that checking an outer map needs of it. */
export interface Verifiable<M extends BpfMap> {
  readonly description: string
  readonly template: MapSpec<M>
  /** The first inner map that can be opened; 'unreadable' where this handle may not even look for one. */
  firstInner(): MapAttributes | 'none' | 'unreadable'
  /** What BPF_MAP_UPDATE_ELEM of this map under such a key answers: '' for success, else a code. */
  tryUpdate(key: Uint8Array, inner: M, flags: number): string
  existsBytes(key: Uint8Array): boolean
  /** Told when it is certain. */
  verified(): void
}

/**
 * Makes sure that an outer map's inner maps are what the caller takes them for, against one that is there, or, where that
 * cannot be had, by asking the kernel about the template itself.
 *
 * The second way has no effect: an update first compares the inner map with the template (EINVAL), and only then looks
 * for the key, which with BPF_EXIST must be there and is not (ENOENT). An ARRAY_OF_MAPS takes no condition, so an empty
 * one is believed, and so is any where this process may not even make a map; the first `set` then tells.
 */
export function verifyInner<M extends BpfMap>(outer: Verifiable<M>, keyBytes: number, canProbe: boolean): void {
  const first = outer.firstInner()
  if (typeof first === 'object') {
    const mismatch = innerMismatch(outer.template.attributes, first)
    if (mismatch !== undefined) throw wrongInner(outer, mismatch)
  } else if (first === 'none' && canProbe) {
    probeTemplate(outer, keyBytes)
  }
  outer.verified()
}

function probeTemplate<M extends BpfMap>(outer: Verifiable<M>, keyBytes: number): void {
  const key = absentKey(outer, keyBytes)
  if (key === undefined) return
  using inner = createTemplate(outer.template)
  if (inner === undefined) return
  // EPERM (frozen, read-only) tells nothing, and neither can such a handle install anything wrong.
  if (outer.tryUpdate(key, inner, BPF_EXIST) !== 'EINVAL') return
  const { typeName } = outer.template
  throw new MapMismatchError(
    `${outer.description} does not take inner maps like ${typeName}: the kernel finds its template different in type, key size, value size or flags`,
    'inner',
    typeName,
    undefined,
  )
}

/** A map to ask the kernel with; undefined where this process may open maps that are pinned, not make any. */
function createTemplate<M extends BpfMap>(template: MapSpec<M>): M | undefined {
  try {
    return template.create()
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EPERM') return undefined
    throw error
  }
}

/** Tries at finding a key that is not there, before a map with tiny keys is taken for full. */
const MAX_GUESSES = 16

/** The bytes of a key that is not in the map, chosen at random so that nobody else is about to write it. */
function absentKey<M extends BpfMap>(outer: Verifiable<M>, keyBytes: number): Uint8Array | undefined {
  for (let guess = 0; guess < MAX_GUESSES; guess++) {
    const key = Uint8Array.from({ length: keyBytes }, () => Math.floor(Math.random() * 256))
    if (!outer.existsBytes(key)) return key
  }
  return undefined
}

function wrongInner<M extends BpfMap>(outer: Verifiable<M>, { attribute, expected, actual }: MapMismatchError): Error {
  const message = `${outer.description} does not hold maps like ${outer.template.typeName}: their ${attribute} is ${actual}, not ${expected}`
  return new MapMismatchError(message, attribute, expected, actual)
}
