import { isByte, isChar } from '../codec/arrays'
import { kernelOwned } from '../codec/kernel-owned'
import { inNetworkOrder } from '../codec/network-order'
import { type OpenEnded, openEnded } from '../codec/open-end'
import { BtfError } from '../error'
import type { BtfArray, BtfDatasec, BtfEnum, BtfEnum64, BtfInt, BtfStruct, BtfType, BtfUnion } from '../types'
import type { UniqueNames } from './identifiers'
import { fieldsOf, type Types } from './types'
import {
  arrayOf,
  type CodecText,
  comment,
  enumLiteral,
  LINE,
  literal,
  oneOf,
  propertyName,
  typeName,
  typeNames,
} from './typescript-text'

/** What values of a type are, as codecOf reads them: in TypeScript, and by which of the library's codecs. */
export interface ValueText {
  readonly type: string
  /** undefined where none of them says it: unions, bit fields, what the kernel keeps to itself. */
  readonly codec: CodecText | undefined
}

/** What stands in place of a name where a type has none. */
export interface NameHint {
  /** 'hits_value' */
  readonly name: string
  /** What is said of it: 'Value of map hits'. */
  readonly about: string
}

export interface TextOptions {
  /** Names that the module has for something else. */
  readonly taken?: Iterable<string>
  /** An expression for the codec of a type that the library's own codecs do not say. */
  readonly otherwise?: (type: BtfStruct | BtfUnion, name: string, align: number) => string
  /** Writes structs that end in an array of open length without it, as codecOf reads them with `openEnd`. */
  readonly openEnds?: boolean
}

interface Member extends ValueText {
  readonly name: string
  /** In bytes. */
  readonly offset: number
}

interface Members {
  readonly list: Member[]
  /** Whether there is nothing but members that lie side by side. */
  plain: boolean
}

/** Where a member is: for messages, and for a name of what has none. */
interface Within {
  readonly path: string
  readonly title: string
}

/** Typedefs and qualifiers one behind the other, as many as BTF has elsewhere (MAX_RESOLVE_DEPTH): more are a circle. */
const MOST_NAMES = 33

/** Characters of a member's line. */
const MOST_INLINE = 100

const INTEGERS: Readonly<Record<number, string>> = { 1: '8', 2: '16', 4: '32', 8: '64' }

/** Writes interfaces, and the codecs beside them, each before whoever needs it. */
export class TypeScriptText {
  /** What has been written: declarations, one after the other. */
  readonly declarations: string[] = []
  /** What they use of the library; a type has 'type ' before it. */
  readonly imports = new Set<string>()
  readonly #types: Types
  readonly #names: UniqueNames
  readonly #otherwise: TextOptions['otherwise']
  readonly #openEnds: boolean
  readonly #known = new Map<number, ValueText>()

  constructor(types: Types, { taken = [], otherwise, openEnds = false }: TextOptions = {}) {
    this.#types = types
    this.#names = typeNames(taken)
    this.#otherwise = otherwise
    this.#openEnds = openEnds
  }

  /** The value of a type, with what it needs declared. */
  valueOf(id: number, path: string, hint?: NameHint): ValueText {
    const value = this.#types.deeper(id, () => this.#valueOf(id, path, hint))
    // What has no name is written out again wherever it is used.
    this.#types.spend(id, value.type.length + (value.codec?.text.length ?? 0))
    return value
  }

  /** Gives a name to what has none of its own: `type U32 = number`. */
  alias(name: string, { type, codec }: ValueText): ValueText {
    const own = this.#names.take(typeName(name))
    return this.#declared(own, `export type ${own} = ${type}`, codec, 'Codec')
  }

