import { BPF_ANY } from '../../syscalls/uapi-map'
import { type Codec, u32 } from '../codec'
import { possibleCpuIds } from '../cpu/possible'
import type { BpfMap } from './bpf-map'
import type { ContentOf } from './fillable'
import type { KeyedMap } from './keyed-map'
import { type InnerChanges, type InnerContent, OuterMap } from './outer'
import { type OuterOpenOptions, outerSpec, verifyInner } from './outer-options'
import { add } from './per-cpu'
import type { SnapshotOf } from './snapshot'
import type { CreateOptions, MapCore, MapSpec } from './spec'

/** What one inner map for each CPU is made of. */
export interface PerCpuMapsOptions<M extends BpfMap> extends CreateOptions {
  readonly inner: MapSpec<M>
}

/** The values of an inner map's snapshot. */
type ValueOf<M> = SnapshotOf<M> extends Map<unknown, infer V> ? V : SnapshotOf<M> extends (infer V)[] ? V : never

/**
 * An ARRAY_OF_MAPS with one inner map for each possible CPU, all of them there from the start: a program looks its own up
 * by bpf_get_smp_processor_id() and writes to it without locks. It is what a PERCPU_ARRAY of maps would be; that map type
 * holds bytes alone, and stores an fd as a number.
 *
 * The handles of the inner maps are held, so reading needs no CAP_SYS_ADMIN.
 */
export class PerCpuMaps<M extends BpfMap> extends OuterMap<number, M> {
  declare protected readonly family: 'PerCpuMaps'

  private constructor(core: MapCore, inner: MapSpec<M>) {
    super(core, { key: u32 }, inner, true)
  }

  /** Makes the outer map and an inner map for each CPU; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM, EMFILE. */
  static create<M extends BpfMap>(options: PerCpuMapsOptions<M>): PerCpuMaps<M> {
    const maps = PerCpuMaps.#any(options).create({ maxEntries: slots() })
    try {
      maps.reset()
      return maps
    } catch (error) {
      maps.close()
      throw error
    }
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<M extends BpfMap>(id: number, options: OuterOpenOptions<M>): PerCpuMaps<M> {
    return PerCpuMaps.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path; its inner maps, made by another process, are then opened by id. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<M extends BpfMap>(path: string, options: OuterOpenOptions<M>): PerCpuMaps<M> {
    return PerCpuMaps.#any(options).fromPin(path, options)
  }

  static #any<M extends BpfMap>(options: PerCpuMapsOptions<M>): MapSpec<PerCpuMaps<M>> {
    return outerSpec(
      'PerCpuMaps',
      'ARRAY_OF_MAPS',
      u32 as Codec<unknown>,
      options,
      (core) => new PerCpuMaps<M>(core, options.inner),
      (map) => {
        if (map.maxEntries !== slots()) {
          throw new RangeError(
            `${map.description} has ${map.maxEntries} slots, and the CPUs of this machine need ${slots()}`,
          )
        }
        verifyInner(map.verifiable(), 4, false)
      },
    )
  }

  /** The numbers of the CPUs, which are the keys: all that the kernel may ever have. */
  get cpus(): readonly number[] {
    return possibleCpuIds()
  }

  /** Replaces the inner map of one CPU. Errors: MapMismatchError; E2BIG (no such CPU), EPERM. */
  set(cpu: number, content: InnerContent<M>, options?: InnerChanges): this
  // Once more for the compiler: of two forms it explains the last, and entries are where slips happen.
  set(cpu: number, entries: ContentOf<M>, options?: InnerChanges): this
  set(cpu: number, content: InnerContent<M>, options: InnerChanges = {}): this {
    this.install(cpu, content, BPF_ANY, options)
    return this
  }

  /** Puts a fresh inner map on each CPU, in one call. */
  reset(): void {
    const fresh: [number, M][] = []
    try {
      for (const cpu of this.cpus) fresh.push([cpu, this.createInner()])
      this.setMany(fresh)
    } finally {
      for (const [, inner] of fresh) inner.close()
    }
  }

  /**
   * What all CPUs have, as one: a Map by key, or a list by index, as the inner maps are. Values under the same key are
   * combined two by two; without `combine` numbers and bigints are added, and the fields of structs one by one.
   */
  merge(combine?: (a: ValueOf<M>, b: ValueOf<M>) => ValueOf<M>): SnapshotOf<M> {
    const join = (combine ?? add) as (a: unknown, b: unknown) => unknown
    let merged: unknown
    // A key that is a struct or bytes is another object in each snapshot: the first stands for all of its bytes.
    const keys = new Map<string, unknown>()
    for (const [, inner] of this.inners()) {
      const { snapshot } = inner as { snapshot?: () => unknown }
      const data = snapshot?.call(inner)
      const same = (key: unknown) => (typeof key === 'object' ? firstOf(keys, keyTextOf(inner, key), key) : key)
      if (data instanceof Map) merged = joinMaps(merged as Map<unknown, unknown> | undefined, data, join, same)
      else if (Array.isArray(data)) merged = joinLists(merged as unknown[] | undefined, data, join)
      else throw new TypeError(`maps of type ${this.template.typeName} hold no values to merge`)
    }
    return merged as SnapshotOf<M>
  }
}

/** Makes an ARRAY_OF_MAPS with one inner map for each possible CPU. See `PerCpuMaps`. */
export function perCpuMaps<M extends BpfMap>(options: PerCpuMapsOptions<M>): PerCpuMaps<M> {
  return PerCpuMaps.create(options)
}

/** Programs index by bpf_get_smp_processor_id(): up to the highest number, whatever gaps there are below it. */
function slots(): number {
  return Math.max(...possibleCpuIds()) + 1
}

type Join = (a: unknown, b: unknown) => unknown

function joinMaps(
  into: Map<unknown, unknown> = new Map(),
  data: Map<unknown, unknown>,
  join: Join,
  same: (key: unknown) => unknown,
) {
  for (const [found, value] of data) {
    const key = same(found)
    into.set(key, into.has(key) ? join(into.get(key), value) : value)
  }
  return into
}

/** Arrays of differing lengths (`dynamicSize`) are as one the longest of them. */
function joinLists(into: unknown[] = [], data: unknown[], join: Join) {
  for (const [index, value] of data.entries()) {
    if (index < into.length) into[index] = join(into[index], value)
    else into.push(value)
  }
  return into
}

function firstOf<T>(known: Map<string, T>, text: string, one: T): T {
  const first = known.get(text)
  if (first !== undefined) return first
  known.set(text, one)
  return one
}

/** The bytes of a key of the map that gave it. */
function keyTextOf(map: BpfMap, key: unknown): string {
  // biome-ignore lint/complexity/useLiteralKeys: the way in to what is protected; only maps with keys have such snapshots
  return (map as KeyedMap<unknown, unknown>)['keyText'](key)
}
