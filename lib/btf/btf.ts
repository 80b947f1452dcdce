import { inspect } from 'node:util'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { nearest } from '../text/nearest'
import { asBuffer } from './bytes'
import { decodeType } from './decode'
import { BtfError } from './error'
import { KIND_NAMES } from './format'
import { BtfImage } from './image'
import * as layout from './layout'
import { Names } from './names'
import { type ToCOptions, toC, toTypeScript } from './print'
import * as source from './source'
import type { BtfKind, BtfResolved, BtfType, BtfTypeOf } from './types'

/** Types that were asked for last, so that going to and fro between some costs little. A power of two. */
const REMEMBERED = 512

const VOID: BtfType = { kind: 'void', id: 0, name: 'void' }

export interface BtfOptions {
  /** What split BTF, as modules have it, goes on from. */
  readonly base?: Btf
  /** What messages call it: 'xdp.bpf.o'. */
  readonly name?: string
}

const OPTIONS = optionNames<BtfOptions>({ base: true, name: true })

/** BTF of a module, or why it cannot be read. */
export type ModuleBtf =
  | { readonly name: string; readonly btf: Btf; readonly error?: undefined }
  | { readonly name: string; readonly btf?: undefined; readonly error: Error }

/**
 * BTF, the description of types that the kernel, its modules, and compiled BPF programs come with
 * (Documentation/bpf/btf.rst). Types have ids, from 1 on; id 0 is void. A type is read when it is asked for: to open
 * the kernel's BTF (more than a hundred thousand types) and find one of them costs some milliseconds.
 *
 * @example
 * const task = Btf.kernel().require('task_struct', 'struct')
 * task.members.find((member) => member.name === 'pid')?.bitOffset
 */
export class Btf {
  /** 'vmlinux', the name of a module, or what it was called when it was read. */
  readonly name: string
  /** What it goes on from, where it is split BTF. */
  readonly base: Btf | undefined
  /** The id of the BTF object that it was read from; undefined where it came from bytes or from a file. */
  readonly objectId: number | undefined
  readonly #image: BtfImage
  readonly #names: Names
  readonly #remembered: (BtfType | undefined)[] = []
  #pointerSize: 4 | 8 | undefined
  #alignments: layout.Alignments | undefined

  private constructor(bytes: Buffer, name: string, base: Btf | undefined, objectId: number | undefined) {
    this.name = name
    this.base = base
    this.objectId = objectId
    this.#image = new BtfImage(bytes, name, base === undefined ? undefined : base.#image)
    this.#names = new Names(this.#image)
  }

  /**
   * Reads BTF from bytes, in either byte order: /sys/kernel/btf/vmlinux, or the section .BTF of an object. They are not
   * copied, and must stay as they are. Throws BtfError for what is not BTF, or says what cannot be; what is wrong with a
   * single type is thrown when that is asked for.
   */
  static parse(bytes: ArrayBuffer | Uint8Array, options: BtfOptions = {}): Btf {
    checkKnownOptions(options, OPTIONS)
    const { base, name = 'BTF' } = options
    if (base !== undefined && !(base instanceof Btf)) throw new TypeError('base must be a Btf')
    if (typeof name !== 'string') throw new TypeError(`name must be a string, not ${typeof name}`)
    return new Btf(asBuffer(bytes), name, base, undefined)
  }

  /**
   * The running kernel's own, from /sys/kernel/btf/vmlinux; where that is not mounted, from the BTF object (Linux 5.11,
   * with CAP_SYS_ADMIN). Kept for as long as somebody uses it. Throws BtfError with code ENOENT where there is none.
   * Linux 5.4, with CONFIG_DEBUG_INFO_BTF.
   */
  static kernel(): Btf {
    const found = tryKernel()
    if (found !== undefined) return found
    throw new BtfError(
      source.VMLINUX,
      'the kernel does not describe its own types: Linux does from 5.4 on with CONFIG_DEBUG_INFO_BTF, in /sys/kernel/btf, ' +
        'or else, from 5.11 on, to who has CAP_SYS_ADMIN',
      undefined,
      'ENOENT',
    )
  }

