import type { Btf } from '../btf'
import { comment, propertyName, typeName, typeNames, type UniqueNames } from '../btf/print'
import type { BpfObject, Global, ObjectMap, ObjectProgram } from '../elf'
import { hasEvents, isOuter } from '../elf/map-shape'
import { ANY_MAP, classOfMap, namesIn, type TypeText, typeLines } from './map-type'
import { indented, LINE } from './module-text'
import type { TypeOf, ValueTypes } from './value-types'

/** An outer map of which the object does not tell what it holds, and the type parameter that stands for it. */
export interface UntoldInner {
  readonly map: string
  readonly parameter: string
}

/** A member of the shape: what it is called, what is said of it, and what it is. */
interface Member {
  readonly name: string
  readonly about?: () => string
  readonly type: () => TypeText | string
  readonly constant?: boolean
}

/** A type that has been asked for, or why there is none. */
type Written = { readonly type: TypeOf } | { readonly why: string }

/** Sections of variables: their maps hold the bytes of all of them. */
const DATA = /^\.(data|bss|rodata)(\.|$)/

/** How far in the members of the shape's parts are. */
const INDENT = '    '

/** The interface that gives an object's names their types. */
export class ShapeText {
  readonly untold: UntoldInner[] = []
  readonly #btf: Btf | undefined
  readonly #types: ValueTypes
  readonly #maps: Member[]
  readonly #programs: Member[]
  readonly #globals: Member[]
  readonly #parameters: UniqueNames

  /** `taken` are the names that the module has for something else. */
  constructor(object: BpfObject, types: ValueTypes, taken: Iterable<string>) {
    this.#btf = object.btf
    this.#parameters = typeNames(taken)
    this.#types = types
    const maps = Object.values(object.maps)
    const data = maps.filter(({ name }) => DATA.test(name))
    this.#maps = [
      ...maps.filter((map) => !data.includes(map)).map((map) => this.#map(map)),
      ...data.map(({ name }) => section(name)),
    ]
    this.#programs = Object.values(object.programs).map(program)
    this.#globals = Object.values(object.globals).map((global) => this.#global(global))
  }

