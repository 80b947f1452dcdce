import { endianness } from 'node:os'
import { type Codec, u32 } from '../codec'
import { makeCodec } from '../codec/make'
import { checkU32 } from './attributes'
import { buildWith } from './build'
import { brief, summarize } from './inspect'
import { KeyedMap } from './keyed-map'
import type { CreateOptions, MapCore, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, indexedSpec, withFlag } from './table-options'

const LE = endianness() === 'LE'

/** How a stack is stored. */
export interface StackShape<B extends boolean> {
  /** Frames of a stack: 127 where not given, which is the most by default (sysctl kernel.perf_event_max_stack). */
  readonly depth?: number
  /** User frames as file and offset instead of addresses (BPF_F_STACK_BUILD_ID, Linux 4.17). */
  readonly buildIds?: B
}

/** What a STACK_TRACE is made of. */
export interface StackTraceOptions<B extends boolean> extends CreateOptions, StackShape<B> {
  /** How many stacks it may hold. */
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface StackTraceOpen<B extends boolean> extends OpenOptions, StackShape<B> {}

/** A frame of a user stack: where in which file, or, where no build id was found, its address. */
export type BuildIdFrame =
  | { readonly buildId: string; readonly offset: bigint }
  | { readonly buildId: undefined; readonly address: bigint }

/** One frame, innermost first. */
export type StackFrame<B extends boolean> = B extends true ? BuildIdFrame : bigint

const DEFAULT_DEPTH = 127

/** struct bpf_stack_build_id: s32 status, u8 build_id[20], u64 offset or ip. */
export const BUILD_ID_BYTES = 32
/** enum bpf_stack_build_id_status. */
const STATUS_EMPTY = 0
const STATUS_VALID = 1

function framesCodec<B extends boolean>({ depth = DEFAULT_DEPTH, buildIds }: StackShape<B>): Codec<StackFrame<B>[]> {
  checkU32('depth', depth, 1)
  const stride = buildIds === true ? BUILD_ID_BYTES : 8
  const frameAt = buildIds === true ? buildIdAt : addressAt
  return makeCodec<unknown[]>({
    name: buildIds === true ? 'build ids' : 'addresses',
    size: depth * stride,
    align: 8,
    write() {
      throw new TypeError('stacks are stored by programs alone (bpf_get_stackid)')
    },
    read(view, offset) {
      const frames: unknown[] = []
      for (let i = 0; i < depth; i++) {
        const frame = frameAt(view, offset + i * stride)
        // The kernel fills what a stack does not need with zeros (bpf_stackmap_copy).
        if (frame === undefined) break
        frames.push(frame)
      }
      return frames
    },
  }) as Codec<StackFrame<B>[]>
}

function addressAt(view: DataView, at: number): bigint | undefined {
  const address = view.getBigUint64(at, LE)
  return address === 0n ? undefined : address
}

function buildIdAt(view: DataView, at: number): BuildIdFrame | undefined {
  const status = view.getInt32(at, LE)
  if (status === STATUS_EMPTY) return undefined
  const place = view.getBigUint64(at + 24, LE)
  if (status !== STATUS_VALID) return { buildId: undefined, address: place }
  return { buildId: Buffer.from(view.buffer, view.byteOffset + at + 4, 20).toString('hex'), offset: place }
}

/** Stacks by the number that bpf_get_stackid gave for them (BPF_MAP_TYPE_STACK_TRACE, Linux 4.6). */
export class StackTrace<B extends boolean = false> extends KeyedMap<number, StackFrame<B>[]> {
  declare protected readonly family: 'StackTrace'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<B extends boolean = false>(options: StackTraceOptions<B>): MapSpec<StackTrace<B>> {
    return StackTrace.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<B extends boolean = false>(options: StackTraceOptions<B>): StackTrace<B> {
    return StackTrace.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<B extends boolean = false>(id: number, options: StackTraceOpen<B> = {}): StackTrace<B> {
    return StackTrace.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<B extends boolean = false>(path: string, options: StackTraceOpen<B> = {}): StackTrace<B> {
    return StackTrace.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<B extends boolean = false>(fd: number, options: StackTraceOpen<B> = {}): StackTrace<B> {
    return StackTrace.#any(options).fromFd(fd)
  }

  static #any<B extends boolean>(options: AnySize<StackTraceOptions<B>>): MapSpec<StackTrace<B>> {
    checkOptions('StackTrace', options)
    const value = framesCodec<B>(options ?? {})
    const flagged = options?.buildIds === true ? withFlag(options, 'STACK_BUILD_ID') : options
    const wrap = (core: MapCore) => new StackTrace<B>(core, { key: u32, value })
    return indexedSpec('StackTrace', 'STACK_TRACE', { ...flagged, value }, wrap, {
      build: buildWith((code) =>
        code === 'EINVAL' ? 'depth is more than the kernel keeps (sysctl kernel.perf_event_max_stack)' : undefined,
      ),
    })
  }

  /** The frames of a stack, innermost first; undefined where there is none of this number. */
  get(id: number): StackFrame<B>[] | undefined {
    return this.lookup(id, 0)
  }

  /** Whether there is a stack of this number. */
  has(id: number): boolean {
    return this.exists(id)
  }

  /** Deletes a stack: whether there was one. Errors: EPERM. */
  delete(id: number): boolean {
    return this.remove(id)
  }

  /** Deletes all stacks that are there; returns how many there were. */
  clear(): number {
    return this.removeAll()
  }

  /** How many stacks there are: counted by reading the map. */
  get size(): number {
    return this.count()
  }

  entries(): IterableIterator<[number, StackFrame<B>[]]> {
    return this.walk()
  }

  keys(): IterableIterator<number> {
    return this.walkKeys()
  }

  values(): IterableIterator<StackFrame<B>[]> {
    return this.walkValues()
  }

  [Symbol.iterator](): IterableIterator<[number, StackFrame<B>[]]> {
    return this.walk()
  }

  /** The stacks as they are now, as plain data. */
  snapshot(): Map<number, StackFrame<B>[]> {
    return new Map(this.walk())
  }

  protected override inspectEntries(few: number) {
    return summarize(
      few,
      (limit) => this.count(limit),
      () => this.walk(),
      ([id, frames]) => `${id} → ${frames.length} frames ${brief(frames.slice(0, 2))}`,
    )
  }
}