  /**
   * That of a module that is loaded, split from the kernel's: 'nf_tables'. Throws BtfError with code ENOENT where no such
   * module has any. Linux 5.11, with CONFIG_DEBUG_INFO_BTF_MODULES.
   */
  static module(name: string): Btf {
    checkName(name, 'name')
    // As kmod has it: the kernel's names of modules have no hyphens.
    const own = name.replaceAll('-', '_')
    if (own === '' || own.includes('/') || own.startsWith('.')) throw new RangeError(`no module is called '${name}'`)
    if (own === source.VMLINUX) return Btf.kernel()
    const found = source.fromSysfs(own) ?? source.fromNamedObject(own)
    if (found !== undefined) return opened(found)
    const near = nearest(own, source.modulesInSysfs() ?? [])
    const did = near === undefined ? '' : `: did you mean '${near}'?`
    throw new BtfError(own, `no module of that name is loaded and has BTF${did}`, undefined, 'ENOENT')
  }

  /**
   * Those of all modules that are loaded. One that cannot be read is told with its error, and the others are there. Modules
   * that are unloaded meanwhile are passed over. Where sysfs is not mounted it needs CAP_SYS_ADMIN. Errors: EPERM.
   */
  static modules(): ModuleBtf[] {
    const names = source.modulesInSysfs()
    if (names !== undefined) return names.flatMap((name) => tried(name, () => source.fromSysfs(name)))
    return [...source.kernelObjects()]
      .filter(({ name }) => name !== source.VMLINUX)
      .flatMap(({ id, name }) => tried(name, () => source.fromObject(id)))
  }

  /**
   * That of a BTF object, by the id that programs, maps and links tell. Needs CAP_SYS_ADMIN. Throws BtfError with code
   * ENOENT where there is none of that id. Errors: EPERM. Linux 4.18.
   */
  static fromId(id: number): Btf {
    if (!Number.isInteger(id) || id < 1 || id > 0xffff_ffff) throw new RangeError(`id must be that of BTF, not ${id}`)
    const found = source.fromObject(id)
    if (found !== undefined) return opened(found)
    throw new BtfError(`BTF#${id}`, 'there is no BTF of that id (any more)', undefined, 'ENOENT')
  }

  /** @internal BTF as it was read. */
  static from({ bytes, name, objectId }: source.BtfSource, base: Btf | undefined): Btf {
    return new Btf(asBuffer(bytes), name === '' ? `BTF#${objectId}` : name, base, objectId)
  }

  /** The bytes themselves. */
  get bytes(): Uint8Array {
    return this.#image.bytes
  }

  get byteOrder(): 'little' | 'big' {
    return this.#image.littleEndian ? 'little' : 'big'
  }

  /** How many types there are, without those of the base. */
  get size(): number {
    return this.#image.endId - this.#image.firstId
  }

  /** @internal Where in the bytes each of these types begins. */
  get places(): Uint32Array {
    return this.#image.places
  }

  /** The id of the first type: 1, or where the base ends. */
  get firstId(): number {
    return this.#image.firstId
  }

  /** The size of a pointer in bytes, on the machine that the BTF is of. */
  get pointerSize(): 4 | 8 {
    this.#pointerSize ??= layout.pointerSize(this.#image)
    return this.#pointerSize
  }

