/**
 * What the kernel refuses in a type by itself: the check_meta functions of kernel/bpf/btf.c, up to Linux 6.18. Its answer is a
 * bare EINVAL to who does not read its log.
 */
import { KIND_NAMES } from '../format'
import { type BtfDescription, type DescriptionOf, labelOf } from './description'

// include/uapi/linux/btf.h: BTF_MAX_TYPE, BTF_MAX_NAME_OFFSET, BTF_MAX_VLEN; kernel/bpf/btf.c: BTF_MAX_SIZE
export const MOST_TYPES = 0xfffff
export const MOST_STRING_BYTES = 0xffffff
const MOST_PARTS = 0xffff
export const MOST_BYTES = 16 * 1024 * 1024

/** KSYM_NAME_LEN with its NUL. Linux 6.1; 128 before. */
const MOST_NAME_BYTES = 511

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/
/** __btf_name_char_ok takes dots too since Linux 5.2 in sections and variables, and later in all names. */
const DOTTED = /^[A-Za-z_.][A-Za-z0-9_.]*$/
/** btf_name_valid_section: what isprint() takes. */
const PRINTABLE = /^[\x20-\x7e]+$/

const U32 = 0xffff_ffff

/** Throws TypeError, RangeError. `end` is the id behind the last that may be referred to. */
export function checkAlone(type: BtfDescription, end: number): void {
  if (typeof type !== 'object' || type === null) throw new TypeError(`a type is told as { kind: 'int', ... }`)
  const number = KIND_NAMES.indexOf(type.kind as never)
  if (number < 1) throw new TypeError(`'${String(type.kind)}' is no kind of type: ${KIND_NAMES.slice(1).join(', ')}`)
  new Check(type, end).run()
}

class Check {
  constructor(
    private readonly type: BtfDescription,
    private readonly end: number,
  ) {}

  run(): undefined {
    const { type } = this
    switch (type.kind) {
      case 'int':
        return this.#int(type)
      case 'ptr':
      case 'volatile':
      case 'const':
      case 'restrict':
        this.#nameless()
        return this.#reference('type', type.type)
      case 'typedef':
        this.#named(DOTTED)
        return this.#reference('type', type.type)
      case 'type_tag':
        if (type.name === '') this.#fail('it needs a name, which is what the tag says')
        this.#text('name', type.name)
        return this.#reference('type', type.type)
      case 'array':
        this.#nameless()
        this.#reference('type', type.type, 1)
        this.#reference('indexType', type.indexType, 1)
        return this.#u32('length', type.length)
      case 'struct':
      case 'union':
        return this.#composite(type)
      case 'enum':
      case 'enum64':
        return this.#enum(type)
      case 'fwd':
        if (type.of !== 'struct' && type.of !== 'union') this.#fail("`of` is 'struct' or 'union'", TypeError)
        return this.#named(DOTTED)
      case 'func':
        this.#named(DOTTED)
        this.#linkage(type.linkage)
        return this.#reference('type', type.type, 1)
      case 'func_proto':
        return this.#proto(type)
      case 'var':
        this.#named(DOTTED)
        this.#linkage(type.linkage)
        return this.#reference('type', type.type, 1)
      case 'datasec':
        return this.#datasec(type)
      case 'float':
        this.#text('name', type.name)
        if ([2, 4, 8, 12, 16].includes(type.size)) return
        return this.#fail(`a size of ${type.size} bytes: floats have 2, 4, 8, 12 or 16`)
      case 'decl_tag':
        return this.#declTag(type)
    }
  }

