import { inspect } from 'node:util'
import { mapFile, PROT_READ, PROT_WRITE, type Region } from '../../syscalls/memory'
import { ClosedError, closedText, type Handle } from '../handle/handle'
import type { Attachment, UsdtAttachment } from '../link'
import { Arena, type BpfMap } from '../map'
import type { Program } from '../program'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { ArenaMemory } from './arena'
import { attachBySection } from './attach'
import type { Contents } from './contents'
import { dictionary } from './dictionary'
import type { Global, Memory } from './globals'
import type { Parts } from './load'
import type { GlobalsOf, MapsOf, ObjectShape, ProgramsOf } from './shape'
import { StructOpsMap } from './struct-ops-map'
import { Undo } from './undo'
import { UsdtSpecs } from './usdt'
import { variables } from './variables'

/** The cookie is the object's own: it tells bpf_usdt_arg where arguments are. */
const OF_USDT = optionNames<{ pid?: number }>({ pid: true })

/** The programs of an object at their places, by their names: `close()` ends all of them, or `using`. */
export class Attachments implements Disposable {
  readonly links: Readonly<Record<string, Attachment>>

  readonly #others: readonly string[]

  /** @internal */
  constructor(links: Readonly<Record<string, Attachment>>, others: readonly string[] = []) {
    this.links = links
    this.#others = others
  }

  /** Ends all. May be called twice. */
  close(): void {
    for (const link of Object.values(this.links)) link.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** "Attachments of on_enter, on_exit" */
  toString(): string {
    return `Attachments of ${Object.keys(this.links).join(', ') || 'none'}`
  }

  /** A line for each, and one for those that say nowhere where they belong. */
  [inspect.custom](): string {
    const lines = Object.entries(this.links).map(([name, link]) => `  ${name}: ${link}`)
    const others = this.#others.length === 0 ? [] : [`  left to attachXdp and the like: ${this.#others.join(', ')}`]
    return [lines.length === 0 ? 'Attachments of none' : 'Attachments', ...lines, ...others].join('\n')
  }
}

/** What an object has become in the kernel, and the one owner of it: `close()` it, or declare it with `using`. */
export class LoadedObject<S extends ObjectShape = ObjectShape> implements Disposable {
  readonly #contents: Contents
  readonly #parts: Parts
  readonly #attached: Attachments[] = []
  readonly #usdt: UsdtSpecs
  readonly #memories = new Map<string, SectionMemory | ArenaMemory>()
  /** What the variables of the object were read by when it was loaded; undefined where it was by their types alone. */
  readonly #codecs: readonly Global['knownCodec'][] | undefined
  #maps: MapsOf<S> | undefined
  #programs: ProgramsOf<S> | undefined
  #globals: GlobalsOf<S> | undefined
  #closed = false

  /** @internal */
  constructor(contents: Contents, parts: Parts) {
    this.#contents = contents
    this.#parts = parts
    this.#usdt = new UsdtSpecs((name) => parts.maps.get(name)?.map)
    const codecs = contents.globals.map(({ knownCodec }) => knownCodec)
    this.#codecs = codecs.some((codec) => codec !== undefined) ? codecs : undefined
  }

  /** The maps by their names in the source: `app.maps.by_uid.set(1000, rows)`. */
  get maps(): MapsOf<S> {
    this.#maps ??= dictionary(Array.from(this.#parts.maps, ([name, { map }]) => [name, map] as const)) as MapsOf<S>
    return this.#maps
  }

  /** The programs that were loaded, by their functions' names. */
  get programs(): ProgramsOf<S> {
    this.#programs ??= dictionary([...this.#parts.programs]) as ProgramsOf<S>
    return this.#programs
  }

  /** The variables of the programs, as they are at this moment: `app.globals.packets.value`. */
  get globals(): GlobalsOf<S> {
    this.#globals ??= this.#makeGlobals()
    return this.#globals
  }