  /**
   * The type of an id, the base's included. Throws RangeError for an id that there is not, and BtfError for a type that
   * says what cannot be.
   */
  type(id: number): BtfType {
    this.#checkId(id)
    if (id === 0) return VOID
    if (id < this.#image.firstId) return (this.base as Btf).type(id)
    const slot = id % REMEMBERED
    const remembered = this.#remembered[slot]
    if (remembered?.id === id) return remembered
    const type = decodeType(this.#image, id)
    this.#remembered[slot] = type
    return type
  }

  /** The kind of a type, which costs less than the type. */
  kindOf(id: number): BtfKind {
    this.#checkId(id)
    return KIND_NAMES[layout.kindNumber(this.#image, id)] ?? 'unknown'
  }

  /** The name of a type, which costs less than the type; '' for what has none. */
  nameOf(id: number): string {
    this.#checkId(id)
    if (id === 0) return VOID.name
    const owner = this.#image.owner(id)
    return owner.stringAt(owner.placeOf(id))
  }

  /** The first type of a name, and of a kind where one is given; those of the base come first. */
  find<K extends BtfKind = BtfKind>(name: string, kind?: K): BtfTypeOf<K> | undefined {
    for (const id of this.#ids(name, kind)) return this.type(id) as BtfTypeOf<K>
    return undefined
  }

  /** All types of a name, and of a kind where one is given, in the order of their ids. */
  findAll<K extends BtfKind = BtfKind>(name: string, kind?: K): BtfTypeOf<K>[] {
    return Array.from(this.#ids(name, kind), (id) => this.type(id) as BtfTypeOf<K>)
  }

  /** @internal The ids of all types of a name, without those of the base. */
  ownIds(name: string): number[] {
    return [...this.#names.find(name, undefined)]
  }

  /** As `find`; throws BtfError with code ENOENT, and with the names that are near, where there is none. */
  require<K extends BtfKind = BtfKind>(name: string, kind?: K): BtfTypeOf<K> {
    const found = this.find(name, kind)
    if (found !== undefined) return found
    throw new BtfError(this.name, this.#missing(name, kind), undefined, 'ENOENT')
  }

  /** All types, or all of a kind, in the order of their ids; without those of the base. */
  *types<K extends BtfKind = BtfKind>(kind?: K): Generator<BtfTypeOf<K>, void, undefined> {
    const wanted = kindNumber(kind)
    for (let id = this.#image.firstId; id < this.#image.endId; id++) {
      if (wanted === undefined || layout.kindNumber(this.#image, id) === wanted) yield this.type(id) as BtfTypeOf<K>
    }
  }

  /** What is left of a type when typedefs, const, volatile, restrict and type tags are taken away. */
  resolve(id: number): BtfResolved {
    this.#checkId(id)
    return this.type(layout.resolve(this.#image, id)) as BtfResolved
  }

  /** The size of a type in bytes. Throws BtfError for what has none: void, functions, what is only declared. */
  sizeOf(id: number): number {
    this.#checkId(id)
    return layout.sizeOf(this.#image, id, this.pointerSize)
  }

  /**
   * The alignment of a type in bytes, as C has it; 1 for structs that are packed. BTF does not tell what was aligned by an
   * attribute to more than its members ask for. Throws BtfError for what has none.
   */
  alignOf(id: number): number {
    this.#checkId(id)
    this.#alignments ??= new layout.Alignments(this.#image, this.pointerSize)
    return this.#alignments.of(id)
  }

  /**
   * C of a type, by its name or id: `btf.toC('task_struct')`; with `deep` also what it needs, before it and in an order
   * that compiles. Without a type the whole: vmlinux.h, where this is the kernel's, with the functions that it lets programs
   * call; of a module what is its own, and what that needs of the kernel. What clang makes of the text for BPF has the sizes
   * and offsets that are here: packed structs and padding are said, alignment that only an attribute asks for is not known.
   * Of two types with one name the second is called `___2`, which CO-RE takes for the same.
   *
   * Throws BtfError with code ENOENT where there is no type of that name, and BtfError for types that C cannot say.
   */
  toC(type?: string | number, options?: ToCOptions): string {
    return toC(this, type, options)
  }

  /**
   * A module in TypeScript with the values of a type, by its name or id, as codecOf reads them: an interface for it and for
   * each struct, union and enum in it; and beside each the codec that reads it, where it can be said in those of this
   * library: they have no unions and no bit fields.
   *
   * Throws BtfError as codecOf does: with code ENOENT where there is no type of that name, and for what has no values.
   */
  toTypeScript(type: string | number): string {
    return toTypeScript(this, type)
  }

  /** The string at an offset, as .BTF.ext names lines and files. Throws BtfError where there is none. */
  string(offset: number): string {
    if (!Number.isInteger(offset) || offset < 0) throw new RangeError(`offset must be that of a string, not ${offset}`)
    return this.#image.string(offset)
  }

  /** @internal Whether there is a string at an offset. */
  hasString(offset: number): boolean {
    return this.#image.hasString(offset)
  }

  /** "Btf vmlinux, 126,610 types". */
  toString(): string {
    const count = String(this.size).replaceAll(/\B(?=(\d{3})+$)/g, ',')
    const base = this.base === undefined ? '' : ` behind those of ${this.base.name}`
    return `Btf ${this.name}, ${count} ${this.size === 1 ? 'type' : 'types'}${base}`
  }

  [inspect.custom](): string {
    return this.toString()
  }

  #checkId(id: number): void {
    if (typeof id !== 'number') throw new TypeError(`the id of a type must be a number, not ${typeof id}`)
    if (Number.isInteger(id) && id >= 0 && id < this.#image.endId) return
    throw new RangeError(`${this.name} has types 0 to ${this.#image.endId - 1}, and none with id ${id}`)
  }

  /** The ids of a name: those of the base first. */
  *#ids(name: string, kind: BtfKind | undefined): Generator<number, void, undefined> {
    checkName(name, 'name')
    const number = kindNumber(kind)
    if (this.base !== undefined) yield* this.base.#ids(name, kind)
    yield* this.#names.find(name, number)
  }

  #missing(name: string, kind: BtfKind | undefined): string {
    const there = this.find(name)
    if (there !== undefined) return `no ${kind} is called '${name}'; there is a ${there.kind} of that name`
    const what = kind ?? 'type'
    const [, keyword, rest] = /^(struct|union|enum) (.*)$/.exec(name) ?? []
    if (rest !== undefined) return `no ${what} is called '${name}': BTF has names without '${keyword}'`
    const near = this.#near(name, kind)
    const did = near.length === 0 ? '' : `: did you mean ${near.map((other) => `'${other}'`).join(' or ')}?`
    return `no ${what} is called '${name}'${did}`
  }

  #near(name: string, kind: BtfKind | undefined): string[] {
    const bytes = Buffer.byteLength(name)
    const slips = Math.floor(bytes / 4) + 1
    const candidates = new Set(this.#namesOfLength(Math.max(bytes - slips, 1), bytes + slips, kindNumber(kind)))
    const near: string[] = []
    for (
      let best = nearest(name, candidates);
      best !== undefined && near.length < 3;
      best = nearest(name, candidates)
    ) {
      near.push(best)
      candidates.delete(best)
    }
    return near
  }

  *#namesOfLength(least: number, most: number, kind: number | undefined): Generator<string, void, undefined> {
    if (this.base !== undefined) yield* this.base.#namesOfLength(least, most, kind)
    yield* this.#names.ofLength(least, most, kind)
  }
}

function checkName(name: unknown, what: string): void {
  if (typeof name !== 'string') throw new TypeError(`${what} must be a string, not ${typeof name}`)
}

function kindNumber(kind: BtfKind | undefined): number | undefined {
  if (kind === undefined) return undefined
  const number = KIND_NAMES.indexOf(kind as never)
  if (number < 1) throw new TypeError(`'${kind}' is no kind of named type: ${KIND_NAMES.slice(1).join(', ')}`)
  return number
}

/** Megabytes: kept as long as somebody uses it, or nobody needs the memory. */
let kernel: WeakRef<Btf> | undefined

/** `Btf.kernel()`, or undefined where there is none. */
export function tryKernel(): Btf | undefined {
  const before = kernel?.deref()
  if (before !== undefined) return before
  const found = source.fromSysfs(source.VMLINUX) ?? source.fromNamedObject(source.VMLINUX)
  if (found === undefined) return undefined
  const btf = Btf.from(found, undefined)
  kernel = new WeakRef(btf)
  return btf
}

/** Modules go on from the kernel; what came with programs and maps stands alone. */
function opened(found: source.BtfSource): Btf {
  return Btf.from(found, found.kernel && found.name !== source.VMLINUX ? Btf.kernel() : undefined)
}

function tried(name: string, read: () => source.BtfSource | undefined): ModuleBtf[] {
  try {
    const found = read()
    return found === undefined ? [] : [{ name, btf: opened(found) }]
  } catch (error) {
    return [{ name, error: error as Error }]
  }
}