  #valueOf(id: number, path: string, hint: NameHint | undefined): ValueText {
    const { type, name } = this.#named(id)
    const known = this.#known.get(type.id)
    if (known !== undefined) return known
    switch (type.kind) {
      case 'int':
        return this.#int(type, id)
      case 'float':
        if (type.size !== 4 && type.size !== 8)
          throw this.#refuse(path, `is a floating-point number of ${type.size} bytes`)
        return { type: 'number', codec: this.#scalar(type.size === 4 ? 'f32' : 'f64', type.size) }
      case 'ptr':
        return { type: 'bigint', codec: this.#types.btf.pointerSize === 8 ? this.#scalar('u64', 8) : undefined }
      case 'array':
        return this.#array(type, path, hint)
      case 'enum':
      case 'enum64':
        return this.#remembered(type, this.#enum(type, name, hint))
      case 'struct':
      case 'union':
      case 'datasec':
        return this.#remembered(type, this.#record(type, name, path, hint))
      case 'fwd':
        throw this.#refuse(path, `is ${type.of} ${type.name}, which is only declared here, and has no size`)
      default:
        throw this.#refuse(path, `is ${type.kind === 'void' ? 'void' : `a ${type.kind}`}, and has no values`)
    }
  }

  /** What is behind typedefs and qualifiers, and the name nearest to it. */
  #named(id: number): { readonly type: BtfType; readonly name: string } {
    let type = this.#types.of(id)
    let name = ''
    for (let depth = 0; ; depth++) {
      if (depth > MOST_NAMES) throw this.#types.tooDeep(id)
      switch (type.kind) {
        case 'typedef':
          name = type.name
          break
        case 'const':
        case 'volatile':
        case 'restrict':
        case 'type_tag':
        case 'var':
          break
        default:
          return { type, name: type.name === '' ? name : type.name }
      }
      type = this.#types.of(type.type)
    }
  }