  #int(type: DescriptionOf<'int'>): undefined {
    const { size, encoding = 'unsigned', bitOffset = 0, bits = size * 8 } = type
    this.#text('name', type.name)
    if (!['unsigned', 'signed', 'char', 'bool'].includes(encoding)) {
      this.#fail(`an encoding '${encoding}': unsigned, signed, char and bool there are`, TypeError)
    }
    // BITS_PER_U128; btf_int_check_meta.
    if (!Number.isInteger(size) || size < 1 || size > 16) this.#fail(`a size of ${size} bytes: integers have 1 to 16`)
    if (!Number.isInteger(bits) || bits < 1 || !Number.isInteger(bitOffset) || bitOffset < 0) {
      this.#fail(`${bits} bits from bit ${bitOffset} on are no part of an integer`)
    }
    if (bits + bitOffset > size * 8) this.#fail(`${bits} bits from bit ${bitOffset} on do not fit ${size} bytes`)
  }

  #composite(type: DescriptionOf<'struct'> | DescriptionOf<'union'>): undefined {
    if (type.name !== undefined && type.name !== '') this.#named(DOTTED)
    this.#u32('size', type.size)
    this.#parts('members', type.members)
    const withSizes = type.members.some(({ bitfieldSize = 0 }) => bitfieldSize > 0)
    let last = 0
    for (const [i, { name, type: of, bitOffset, bitfieldSize = 0 }] of type.members.entries()) {
      const what = name === '' ? `member ${i}` : `member '${name}'`
      if (name !== '') this.#identifier(what, name, DOTTED)
      this.#reference(what, of, 1)
      this.#u32(`the offset of ${what}`, bitOffset)
      if (!Number.isInteger(bitfieldSize) || bitfieldSize < 0 || bitfieldSize > 128) {
        this.#fail(`${what} is a bit field of ${bitfieldSize} bits`)
      }
      if (withSizes && bitOffset > 0xffffff) this.#fail(`${what} is past 2 MiB, where a struct may have no bit fields`)
      if (type.kind === 'union' && bitOffset !== 0) this.#fail(`${what} is at bit ${bitOffset}: all members are at 0`)
      if (bitOffset < last) this.#fail(`${what} is at bit ${bitOffset}, before the member in front of it`)
      if (Math.ceil(bitOffset / 8) > type.size)
        this.#fail(`${what} is at bit ${bitOffset}, past its ${type.size} bytes`)
      last = bitOffset
    }
  }

  #enum(type: DescriptionOf<'enum'> | DescriptionOf<'enum64'>): undefined {
    const { name = '', size, signed = false, values } = type
    if (name !== '') this.#named(DOTTED)
    if (![1, 2, 4, 8].includes(size)) this.#fail(`a size of ${size} bytes: enums have 1, 2, 4 or 8`)
    this.#parts('values', values)
    const wide = type.kind === 'enum64'
    const most = 1n << ((wide ? 64n : 32n) - (signed ? 1n : 0n))
    for (const { name: constant, value } of values) {
      this.#identifier('a constant', constant, DOTTED)
      const right = wide ? typeof value === 'bigint' : Number.isInteger(value)
      if (!right) this.#fail(`${constant} is ${String(value)}, and no ${wide ? 'bigint' : 'integer'}`, TypeError)
      if (BigInt(value) >= most || BigInt(value) < (signed ? -most : 0n)) {
        this.#fail(
          `${constant} is ${value}, which does not fit ${signed ? 'signed' : 'unsigned'} ${wide ? 64 : 32} bits`,
        )
      }
    }
  }

  #proto(type: DescriptionOf<'func_proto'>): undefined {
    this.#nameless()
    this.#reference('returns', type.returns)
    this.#parts('params', type.params)
    for (const [i, { name, type: of }] of type.params.entries()) {
      if (name !== '') this.#identifier(`parameter ${i}`, name, DOTTED)
      this.#reference(`parameter ${i}`, of, 1)
    }
  }

  #datasec(type: DescriptionOf<'datasec'>): undefined {
    this.#named(PRINTABLE)
    this.#u32('size', type.size)
    if (type.size === 0) this.#fail('it has no size: loading an object puts that of the section there')
    this.#parts('vars', type.vars)
    let end = 0
    for (const [i, { type: of, offset, size }] of type.vars.entries()) {
      const what = `variable ${i}`
      this.#reference(what, of, 1)
      this.#u32(`the offset of ${what}`, offset)
      this.#u32(`the size of ${what}`, size)
      if (size === 0) this.#fail(`${what} has no size`)
      if (offset < end) this.#fail(`${what} is at ${offset}, and the one before it ends at ${end}`)
      end = offset + size
      if (end > type.size) this.#fail(`${what} goes to ${end}, past its ${type.size} bytes`)
    }
  }

  #declTag(type: DescriptionOf<'decl_tag'>): undefined {
    if (type.name === '') this.#fail('it needs a name, which is what the tag says')
    this.#text('name', type.name)
    this.#reference('type', type.type, 1)
    const { component = -1 } = type
    if (!Number.isInteger(component) || component < -1 || component > 0x7fff_ffff) {
      this.#fail(`component ${component}: it counts from 0, and -1 is the whole`)
    }
  }

  /** btf_func_check_meta and btf_var_check_meta: what is elsewhere cannot be loaded. */
  #linkage(linkage = 'static'): undefined {
    if (linkage === 'extern') this.#fail('it is extern, and the kernel takes what is static or global')
    if (linkage !== 'static' && linkage !== 'global') this.#fail(`linkage '${String(linkage)}'`, TypeError)
  }

  #nameless(): undefined {
    const { name = '' } = this.type
    if (name !== '') this.#fail(`it is called '${name}', and has no name of its own`)
  }

  #named(form: RegExp): undefined {
    const { name = '' } = this.type
    if (name === '') this.#fail('it needs a name')
    this.#identifier('its name', name, form)
  }

  #identifier(what: string, name: string, form: RegExp): undefined {
    this.#text(what, name)
    if (form.test(name)) return
    const rule = form === PRINTABLE ? 'printable ASCII' : 'letters, digits, _ and dot, and no digit in front'
    this.#fail(`${what}, ${JSON.stringify(name)}, is none: ${rule}`)
  }

  #text(what: string, text: unknown): undefined {
    if (typeof text !== 'string') this.#fail(`${what} is a string, not ${typeof text}`, TypeError)
    const bytes = Buffer.byteLength(text as string)
    if (bytes > MOST_NAME_BYTES) this.#fail(`${what} has ${bytes} bytes: the kernel takes ${MOST_NAME_BYTES}`)
  }

  #parts(what: string, parts: readonly unknown[]): undefined {
    if (!Array.isArray(parts)) this.#fail(`${what} is a list`, TypeError)
    if (parts.length > MOST_PARTS) this.#fail(`${parts.length} ${what}: a type has up to ${MOST_PARTS}`)
  }

  #u32(what: string, value: number): undefined {
    if (!Number.isInteger(value) || value < 0 || value > U32) this.#fail(`${what} cannot be ${String(value)}`)
  }

  #reference(what: string, id: number, least = 0): undefined {
    if (Number.isInteger(id) && id >= least && id < this.end) return
    if (id === 0) this.#fail(`${what} cannot be void`)
    this.#fail(`${what} is type ${String(id)}, and there are ${this.end - 1}: add it first, or reserve() its id`)
  }

  #fail(reason: string, Kind: typeof TypeError | typeof RangeError = RangeError): never {
    throw new Kind(`${labelOf(this.type)}: ${reason}`)
  }
}

/** Whether the kernel takes it as the name of a member or of an enum's constant, in every version. */
export function isIdentifier(name: string): boolean {
  return IDENTIFIER.test(name) && name.length < 128
}
