import { BtfError } from '../error'
import type { BtfType } from '../types'
import type { CText } from './c-text'
import { fieldsOf, type Types } from './types'

type State = 'open' | 'done'

/** Pointers, arrays and qualifiers one behind the other: more are a circle. */
const MOST_BEHIND = 1000

/**
 * Declarations in an order that compiles. A type is needed whole where something is of it or holds it, and by its name
 * alone where something points to it; typedefs and enums have no such half, and are defined before whatever names them.
 */
export class CHeader {
  readonly #types: Types
  readonly #text: CText
  readonly #out: string[] = []
  /** Types with names that are being defined, or have been. */
  readonly #states = new Map<number, State>()
  /** Structs and unions that have been declared, or defined. */
  readonly #declared = new Set<number>()

  constructor(types: Types, text: CText) {
    this.#types = types
    this.#text = text
  }

  /** What has been written, with an empty line between one and the next. */
  get text(): string {
    return this.#out.join('\n\n')
  }

  add(text: string): void {
    this.#out.push(text)
  }

  /** A type with a name, after all that it needs. */
  define(type: BtfType): void {
    switch (type.kind) {
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'typedef':
      case 'fwd':
        this.#define(type)
        break
      default:
        this.need(type.id, true)
    }
  }

  /** A function, or a variable, after what it needs. */
  declare(type: BtfType): void {
    this.need(type.id, true)
    this.add(this.#text.definition(type))
  }

  #define(type: BtfType): void {
    const state = this.#states.get(type.id)
    if (state === 'done') return
    if (state === 'open')
      throw new BtfError(this.#types.btf.name, `type ${type.id}, ${type.kind} ${type.name}, is in itself`)
    this.#states.set(type.id, 'open')
    this.#types.deeper(type.id, () => {
      if (type.kind === 'struct' || type.kind === 'union') this.#needMembers(type)
      else if (type.kind === 'typedef') this.need(type.type, false)
    })
    this.#states.set(type.id, 'done')
    if (type.kind === 'fwd') {
      this.#forward(this.#types.definition(type))
    } else {
      this.#declared.add(type.id)
      this.add(guarded(type, this.#text.definition(type)))
    }
  }

  #forward(type: BtfType): void {
    if (this.#declared.has(type.id)) return
    this.#declared.add(type.id)
    this.add(this.#text.forward(type))
  }

  #needMembers(type: BtfType & { readonly kind: 'struct' | 'union' }): void {
    for (const field of fieldsOf(this.#types, type)) {
      const behind = field.name === '' ? this.#types.resolve(field.type) : undefined
      // What is anonymous here is written out here, also where it has a name elsewhere.
      if (behind?.kind === 'struct' || behind?.kind === 'union')
        this.#types.deeper(behind.id, () => this.#needMembers(behind))
      else this.need(field.type, true)
    }
  }

  /** Sees to what must be there before something of that type is written; `whole` is whether its size must be known. */
  need(id: number, whole: boolean): void {
    this.#types.deeper(id, () => this.#need(this.#types.defined(id), whole))
  }

  #need(start: BtfType, whole: boolean): void {
    let type: BtfType | undefined = start
    let sized = whole
    for (let depth = 0; type !== undefined; depth++) {
      if (depth > MOST_BEHIND) throw this.#types.tooDeep(start.id)
      // What points stands between here and a size; arrays are of nothing that is only declared, also where pointed to.
      if (type.kind === 'ptr' || type.kind === 'func_proto') sized = false
      else if (type.kind === 'array') sized = true
      type = this.#needOne(type, sized)
    }
  }

  /** Sees to a type itself; returns the one behind it that is still to be seen to. */
  #needOne(type: BtfType, sized: boolean): BtfType | undefined {
    switch (type.kind) {
      case 'typedef':
        this.#define(type)
        return sized ? this.#types.defined(type.type) : undefined
      case 'ptr':
      case 'array':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
      case 'func':
      case 'var':
        return this.#types.defined(type.type)
      case 'func_proto':
        for (const param of type.params) this.need(param.type, false)
        return this.#types.defined(type.returns)
      case 'struct':
      case 'union':
        if (type.name === '') this.#types.deeper(type.id, () => this.#needMembers(type))
        else if (sized) this.#define(type)
        else this.#forward(type)
        return undefined
      case 'enum':
      case 'enum64':
        if (type.name !== '') this.#define(type)
        return undefined
      case 'fwd':
        this.#forward(type)
        return undefined
      default:
        return undefined
    }
  }
}

/** bool, true and false are keywords of C23, and no others can have the name. */
const C23 = /^typedef _Bool bool;$|^enum \{\s+false = 0,\s+true = 1,\s+\};$/

function guarded(type: BtfType, text: string): string {
  if (type.kind !== 'typedef' && type.kind !== 'enum') return text
  if (!C23.test(text)) return text
  return `#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L\n${text}\n#endif`
}