  /** What is written out where it stands, as it has no name, is written out again elsewhere. */
  #remembered(type: BtfType, value: ValueText): ValueText {
    if (/^\w+$/.test(value.type)) this.#known.set(type.id, value)
    return value
  }

  #int(int: BtfInt, id: number): ValueText {
    const { size, bits, bitOffset, encoding } = int
    const type = encoding === 'bool' ? 'boolean' : size > 4 ? 'bigint' : 'number'
    const letters = INTEGERS[size]
    if (letters === undefined || bits !== 8 * size || bitOffset !== 0) return { type, codec: undefined }
    if (encoding === 'bool') return { type, codec: size === 1 ? this.#scalar('bool', 1) : undefined }
    const swapped = inNetworkOrder(this.#types.btf, int, id)
    if (swapped !== undefined) return { type, codec: this.#scalar(swapped.name, size) }
    return { type, codec: this.#scalar(`${encoding === 'signed' ? 'i' : 'u'}${letters}`, size) }
  }

  #array({ type, length }: BtfArray, path: string, hint: NameHint | undefined): ValueText {
    if (length === 0) throw this.#refuse(path, 'is an array of open length (or of 0 elements), and has no size')
    const { btf } = this.#types
    if (isChar(btf, type)) return { type: 'string', codec: this.#call('cstring', `${length}`, length, 1) }
    if (isByte(btf, type)) return { type: 'Uint8Array', codec: this.#call('bytes', `${length}`, length, 1) }
    const element = this.valueOf(type, `${path}[]`, hint)
    const { codec } = element
    if (codec === undefined || codec.size % codec.align !== 0) return { type: arrayOf(element.type), codec: undefined }
    const array = this.#call('array', `${codec.text}, ${length}`, codec.size * length, codec.align)
    return { type: arrayOf(element.type), codec: array }
  }

  /** As codecOf has it: by name where a value has one, and numbers where not. `bits` are those of a bit field. */
  #enum(type: BtfEnum | BtfEnum64, name: string, hint?: NameHint, bits = 8 * type.size): ValueText {
    this.#types.spend(type.id, type.values.length)
    const signed =
      type.signed || (type.kind === 'enum' && bits < 32 && type.values.some(({ value }) => value >= 2 ** 31))
    const constants = type.values.flatMap(({ name, value }): [string, bigint][] => {
      const exact = signed && !type.signed ? BigInt.asIntN(32, BigInt(value)) : BigInt(value)
      const fits = (signed ? BigInt.asIntN(bits, exact) : BigInt.asUintN(bits, exact)) === exact
      return fits && name !== '' ? [[name, exact]] : []
    })
    const wide = type.size > 4
    const base = `${signed ? 'i' : 'u'}${INTEGERS[type.size] ?? ''}`
    const whole = bits === 8 * type.size
    if (constants.length === 0) {
      return { type: wide ? 'bigint' : 'number', codec: whole ? this.#scalar(base, type.size) : undefined }
    }
    const names = [...constants.map(([constant]) => literal(constant)), wide ? 'bigint' : 'number']
    const inline = names.join(' | ')
    if (!whole) return { type: inline, codec: undefined }
    if (base !== 'u32') this.imports.add(base)
    const codec = this.#call('enumOf', enumLiteral(constants, wide), type.size, type.size, base === 'u32' ? '' : base)
    if (name === '' && hint === undefined) return { type: inline, codec }
    const own = this.#names.take(typeName(name === '' ? (hint?.name ?? '') : name))
    const about = comment(`${name === '' ? hint?.about : `enum ${name}`}, ${bytes(type.size)}.`)
    return this.#declared(own, `${about}\nexport type ${own} =${oneOf(names, `export type ${own} =`)}`, codec, 'Codec')
  }

  #record(type: BtfStruct | BtfUnion | BtfDatasec, name: string, path: string, hint: NameHint | undefined): ValueText {
    const nameless = name === '' && hint === undefined
    const title = name === '' ? (hint?.name ?? '') : name
    const open = this.#openEnds ? openEnded(this.#types.btf, type) : undefined
    const members = type.kind === 'datasec' ? this.#variables(type) : this.#members(open?.fixed ?? type, path, title)
    const lines = members.list.map((member) => `${propertyName(member.name)}: ${member.type}`)
    const codec = this.#structCodec(type, members) ?? (nameless ? undefined : this.#otherCodec(type, title))
    if (nameless) return { type: lines.length === 0 ? 'Record<string, never>' : `{ ${lines.join('; ')} }`, codec }
    const own = this.#names.take(typeName(title))
    const what = name === '' ? hint?.about : `${type.kind === 'datasec' ? 'Section' : type.kind} ${name}`
    const reader = codec === undefined ? ': codecOf reads it' : ''
    const rest = open === undefined ? '' : `; not read: ${restOf(open)}`
    const about = comment(`${what}, ${bytes(type.size)}${reader}${rest}.`)
    const text =
      lines.length === 0
        ? `export type ${own} = Record<string, never>`
        : `export interface ${own} {\n${lines.map((line) => `  ${line}\n`).join('')}}`
    const kind = codec?.text.endsWith(')') && /^(struct|packed)\(/.test(codec.text) ? 'StructCodec' : 'Codec'
    return this.#declared(own, `${about}\n${text}`, codec, kind)
  }

  /** Whatever else reads it, where somebody knows. */
  #otherCodec(type: BtfStruct | BtfUnion | BtfDatasec, name: string): CodecText | undefined {
    if (this.#otherwise === undefined || type.kind === 'datasec') return undefined
    const align = this.#types.btf.alignOf(type.id)
    return { text: this.#otherwise(type, name, align), size: type.size, align }
  }

  /** What struct() or packed() makes of the members, where that has the same layout. */
  #structCodec({ size }: { readonly size: number }, { list, plain }: Members): CodecText | undefined {
    if (!plain || list.length === 0) return undefined
    for (const how of ['struct', 'packed'] as const) {
      const align = how === 'packed' ? 1 : list.reduce((most, { codec }) => Math.max(most, codec?.align ?? 1), 1)
      let end = 0
      const fits = list.every(({ offset, codec }) => {
        if (codec === undefined) return false
        const start = how === 'packed' ? end : Math.ceil(end / codec.align) * codec.align
        end = offset + codec.size
        return start === offset
      })
      if (!fits || Math.ceil(end / align) * align !== size) continue
      const fields = list.map(({ name, codec }) => `${propertyName(name)}: ${codec?.text}`)
      return this.#call(how, fields, size, align)
    }
    return undefined
  }

  #members(type: BtfStruct | BtfUnion, path: string, title: string): Members {
    const members: Members = { list: [], plain: true }
    this.#collect(type, 0, { path, title }, members)
    this.#checkNames(members, path)
    return members
  }

  #variables({ vars, size }: BtfDatasec): Members {
    // 0 in what has not been loaded: then nothing is said of where variables are.
    const members: Members = { list: [], plain: size > 0 }
    for (const { type, offset } of vars) {
      const variable = this.#types.of(type)
      if (variable.kind === 'var')
        members.list.push({ name: variable.name, offset, ...this.valueOf(variable.type, variable.name) })
    }
    return members
  }

  /** Members of anonymous structs and unions are members of what is around them, as in C. */
  #collect(type: BtfStruct | BtfUnion, from: number, within: Within, members: Members): void {
    if (type.kind === 'union') members.plain = false
    for (const field of fieldsOf(this.#types, type)) {
      const behind = this.#types.resolve(field.type)
      if (field.name === '') {
        if (behind.kind !== 'struct' && behind.kind !== 'union') continue
        this.#types.deeper(behind.id, () => this.#collect(behind, from + field.bitOffset, within, members))
      } else if (kernelOwned(this.#types.btf, field.type) !== undefined) {
        // Neither read nor written, and in its place a struct of the library has nothing.
        members.plain = false
      } else if (field.bits !== undefined) {
        members.plain = false
        members.list.push({
          name: field.name,
          offset: 0,
          ...this.#bitField(field.type, field.bits, `${within.path}.${field.name}`),
        })
      } else {
        const value = this.#member(field.type, field.name, within)
        members.list.push({ name: field.name, offset: (from + field.bitOffset) / 8, ...value })
      }
    }
  }

  /** What has no name is written out where it stands, as long as it is short. */
  #member(id: number, name: string, { path, title }: Within): ValueText {
    const value = this.valueOf(id, `${path}.${name}`)
    if (title === '' || `  ${propertyName(name)}: ${value.type}`.length <= MOST_INLINE) return value
    return this.valueOf(id, `${path}.${name}`, { name: `${title}_${name}`, about: `${name} of ${title}` })
  }

  /** As what it is declared to be; of an enum the constants that it has room for. */
  #bitField(id: number, bits: number, path: string): ValueText {
    const { type } = this.#named(id)
    if (type.kind === 'enum' || type.kind === 'enum64') {
      const own = this.#enum(type, '', undefined, bits)
      if (own.type !== this.#enum(type, '').type) return own
    }
    return { ...this.valueOf(id, path), codec: undefined }
  }

  #checkNames({ list }: Members, path: string): void {
    const names = new Set<string>()
    for (const { name } of list) {
      if (names.has(name)) throw this.#refuse(`${path}.${name}`, 'is there twice')
      if (name === '__proto__') throw this.#refuse(`${path}.${name}`, 'cannot be the name of a property')
      names.add(name)
    }
  }

  #declared(name: string, text: string, codec: CodecText | undefined, kind: 'Codec' | 'StructCodec'): ValueText {
    if (codec === undefined) {
      this.declarations.push(text)
      return { type: name, codec: undefined }
    }
    this.imports.add(`type ${kind}`)
    const start = `export const ${name}: ${kind}<${name}> = `
    const whole = start.length + codec.text.length <= LINE ? codec.text : (codec.broken ?? codec.text)
    this.declarations.push(`${text}\n\n${start}${whole}`)
    return { type: name, codec: { ...codec, text: name, broken: undefined } }
  }

  #scalar(name: string, size: number): CodecText {
    this.imports.add(name)
    return { text: name, size, align: size }
  }

  /** A call of one of the library's codecs: with a list, of an object that has these entries. */
  #call(name: string, args: string | readonly string[], size: number, align: number, more = ''): CodecText {
    this.imports.add(name)
    const last = more === '' ? '' : `, ${more}`
    if (typeof args === 'string') return { text: `${name}(${args}${last})`, size, align }
    const broken = `${name}({\n${args.map((entry) => `  ${entry},\n`).join('')}}${last})`
    return { text: `${name}({ ${args.join(', ')} }${last})`, broken, size, align }
  }

  #refuse(path: string, reason: string): BtfError {
    return new BtfError(this.#types.btf.name, `${path} ${reason}`)
  }
}

const bytes = (size: number) => (size === 1 ? '1 byte' : `${size} bytes`)

const restOf = ({ rest }: OpenEnded) => `its ${rest.name}, from byte ${rest.bitOffset / 8} to the end of the record`