  #makeGlobals(): GlobalsOf<S> {
    const found: [string, Global][] = []
    for (const [i, global] of this.#contents.globals.entries()) {
      const memory = this.#memoryOf(global)
      if (memory !== undefined) found.push([global.name, global.in(memory, this.#codecs?.[i])])
    }
    return variables(found) as GlobalsOf<S>
  }

  /** Where a variable is; undefined where its map was not to be created. */
  #memoryOf({ section, constant }: Global): Memory | undefined {
    const known = this.#memories.get(section)
    if (known !== undefined) return known
    const { arena } = this.#contents
    const its = arena?.section.name === section ? arena : undefined
    const map = this.#parts.maps.get(its?.map.name ?? section)?.map
    if (map === undefined) return undefined
    const memory = its && map instanceof Arena ? new ArenaMemory(map, its) : new SectionMemory(map, constant)
    this.#memories.set(section, memory)
    // Of a map of the caller's, which is open yet, there would be nobody to unmap it.
    if (this.#closed) memory.close()
    return memory
  }

  /** @internal The object's BTF. */
  get btf(): Handle | undefined {
    return this.#parts.btf
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Puts the maps of sections `.struct_ops` and `.struct_ops.link` to work (see `StructOpsMap.attach`), and
   * attaches all programs whose sections say where: 'tracepoint/sched/sched_switch', 'fentry/...', 'kprobe/...'; others,
   * such as 'xdp', are for `attachXdp` and its like, and are passed over. All or none. The links end with the object, or
   * before by themselves. Errors: those of the functions that attach: see `attachTracepoint`, `attachTracing` ...
   */
  attach(): Attachments {
    if (this.#closed) throw new ClosedError(closedText(this.#contents.file.path))
    const undo = new Undo()
    const links: [string, Attachment][] = []
    const others: string[] = []
    try {
      for (const { program: description } of this.#contents.programs) {
        const program = this.#parts.programs.get(description.name)
        if (program === undefined || !description.autoattach) continue
        const link = attachBySection(program, description, this.#usdt)
        if (link === undefined) others.push(`${description.name} (${description.section})`)
        else links.push([description.name, undo.own(link)])
      }
      for (const { map: description, ops } of this.#contents.structOps) {
        const map = this.#parts.maps.get(description.name)?.map
        if (map instanceof StructOpsMap && ops.autoattach) links.push([description.name, undo.own(map.attach())])
      }
    } catch (error) {
      undo.runAfter(error)
      throw error
    }
    const attached = new Attachments(dictionary(links), others)
    this.#attached.push(attached)
    return attached
  }

  /**
   * Attaches one of the programs to a USDT probe, as a section 'usdt/path:provider:name' does, whose places of arguments
   * `bpf_usdt_arg` of <bpf/usdt.bpf.h> is told: `attachUsdt` alone does not. Errors: those of `attachUsdt`; TypeError where
   * an argument is where programs do not reach, RangeError where there are more places than BPF_USDT_MAX_SPEC_CNT. Linux
   * 4.20; of files that the loader moves, 5.15.
   */
  attachUsdt(
    program: Program,
    path: string,
    provider: string,
    name: string,
    options: { readonly pid?: number | undefined } = {},
  ): UsdtAttachment {
    checkKnownOptions(options, OF_USDT)
    const { pid } = options
    if (this.#closed) throw new ClosedError(closedText(this.#contents.file.path))
    if (![...this.#parts.programs.values()].includes(program)) {
      throw new TypeError(`attachUsdt takes one of the programs of ${this.#contents.file.path}`)
    }
    const link = this.#usdt.attach(program, path, provider, name, pid)
    this.#attached.push(new Attachments({ [program.name]: link }))
    return link
  }

  /** Ends it: programs that are attached nowhere else, and maps that nobody else has, are gone. Pins stay. May be called twice. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const attached of this.#attached) attached.close()
    for (const memory of this.#memories.values()) memory.close()
    for (const program of this.#parts.programs.values()) program.close()
    for (const { map, given } of this.#parts.maps.values()) if (!given) map.close()
    this.#parts.btf?.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** "LoadedObject count.bpf.o": where it was read from. */
  toString(): string {
    return `LoadedObject ${this.#contents.file.path}`
  }

  /** What the kernel tells of its maps and programs, for logs. */
  toJSON(): object {
    return { path: this.#contents.file.path, closed: this.#closed, maps: this.maps, programs: this.programs }
  }

  [inspect.custom](): string {
    if (this.#closed) return `${this} closed`
    const programs = Array.from(this.#parts.programs.values(), (program) => `  ${program.description}`)
    const maps = Array.from(this.#parts.maps.values(), ({ map }) => `  ${map.description}`)
    const variables = Object.values(this.globals).map((global) => `  ${global.words()}`)
    return [`${this}`, ...programs, ...maps, ...variables].join('\n')
  }
}

/** The memory of a section's map, mapped when a variable is first asked for: reading is then no system call. */
class SectionMemory implements Memory {
  readonly #map: BpfMap
  readonly #constant: boolean
  #region: Region | undefined
  #bytes: Uint8Array | undefined
  #closed = false

  constructor(map: BpfMap, constant: boolean) {
    this.#map = map
    this.#constant = constant
  }

  get what(): string {
    return this.#map.description
  }

  get readonly(): string | undefined {
    return this.#constant ? 'constants are frozen when an object is loaded: write to them before' : undefined
  }

  bytes(): Uint8Array {
    // Throws ClosedError, where memory that is no longer mapped would read as zeros.
    const { fd } = this.#map
    if (this.#closed) throw new ClosedError(closedText(`the object that ${this.what} was given to`))
    if (this.#bytes === undefined) {
      const length = this.#map.attributes.valueSize
      this.#region = mapFile(fd, length, this.#constant ? PROT_READ : PROT_READ | PROT_WRITE)
      this.#bytes = new Uint8Array(this.#region.buffer)
    }
    return this.#bytes
  }

  close(): void {
    this.#closed = true
    this.#region?.close()
  }
}
