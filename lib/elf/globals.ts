import { type InspectOptions, inspect } from 'node:util'
import { KernelError } from '../../syscalls/errno'
import type { Btf } from '../btf'
import type { Codec } from '../codec'
import { checkCodec } from '../codec/make'
import { type ElfSymbol, STB_LOCAL, STT_SECTION } from '../elf-file/tables'
import { ClosedError } from '../handle/handle'
import { codecOf } from './codecs'
import type { ObjectMap } from './description'
import type { PlacedMap } from './legacy-maps'
import type { ObjectFile, ObjectSection } from './object-file'

/** Where a variable is: the object's bytes before it is loaded, the map's memory afterwards. */
export interface Memory {
  /** What messages call it. */
  readonly what: string
  /** The bytes now, not a copy. Throws ClosedError. */
  bytes(): Uint8Array
  /** Why it cannot be written to; undefined where it can. */
  readonly readonly: string | undefined
  /** All zeros, for which there is no memory yet. */
  readonly untouched?: boolean
}

export interface VariableParts {
  readonly name: string
  readonly section: string
  readonly offset: number
  readonly size: number
  /** Its type in the object's BTF; 0 where there is none. */
  readonly typeId: number
  readonly constant: boolean
}

/** Values of more bytes are not shown among others: they are read by who wants them. */
const MOST_SHOWN = 4096

/** A variable of the programs: of an object, its first value; of one that is loaded, what it is at this moment. */
export class Global<T = unknown> {
  readonly name: string
  /** '.data', '.bss', '.rodata', or one of these with more behind it: the name of the map that it is in; or '.addr_space.1'. */
  readonly section: string
  /** Where it is there, in bytes. */
  readonly offset: number
  readonly size: number
  /** Programs cannot change it, nor, once it is loaded, can anybody. */
  readonly constant: boolean
  readonly typeId: number
  readonly #memory: Memory
  /** Made when it is asked for: objects have many variables, and few of them are read. */
  readonly #makeCodec: () => Codec<T>
  #codec: Codec<T> | undefined

  /** @internal */
  constructor(parts: VariableParts, codec: () => Codec<T>, memory: Memory) {
    this.name = parts.name
    this.section = parts.section
    this.offset = parts.offset
    this.size = parts.size
    this.constant = parts.constant
    this.typeId = parts.typeId
    this.#makeCodec = codec
    this.#memory = memory
  }

  /** How it is read and written: by its type in BTF, or as bytes where that is not known. */
  get codec(): Codec<T> {
    this.#codec ??= this.#makeCodec()
    return this.#codec
  }

  /** Another codec of the same size. Throws TypeError, RangeError. */
  set codec(codec: Codec<T>) {
    checkCodec(codec)
    if (codec.size !== this.size) {
      throw new RangeError(`${this.name} has ${this.size} bytes, and ${codec.name} has ${codec.size}`)
    }
    this.#codec = codec
  }

