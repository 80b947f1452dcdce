import { BtfError } from '../error'
import type { BtfEnum, BtfEnum64, BtfFuncProto, BtfInt, BtfStruct, BtfType, BtfUnion } from '../types'
import { CLayouts, type CPadding } from './c-layout'
import { identifier, UniqueNames } from './identifiers'
import type { Field, Types } from './types'

/** What integers of other names are called in C, by their size. `ssizetype` is GCC's own, i32 is Rust's. */
const SIGNED: Readonly<Record<number, string>> = {
  1: 'signed char',
  2: 'short',
  4: 'int',
  8: 'long long',
  16: '__int128',
}

const C_INT = /^(?:_Bool|(?:(?:unsigned|signed|char|short|int|long|__int128)(?: |$))+)$/

/** The attributes that make an enum of that size; C's own have 4 bytes, or 8 where a value needs them. */
const ENUM_MODES: Readonly<Record<number, string>> = { 1: 'QI', 2: 'HI', 4: 'SI', 8: 'DI' }

/** The text of single types in C. */
export class CText {
  readonly #types: Types
  readonly #layouts: CLayouts
  readonly #tags = new UniqueNames()
  readonly #idents = new UniqueNames()
  readonly #names = new Map<number, string>()
  /** Enums whose constants have been written. */
  readonly #enums = new Set<number>()

  constructor(types: Types) {
    this.#types = types
    this.#layouts = new CLayouts(types)
  }

  /** Keeps a name of a function from those of types and constants. */
  reserve(name: string): void {
    this.#idents.take(name)
  }

  /** What a type with a name is called: struct, union and enum have one set of names in C, all the others another. */
  nameOf(type: BtfType): string {
    let name = this.#names.get(type.id)
    if (name === undefined) {
      const names = type.kind === 'typedef' ? this.#idents : this.#tags
      // __builtin_va_list is what this compiler makes of it, and not what that of the kernel did.
      const builtin = type.kind === 'typedef' && type.name.startsWith('__builtin_')
      name = names.take(builtin ? `${type.name}___btf` : identifier(type.name))
      this.#names.set(type.id, name)
    }
    return name
  }

  /** Whether the constants of an enum have been written, by itself or in something else. */
  hasWritten(type: BtfType): boolean {
    return this.#enums.has(type.id)
  }

  /** `struct name;` */
  forward(type: BtfType): string {
    return `${this.#keyword(type)} ${this.nameOf(type)};`
  }

  /** A struct, union, enum or typedef as it is defined, with the semicolon. */
  definition(type: BtfType): string {
    switch (type.kind) {
      case 'struct':
      case 'union':
        return `${this.#record(type, this.nameOf(type), '')};`
      case 'enum':
      case 'enum64':
        if (type.values.length === 0) return this.forward(type)
        return `${this.#enum(type, type.name === '' ? '' : this.nameOf(type), '')};`
      case 'typedef':
        return `typedef ${this.declare(type.type, this.nameOf(type))};`
      case 'fwd':
        return this.forward(type)
      case 'func':
        return `${type.linkage === 'static' ? 'static' : 'extern'} ${this.declare(type.type, identifier(type.name))};`
      case 'var':
        return `${type.linkage === 'static' ? 'static' : 'extern'} ${this.declare(type.type, identifier(type.name), '', true)};`
      default:
        return `${this.declare(type.id, '')};`
    }
  }

  /**
   * A declaration of something of that type: `const char *names[16]`; the type alone where there is no name. `open` is
   * whether an array of no elements is one of any number.
   */
  declare(id: number, name: string, indent = '', open = false): string {
    const text = this.#types.deeper(id, () => this.#declare(id, name, indent, open))
    this.#types.spend(id, text.length)
    return text
  }

  /** C is written from the name outwards, and what points binds less than brackets behind. */
  #declare(id: number, name: string, indent: string, open: boolean): string {
    let inner = name
    let pointer = false
    let outermost = true
    // Of what comes next, the outermost first.
    let qualifiers: string[] = []
    let type = this.#types.defined(id)
    for (let depth = 0; ; depth++) {
      switch (type.kind) {
        case 'const':
        case 'volatile':
        case 'restrict':
          if (!qualifiers.includes(type.kind)) qualifiers.push(type.kind)
          break
        case 'type_tag':
          qualifiers.push(`__attribute__((${type.attribute ? type.name : `btf_type_tag("${type.name}")`}))`)
          break
        case 'ptr': {
          const own = qualifiers.reverse().join(' ')
          inner = own === '' ? `*${inner}` : inner === '' ? `*${own}` : `*${own} ${inner}`
          qualifiers = []
          pointer = true
          outermost = false
          break
        }
        case 'array':
          // Qualifiers are those of the elements: C has no others.
          inner = `${pointer ? `(${inner})` : inner}[${open && outermost && type.length === 0 ? '' : type.length}]`
          pointer = false
          outermost = false
          break
        case 'func_proto':
          inner = `${pointer ? `(${inner})` : inner}(${this.#params(type, indent)})`
          pointer = false
          outermost = false
          // With these GCC tells functions that do not return; C has none of them.
          qualifiers = []
          break
        default:
          return joined(this.#base(type, indent), qualifiers, inner)
      }
      if (depth > 1000) throw new BtfError(this.#types.btf.name, `type ${id} is made from itself`)
      type = this.#types.defined('returns' in type ? type.returns : type.type)
    }
  }

  #params({ params, variadic }: BtfFuncProto, indent: string): string {
    const each = params.map((param) => this.declare(param.type, identifier(param.name), indent))
    if (variadic && each.length > 0) each.push('...')
    return each.length === 0 && !variadic ? 'void' : each.join(', ')
  }

