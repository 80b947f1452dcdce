import type { Btf } from '../btf'
import { codecOf } from './codecs'
import type { ConfigValue } from './kernel-config'

/** enum libbpf_tristate */
const TRISTATE = { n: 0, y: 1, m: 2 } as const

const NUMBERS = ': numbers want integers'

/** Of one option: a hostile file may claim what no memory can hold. */
const LARGEST = 65_536

/**
 * A value of the kernel's configuration as bytes of a variable's type: y, m and n for bool, char and enum
 * libbpf_tristate; numbers for integers; text for arrays of char (set_kcfg_value_* of libbpf). Throws RangeError.
 */
export function configBytes(btf: Btf, name: string, typeId: number, value: ConfigValue): Uint8Array {
  const size = btf.sizeOf(typeId)
  if (size > LARGEST)
    throw new RangeError(`${name} has ${size} bytes in the object, and options of kernels up to ${LARGEST}`)
  const type = btf.resolve(typeId)
  const fail = (wanted = ''): never => {
    throw new RangeError(`the kernel's ${name} is ${String(value)}, which does not fit its type in the object${wanted}`)
  }
  const text = typeof value === 'boolean' ? (value ? 'y' : 'n') : String(value)
  if (type.kind === 'array') {
    if (!isChar(btf, type.type)) fail(': of arrays, only those of char hold options')
    const [, quoted = text] = /^"(.*)"$/.exec(text) ?? []
    const encoded = Buffer.from(quoted.replace(/\\(.)/g, '$1'))
    // An array without a length, char CONFIG_X[], is as long as the text.
    const array = new Uint8Array(size === 0 ? encoded.length + 1 : size)
    // As libbpf: what is too long is cut, and always ends with a NUL.
    array.set(encoded.subarray(0, array.length - 1))
    return array
  }
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  if (text === 'y' || text === 'm' || text === 'n') {
    if (type.kind === 'int' && type.encoding === 'bool') {
      if (text === 'm') fail()
      bytes[0] = TRISTATE[text]
    } else if (type.kind === 'int' && size === 1) bytes[0] = text.charCodeAt(0)
    else if (type.kind === 'enum') codecOf(btf, typeId, size).write(view, 0, TRISTATE[text])
    else fail(': y, m and n want bool, char or enum libbpf_tristate')
    return bytes
  }
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return fail()
  if (type.kind !== 'int') return fail(NUMBERS)
  if (type.encoding === 'bool') {
    // The kernel has no such option; what is asked for like one is 0 or 1.
    if (text !== '0' && text !== '1') return fail(NUMBERS)
    bytes[0] = Number(text)
    return bytes
  }
  const number = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
  // Hexadecimal ones are bit patterns.
  const fitted = type.encoding === 'signed' && /x/i.test(text) ? BigInt.asIntN(size * 8, number) : number
  codecOf(btf, typeId, size).write(view, 0, size === 8 ? fitted : Number(fitted))
  return bytes
}

/** Whether a variable can say of an option that it is off: those of other types are there, or the kernel has none. */
export function canBeOff(btf: Btf, typeId: number): boolean {
  const type = btf.resolve(typeId)
  return type.kind === 'enum' || (type.kind === 'int' && type.encoding === 'bool') || isChar(btf, typeId)
}

function isChar(btf: Btf, typeId: number): boolean {
  const type = btf.resolve(typeId)
  return type.kind === 'int' && btf.sizeOf(typeId) === 1
}