  /** What it is now. Reading takes no system call. Throws ClosedError. */
  get value(): T {
    // Reading a small one of many megabytes of zeros makes no room for all of them.
    if (this.#memory.untouched === true) return this.codec.read(new DataView(new ArrayBuffer(this.size)), 0)
    const bytes = this.#memory.bytes()
    return this.codec.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), this.offset)
  }

  /**
   * Writes it: at once, as programs see it. Values of up to 8 bytes are whole at any moment; of larger ones a program may
   * see a part. Throws TypeError (a constant of a loaded object), RangeError, ClosedError.
   */
  set value(value: T) {
    if (this.#memory.readonly !== undefined) throw new TypeError(`${this.name}: ${this.#memory.readonly}`)
    // Encoded elsewhere first: where that throws, nothing has been written.
    const encoded = new ArrayBuffer(this.size)
    this.codec.write(new DataView(encoded), 0, value)
    const bytes = this.#memory.bytes()
    if (this.size === 8 && (bytes.byteOffset + this.offset) % 8 === 0) {
      new BigUint64Array(bytes.buffer, bytes.byteOffset + this.offset, 1)[0] = new BigUint64Array(encoded)[0] as bigint
    } else if (this.size === 4 && (bytes.byteOffset + this.offset) % 4 === 0) {
      new Uint32Array(bytes.buffer, bytes.byteOffset + this.offset, 1)[0] = new Uint32Array(encoded)[0] as number
    } else {
      bytes.set(new Uint8Array(encoded), this.offset)
    }
  }

  /** @internal The codec, where it has been asked for or set. */
  get knownCodec(): Codec<T> | undefined {
    return this.#codec
  }

  /** @internal The same variable in other memory, with a codec that it had, or with that of its type. */
  in(memory: Memory, codec: Codec<T> | undefined): Global<T> {
    return new Global<T>(this, codec === undefined ? this.#makeCodec : () => codec, memory)
  }

  /** @internal "const limit = 5 (u32, .rodata+8)" */
  words(options: InspectOptions = {}, where = ''): string {
    let value: string
    try {
      value = this.size > MOST_SHOWN ? `: ${this.size} bytes` : ` = ${inspect(this.value, options)}`
    } catch (error) {
      // What shows an object does not fail for one of its maps: closed, or of the caller's, and not to be mapped.
      if (!(error instanceof ClosedError || error instanceof KernelError)) throw error
      value = error instanceof ClosedError ? ', closed' : `, not readable: ${error.code}`
    }
    const kind = this.constant ? 'const ' : ''
    return `${kind}${this.name}${value} (${this.codec.name}, ${this.section}+${this.offset}${where})`
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    return this.words(options, ` of ${this.#memory.what}`)
  }
}

/** A section of variables: one map of one element, which holds them all. */
export interface DataSection {
  readonly section: ObjectSection
  readonly placed: PlacedMap
  /** What it is filled with: the file's bytes, and what is written to the variables. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** All zeros, at which nobody has looked yet: there is no memory for them so far. */
  readonly untouched: boolean
  readonly constant: boolean
}

class DataBytes implements DataSection {
  readonly section: ObjectSection
  readonly placed: PlacedMap
  readonly constant: boolean
  readonly #file: ObjectFile
  #bytes: Uint8Array<ArrayBuffer> | undefined

  constructor(file: ObjectFile, section: ObjectSection, map: ObjectMap, constant: boolean) {
    this.#file = file
    this.section = section
    this.placed = { map, section: section.index, offset: 0, size: section.size }
    this.constant = constant
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    const { section } = this
    this.#bytes ??= section.zeros ? new Uint8Array(section.size) : this.#file.bytes(section).slice()
    return this.#bytes
  }

  get untouched(): boolean {
    return this.section.zeros && this.#bytes === undefined
  }
}

const DATA = /^\.(data|bss|rodata)(\..*)?$/

/** The sections of variables that programs refer to by their address. */
export function readDataSections(file: ObjectFile, btf: Btf | undefined): DataSection[] {
  const found: DataSection[] = []
  for (const section of file.sections) {
    const kind = section.allocated && section.size > 0 ? DATA.exec(section.name)?.[1] : undefined
    if (kind === undefined) continue
    const constant = kind === 'rodata'
    const map: ObjectMap = {
      name: section.name,
      type: 'ARRAY',
      keySize: 4,
      valueSize: section.size,
      maxEntries: 1,
      flags: constant ? ['RDONLY_PROG', 'MMAPABLE'] : ['MMAPABLE'],
      mapExtra: 0n,
      numaNode: undefined,
      pinning: 'none',
      inner: undefined,
      values: [],
      keyType: 0,
      valueType: btf?.find(section.name, 'datasec')?.id ?? 0,
      key: undefined,
      value: undefined,
      autocreate: true,
    }
    // What the file does not have is refused now.
    if (!section.zeros) file.bytes(section)
    found.push(new DataBytes(file, section, map, constant))
  }
  return found
}

/** What variables stand in. */
type VariableSection = Pick<DataSection, 'section' | 'bytes' | 'constant'> & { readonly untouched?: boolean }

/** The variables of these sections, by their symbols and, for what they are, their types. */
export function readGlobals(file: ObjectFile, btf: Btf | undefined, sections: readonly VariableSection[]): Global[] {
  const found: Global[] = []
  for (const data of sections) {
    const { section, constant } = data
    const types = variableTypes(btf, section.name)
    const memory: Memory = {
      what: file.path,
      bytes: () => data.bytes,
      readonly: undefined,
      get untouched() {
        return data.untouched === true
      },
    }
    for (const { name, value: offset, size } of variablesOf(file, section)) {
      const typeId = types(name, offset)
      const parts = { name, section: section.name, offset, size, typeId, constant }
      found.push(new Global<unknown>(parts, () => codecOf(btf, typeId, size), memory))
    }
  }
  return found
}

/**
 * Whatever has a name and a size; what begins with .L are places of the compiler's. Those that are static come first: of
 * one name, the last is it.
 */
function variablesOf(file: ObjectFile, section: ObjectSection): ElfSymbol[] {
  return file
    .symbolsOf(section)
    .filter(({ kind, name, size }) => kind !== STT_SECTION && name !== '' && size > 0 && !name.startsWith('.L'))
    .sort((a, b) => Number(b.binding === STB_LOCAL) - Number(a.binding === STB_LOCAL))
}

/**
 * The types of a section's variables, by their names; where linking has put several of one name there, by their places,
 * which compilers leave open and linkers fill in. 0 where there is none.
 */
function variableTypes(btf: Btf | undefined, section: string): (name: string, offset: number) => number {
  const found = new Map<string, { readonly type: number; readonly offset: number }[]>()
  for (const { type, offset } of btf?.find(section, 'datasec')?.vars ?? []) {
    const variable = (btf as Btf).type(type)
    if (variable.kind !== 'var') continue
    const same = found.get(variable.name)
    if (same === undefined) found.set(variable.name, [{ type: variable.type, offset }])
    else same.push({ type: variable.type, offset })
  }
  return (name, offset) => {
    const all = found.get(name) ?? []
    return (all.find((each) => each.offset === offset) ?? all.at(-1))?.type ?? 0
  }
}
