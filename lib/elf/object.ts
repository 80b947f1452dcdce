import { inspect } from 'node:util'
import type { Btf } from '../btf'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { type Contents, readContents } from './contents'
import type { ObjectMap } from './description'
import { dictionary } from './dictionary'
import { loadContents } from './load'
import type { LoadOptions } from './load-options'
import { LoadedObject } from './loaded'
import { readObjectFile } from './object-file'
import type { ObjectGlobalsOf, ObjectMapsOf, ObjectProgramsOf, ObjectShape } from './shape'
import { variables } from './variables'
import { settle, wordsOfMap, wordsOfProgram } from './words'

export interface OpenObjectOptions {
  /** What messages call bytes that come from no file: 'my_app.bpf.o'. */
  readonly name?: string
}

const OPTIONS = optionNames<OpenObjectOptions>({ name: true })

/**
 * A compiled object (clang -target bpf), read and understood, and nothing of it loaded: its maps, programs and variables
 * as plain descriptions that may be changed before `load` makes them. Reading it makes no system call but for the file's.
 *
 * @example
 * const object = BpfObject.open('uid-syscalls.bpf.o')
 * object.maps.uid_hits.maxEntries = 1024
 * using app = object.load()
 */
export class BpfObject<S extends ObjectShape = ObjectShape> {
  /** Where it was read from, or what it was called. */
  readonly path: string
  /** 'GPL', 'Dual MIT/GPL' ...; '' where it does not say. */
  license: string
  /** A kernel's version, which is of no use from Linux 5.0 on; 0 where it does not say. */
  readonly version: number
  // What is in it is put in order when it is asked for: objects have many variables, and most are loaded unseen.
  readonly #contents: Contents
  #maps: ObjectMapsOf<S> | undefined
  #programs: ObjectProgramsOf<S> | undefined
  #globals: ObjectGlobalsOf<S> | undefined

  private constructor(contents: Contents) {
    this.#contents = contents
    this.path = contents.file.path
    this.license = contents.license
    this.version = contents.version
  }

  readonly #wordsOfMap = (map: ObjectMap): string => wordsOfMap(map, this.#contents.btf)

  /** By name; those of variables by the name of their section. */
  get maps(): ObjectMapsOf<S> {
    this.#maps ??= dictionary(
      this.#contents.maps.map(({ map }) => [map.name, settle(map, this.#wordsOfMap)] as const),
    ) as ObjectMapsOf<S>
    return this.#maps
  }

  /** By name of the function. */
  get programs(): ObjectProgramsOf<S> {
    this.#programs ??= dictionary(
      this.#contents.programs.map(({ program }) => [program.name, settle(program, wordsOfProgram)] as const),
    ) as ObjectProgramsOf<S>
    return this.#programs
  }

  /**
   * The variables of the programs, with what they begin with: `object.globals.limit.value = 100`. What is written here
   * counts for each `load` after it, and changes nothing of what is loaded already: that has `globals` of its own.
   */
  get globals(): ObjectGlobalsOf<S> {
    this.#globals ??= variables(
      this.#contents.globals.map((global) => [global.name, global] as const),
    ) as ObjectGlobalsOf<S>
    return this.#globals
  }

  /** The types in it; undefined where it was compiled without -g. */
  get btf(): Btf | undefined {
    return this.#contents.btf
  }

  /**
   * Reads an object from a file or from its bytes. Errors: ElfError and BtfError, with the place, where it says what cannot
   * be; Node's own (ENOENT, EACCES).
   */
  static open<S extends ObjectShape = ObjectShape>(
    source: string | Uint8Array,
    options: OpenObjectOptions = {},
  ): BpfObject<S> {
    if (typeof source !== 'string' && !(source instanceof Uint8Array)) {
      throw new TypeError(`an object is read from a path or from bytes, not from ${inspect(source, { depth: 0 })}`)
    }
    checkKnownOptions(options, OPTIONS)
    const { name = 'the object' } = options
    if (typeof name !== 'string') throw new TypeError(`name must be a string, not ${typeof name}`)
    return new BpfObject<S>(readContents(readObjectFile(source, name)))
  }

  /**
   * Makes the maps, loads the programs, and fills in what refers to them: all of it, or nothing, in which case no fd and no
   * pin is left. May be called more than once. The caller owns the result.
   *
   * Errors: VerifierError, whose lines are those of the source; UnsupportedError; MapMismatchError (a pinned map, or one of
   * `maps`, is another); CoreError; KernelError: EPERM (CAP_BPF and what the programs need), E2BIG, EINVAL, ENOMEM.
   * TypeError, RangeError: before the kernel is asked. Linux 5.2 for variables, 5.4 for CO-RE.
   */
  load(options: LoadOptions<S> = {}): LoadedObject<S> {
    return new LoadedObject<S>(this.#contents, loadContents(this.#contents, this.license, options as LoadOptions))
  }

  /** "BpfObject count.bpf.o" */
  toString(): string {
    return `BpfObject ${this.path}`
  }

  /** What is in it, by name, for logs. */
  toJSON(): object {
    const { path, license, maps, programs, globals } = this
    return { path, license, ...namesOf({ maps, programs, globals }) }
  }

  [inspect.custom](): string {
    const { programs, data } = this.#contents
    const sections = new Set(data.map(({ section }) => section.name))
    const maps = this.#contents.maps.filter(({ map }) => !sections.has(map.name))
    return [
      `BpfObject ${this.path} (${this.license || 'no license'})`,
      ...programs.map(({ program }) => `  program ${program.name}: ${wordsOfProgram(program)}`),
      ...maps.map(({ map }) => `  map ${map.name}: ${this.#wordsOfMap(map)}`),
      ...Object.values(this.globals).map((global) => `  variable ${global.words()}`),
    ].join('\n')
  }
}

function namesOf(parts: Readonly<Record<string, object>>): object {
  return Object.fromEntries(Object.entries(parts).map(([what, byName]) => [what, Object.keys(byName)]))
}