  /** What it uses of the library; once the types are settled. */
  get imports(): string[] {
    return [...this.#maps, ...this.#programs].flatMap(({ type }) => namesIn(type()))
  }

  /** The three parts, once the types are settled. */
  lines(): string[] {
    return [
      ...part('maps', this.#maps),
      ...part('programs', this.#programs),
      ...(this.#globals.some(({ constant }) => constant) ? [CONSTANTS] : []),
      ...part('globals', this.#globals),
    ]
  }

  #map(map: ObjectMap): Member {
    const { name, type, maxEntries } = map
    const events = hasEvents(type) ? this.#record(map.valueType, `${name}_event`, `Event of ${name}`) : undefined
    const notes: string[] = []
    const its = this.#typeOf(map, name, notes)
    const about = () => {
      const pinned = map.pinning === 'by-name' ? ', pinned by its name' : ''
      const carries = events === undefined ? [] : [eventsOf(events)]
      return `${[`${type}${sizeOf(type, maxEntries)}${pinned}`, ...carries, ...notes].join('; ')}.`
    }
    return { name, about, type: its }
  }

  /** `notes` gets why keys or values are bytes, though the object tells their type. */
  #typeOf(map: ObjectMap, title: string, notes: string[], where = ''): () => TypeText | string {
    const types = new Map<string, () => TypeText | string>()
    const want = (what: 'key' | 'value'): TypeOf => {
      const [id, size] = what === 'key' ? [map.keyType, map.keySize] : [map.valueType, map.valueSize]
      const why = this.#types.refusal(id)
      if (why !== undefined) notes.push(`${what}s${where} are bytes: ${why}`)
      return this.#types.want(id, size, `${title}_${what}`, `${what === 'key' ? 'Key' : 'Value'} of ${title}`)
    }
    const note = (what: 'key' | 'value' | 'inner', type: () => TypeText | string) => {
      types.set(what, type)
      return ''
    }
    // Asked for in the order in which they are written, and only what the class is of.
    classOfMap(map, {
      key: () => note('key', want('key')),
      value: () => note('value', want('value')),
      inner: () => note('inner', this.#innerOf(map, title, notes)),
    })
    const settled = (what: string) => types.get(what)?.() ?? ''
    return () =>
      classOfMap(map, {
        key: () => settled('key') as string,
        value: () => settled('value') as string,
        inner: () => settled('inner'),
      })
  }

  #innerOf({ inner, type }: ObjectMap, title: string, notes: string[]): () => TypeText | string {
    if (inner !== undefined) return this.#typeOf(inner, `${title}_inner`, notes, ' of inner maps')
    if (!isOuter(type)) return () => ANY_MAP
    // Other maps may be called the same but for capitals and underscores, and so may the object.
    const parameter = this.#parameters.take(typeName(`${title}_inner`))
    this.untold.push({ map: title, parameter })
    return () => parameter
  }

  #global({ name, typeId, size, constant }: Global): Member {
    const type = this.#types.want(typeId, size, name, `Variable ${name}`)
    // The way to get a type into an object that no map and no variable is of: `struct event *unused`.
    const its = this.#btf === undefined || typeId === 0 ? undefined : this.#btf.resolve(typeId)
    const target = its?.kind === 'ptr' ? this.#record(its.type, `${name}_target`, `What ${name} points to`) : undefined
    const why = this.#types.refusal(typeId)
    if (why !== undefined) return { name, about: () => `Bytes: ${why}.`, type, constant }
    if (target === undefined || 'type' in target) return { name, type, constant }
    return { name, about: () => `There is no type of what it points to: ${target.why}.`, type, constant }
  }

  /**
   * Writes a struct or union, or tells why it does not; of other types, such as the int of old perf event arrays, nothing is
   * to be said.
   */
  #record(type: number, name: string, about: string): Written | undefined {
    if (this.#btf === undefined || type === 0) return undefined
    const { kind } = this.#btf.resolve(type)
    if (kind !== 'struct' && kind !== 'union' && kind !== 'fwd') return undefined
    const its = this.#types.event(type, name, about)
    return its === undefined ? { why: this.#types.eventRefusal(type) ?? '' } : { type: its }
  }
}

function eventsOf(events: Written): string {
  return 'type' in events ? `its events: ${events.type()}` : `there is no type of its events: ${events.why}`
}

const CONSTANTS = '/** A readonly one is written through `open()`, before it is loaded. */'

function section(name: string): Member {
  const bytes: TypeText = { name: 'ArrayMap', of: ['Uint8Array'] }
  return { name, about: () => `Section ${name}, as bytes.`, type: () => bytes }
}

function program({ name, section, autoload }: ObjectProgram): Member {
  const left = autoload ? '' : `: not loaded unless its autoload is set`
  const its = autoload ? 'Program' : 'Program | undefined'
  return { name, about: () => `Section ${section}${left}.`, type: () => its }
}

function sizeOf(type: ObjectMap['type'], maxEntries: number): string {
  if (type === 'RINGBUF' || type === 'USER_RINGBUF') return ` of ${maxEntries} bytes`
  if (type === 'ARENA') return ` of ${maxEntries} ${maxEntries === 1 ? 'page' : 'pages'}`
  if (type === 'PERF_EVENT_ARRAY' && maxEntries === 0) return ', one entry a CPU'
  return maxEntries === 0 ? '' : `, ${maxEntries} ${maxEntries === 1 ? 'entry' : 'entries'}`
}

function part(name: string, members: readonly Member[]): string[] {
  if (members.length === 0) return [`${name}: object`]
  return [`${name}: {`, ...indented(members.map(line)), '}']
}

function line({ name, about, type, constant }: Member): string {
  const start = `${constant === true ? 'readonly ' : ''}${propertyName(name)}: `
  const its = typeLines(type(), INDENT + start, LINE).replaceAll(`\n${INDENT}`, '\n')
  return `${about === undefined ? '' : `${comment(about())}\n`}${start}${its}`
}
