import { type InspectOptions, inspect } from 'node:util'
import { mapFreeze, mapInfo } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'
import { readFdInfo } from '../handle/fd-info'
import { Handle } from '../handle/handle'
import { Pinning } from '../handle/pin'
import { flagNames, type MapFlag, type MapType, mapTypeLabel } from './attributes'
import { labelOf, type MapAttributes, type MapCore, type MapSpec } from './spec'

/** What the kernel and /proc tell of a map. */
export interface MapInfo {
  readonly id: number
  readonly name: string
  readonly type: MapType | `type ${number}`
  /** Bytes. */
  readonly keySize: number
  /** Bytes of one value, on one CPU. */
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: readonly (MapFlag | number)[]
  readonly mapExtra: number
  /** Id of its BTF object; 0 for none. */
  readonly btfId: number
  /** Interface that the map is offloaded to; 0 for none. */
  readonly ifindex: number
  /** Whether user space may no longer write to it; undefined where /proc cannot be read. */
  readonly frozen: boolean | undefined
  /** What this handle may do. */
  readonly access: 'read-write' | 'read-only' | 'write-only' | undefined
  /** Bytes of kernel memory that it is charged for. */
  readonly memlock: number | undefined
}

/** Entries up to which `util.inspect` lists them. */
const FEW = 8

/** A map of the kernel, and the one owner of its fd: `close()` it, or declare it with `using`. */
export abstract class BpfMap implements Disposable {
  /** What it was made or opened as. */
  readonly spec: MapSpec
  /** Sizes and flags, as asked for at creation or as the kernel told them at opening. */
  readonly attributes: MapAttributes
  /** @internal The owner of the fd. */
  readonly handle: Handle
  #id: number | undefined
  readonly #pinning = new Pinning()

  protected constructor(core: MapCore) {
    if (!(core?.handle instanceof Handle)) {
      throw new TypeError(`${new.target.name} has no public constructor: ${new.target.name}.create({ ... }) makes one`)
    }
    this.spec = core.spec
    this.attributes = core.attributes
    this.handle = core.handle
    if (core.attributes.id !== undefined) this.#know(core.attributes.id)
  }

  /** The kernel's name of its type: 'HASH'. */
  get type(): MapType | `type ${number}` {
    return mapTypeLabel(this.attributes.type)
  }

  /** The name given at creation, '' for none. */
  get name(): string {
    return this.attributes.name
  }

  get maxEntries(): number {
    return this.attributes.maxEntries ?? 0
  }

  /** The file descriptor, which stays this map's own. Throws ClosedError once it is closed. */
  get fd(): number {
    return this.handle.fd
  }

  /** The kernel's number for the map, the same in every process. Asked for once. */
  get id(): number {
    if (this.#id !== undefined) return this.#id
    const subject = { description: labelOf(this.spec.family.name, this.name) }
    return this.#know(mapInfo(this.handle.fd, subject).id)
  }

  #know(id: number): number {
    this.#id = id
    // What is said of the handle once it is closed, or collected open.
    this.handle.what = labelOf(this.spec.family.name, this.name, id)
    return id
  }

  get closed(): boolean {
    return this.handle.closed
  }

  /** What the kernel tells of the map now. Errors: none of its own (BPF_OBJ_GET_INFO_BY_FD, Linux 4.13). */
  info(): MapInfo {
    const info = mapInfo(this.handle.fd, this.subject)
    const more = readFdInfo(this.handle.fd)
    return {
      id: info.id,
      name: info.name,
      type: mapTypeLabel(info.type),
      keySize: info.key_size,
      valueSize: info.value_size,
      maxEntries: info.max_entries,
      flags: flagNames(info.map_flags),
      // A number of hash functions, or a user address: below 2^53.
      mapExtra: Number(info.map_extra ?? 0n),
      btfId: info.btf_id,
      ifindex: info.ifindex,
      frozen: more?.frozen,
      access: more?.access,
      memlock: more?.memlock,
    }
  }

  /**
   * Forbids all further writes from user space, for good; programs still write.
   * Errors: EBUSY while it is mapped writable, EPERM when it is frozen already (EBUSY in Linux 5.10). Linux 5.2.
   */
  freeze(): void {
    mapFreeze(this.handle.fd, this.subject)
  }

  /**
   * Gives the map a name on a bpf file system: it then outlives this process, and is opened by `fromPin`.
   * Errors: EEXIST, ENOENT, EPERM where the path is not on a bpf file system. Linux 4.4.
   */
  pin(path: string): void {
    this.#pinning.pin(path, this.handle.fd, this.subject)
  }