  /** What a declaration begins with. */
  #base(type: BtfType, indent: string): string {
    switch (type.kind) {
      case 'void':
        return 'void'
      case 'int':
        return intName(type)
      case 'float':
        return type.name
      case 'typedef':
        return this.nameOf(type)
      case 'struct':
      case 'union':
        return type.name === '' ? this.#record(type, '', indent) : `${type.kind} ${this.nameOf(type)}`
      case 'enum':
      case 'enum64':
        return type.name === '' ? this.#enum(type, '', indent) : `enum ${this.nameOf(type)}`
      case 'fwd':
        return `${type.of} ${this.nameOf(type)}`
      default:
        throw new BtfError(this.#types.btf.name, `type ${type.id}, ${type.kind} ${type.name}, is no type of a variable`)
    }
  }

  #keyword(type: BtfType): string {
    if (type.kind === 'fwd') return type.of
    return type.kind === 'enum64' ? 'enum' : type.kind
  }

  #record(type: BtfStruct | BtfUnion, name: string, indent: string): string {
    return this.#types.deeper(type.id, () => {
      const { parts, packed, aligned } = this.#layouts.of(type)
      const inside = `${indent}\t`
      let text = `${type.kind}${name === '' ? '' : ` ${name}`} {`
      const last = parts.length - 1
      for (const [i, part] of parts.entries()) {
        // An array of any length: C has it at the end of structs that have something else.
        const open = type.kind === 'struct' && i === last && i > 0
        const line = 'padding' in part ? paddingText(part) : this.#member(part, inside, open)
        text += `\n${inside}${line};`
      }
      text += parts.length === 0 ? '}' : `\n${indent}}`
      const attributes = [...(packed ? ['packed'] : []), ...(aligned === undefined ? [] : [`aligned(${aligned})`])]
      return attributes.length === 0 ? text : `${text} __attribute__((${attributes.join(', ')}))`
    })
  }

  #member({ name, type, bits }: Field, indent: string, open: boolean): string {
    if (bits !== undefined) return `${this.declare(type, identifier(name), indent)}: ${bits}`
    if (name !== '') return this.declare(type, identifier(name), indent, open)
    // A struct with a name as an anonymous member (-fms-extensions) is to the C of others what it has in it.
    const behind = this.#types.resolve(type)
    if (behind.kind === 'struct' || behind.kind === 'union') {
      if (behind.name === '' && !this.#types.isNamed(type)) return this.declare(type, '', indent)
      return this.#record(behind, '', indent)
    }
    throw new BtfError(this.#types.btf.name, `type ${type}, ${behind.kind}, is that of a member without a name`)
  }

  #enum(type: BtfEnum | BtfEnum64, name: string, indent: string): string {
    this.#enums.add(type.id)
    let text = `enum${name === '' ? '' : ` ${name}`} {\n`
    for (const constant of type.values) {
      this.#types.spend(type.id, constant.name.length)
      const own = this.#idents.take(identifier(constant.name))
      text += `${indent}\t${own} = ${literal(constant.value)},\n`
    }
    text += `${indent}}`
    const wide = type.values.some(({ value }) => value > 0xffff_ffffn || value < -0x8000_0000n)
    const mode = ENUM_MODES[type.size]
    return type.size === (wide ? 8 : 4) || mode === undefined ? text : `${text} __attribute__((mode(${mode})))`
  }
}

function paddingText(part: CPadding): string {
  return 'bits' in part ? `${part.padding}: ${part.bits}` : `${part.padding} ${part.name}[${part.bytes}]`
}

/** Attributes are behind what they say something of, const and its like before. */
function joined(base: string, qualifiers: readonly string[], inner: string): string {
  let text = base
  for (const qualifier of qualifiers.toReversed()) {
    // Only of pointers; behind them something is left of it in the BTF of some compilers.
    if (qualifier === 'restrict') continue
    text = qualifier.startsWith('__attribute__') ? `${text} ${qualifier}` : `${qualifier} ${text}`
  }
  return inner === '' ? text : `${text} ${inner}`
}

/** C has no negative literals: the least value is one less than the one before it. */
function literal(value: number | bigint): string {
  if (typeof value === 'number') return String(value)
  if (value === -0x8000_0000_0000_0000n) return '-9223372036854775807LL - 1'
  if (value > 0x7fff_ffff_ffff_ffffn) return `${value}ULL`
  return value > 0xffff_ffffn || value < -0x8000_0000n ? `${value}LL` : String(value)
}

/** Integers are told by their names where C has these, else by what they are. */
export function intName(type: BtfInt): string {
  if (type.encoding === 'bool') return '_Bool'
  // DWARF's order of words, '__int128 unsigned', is one that C takes too.
  if (C_INT.test(type.name)) return type.name
  const signed = SIGNED[type.size] ?? 'long long'
  if (type.encoding === 'signed') return signed
  return type.size === 1 ? 'unsigned char' : `unsigned ${signed}`
}