  /** Removes a pin: the one that `pin` made last, or the one at `path`. Whether there was one. */
  unpin(path?: string): boolean {
    return this.#pinning.unpin(path, this.subject)
  }

  /** Ends this handle; the map itself lives on while a pin, a program or another handle refers to it. */
  close(): void {
    this.handle.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** What messages call it: "HashMap#12 'ports'". Never throws. */
  get description(): string {
    if (this.#id === undefined && !this.closed) {
      try {
        return labelOf(this.spec.family.name, this.name, this.id)
      } catch {
        // A message about one failure must not be replaced by another.
      }
    }
    return labelOf(this.spec.family.name, this.name, this.#id)
  }

  /** @internal What system calls are made on, for their errors. */
  protected readonly subject: Subject = new MapSubject(this)

  /** As messages call it. */
  toString(): string {
    return this.description
  }

  /** What `info()` tells, for logs; a closed map's name and type. */
  toJSON(): object {
    return this.closed ? { type: this.type, id: this.#id, name: this.name, closed: true } : this.info()
  }

  /** The likely cause of a refusal, where this object knows more than its errno. */
  protected hint(command: string, code: string): string | undefined {
    // Linux 5.10 says EBUSY where a map is frozen already.
    if (
      code === 'EBUSY' &&
      command === 'BPF_MAP_FREEZE' &&
      !this.closed &&
      readFdInfo(this.handle.fd)?.frozen === true
    ) {
      return 'the map is frozen already'
    }
    if (code !== 'EPERM' || this.closed || !/ELEM|BATCH|NEXT_KEY|FREEZE/.test(command)) return undefined
    const now = readFdInfo(this.handle.fd)
    if (now?.frozen === true) return 'the map is frozen: user space can no longer write to it'
    if (now?.access === 'read-only') return 'this handle is read-only: it was opened or created that way (BPF_F_RDONLY)'
    if (now?.access === 'write-only')
      return 'this handle is write-only: it was opened or created that way (BPF_F_WRONLY)'
    return undefined
  }

  /** @internal Lines below the header: the entries of a map that has few, undefined where that cannot be told. */
  protected inspectEntries(_limit: number): { readonly size: string; readonly lines: readonly string[] } | undefined {
    return undefined
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    const shape = this.spec.family.shape === '' ? '' : ` ${this.spec.family.shape}`
    if (this.closed) return `${this.description}${shape} closed`
    const { size, lines } = this.#summary(FEW)
    const header = `${this.description}${shape}${size} fd ${this.fd}`
    const note = this.spec.family.note?.split('\n') ?? []
    return [header, ...[...note, ...lines].map((line) => `  ${line}`)].join(options.compact === true ? ' ' : '\n')
  }

  /** @internal What it is and how full, on one line: "HashMap#12 'ports' 3/8". Never throws. */
  get headline(): string {
    return `${this.description}${this.closed ? ' closed' : this.#summary(0).size}`
  }

  /** What maxEntries says, with what it counts where that is no entries, or how many there are is not to be known. */
  #most(): string {
    const { size, type } = this.spec.family
    if (size !== undefined) return `${this.maxEntries} ${size.of}`
    return type === 'QUEUE' || type === 'STACK' ? `up to ${this.maxEntries}` : `${this.maxEntries}`
  }

  /** How full it is, and the lines of its entries where they are few; or the code of why that cannot be told. */
  #summary(few: number): { size: string; lines: readonly string[] } {
    let found: ReturnType<BpfMap['inspectEntries']>
    let trouble = ''
    try {
      found = this.inspectEntries(few)
    } catch (error) {
      trouble = ` (${(error as { code?: string }).code ?? 'unreadable'})`
    }
    // 0 where a map has no limit of its own: the storages.
    const counts = [found?.size, this.maxEntries === 0 ? undefined : this.#most()].filter((n) => n !== undefined)
    return { size: (counts.length === 0 ? '' : ` ${counts.join('/')}`) + trouble, lines: found?.lines ?? [] }
  }
}

/** A map as system calls see it: not the map itself, as whoever holds a subject could then reach everything else. */
class MapSubject implements Subject {
  readonly #map: BpfMap

  constructor(map: BpfMap) {
    this.#map = map
  }

  get description(): string {
    return this.#map.description
  }

  hint(command: string, code: string): string | undefined {
    // biome-ignore lint/complexity/useLiteralKeys: the way in to what is protected
    return this.#map['hint'](command, code)
  }
}
