import { array, bytes, type Codec, u8 } from '../../codec'
import { makeCodec } from '../../codec/make'
import type { Btf } from '../btf'

/** Whether an array's elements make it a text: `char`, plain or const. As for bpftool, a typedef of char is a number. */
export function isChar(btf: Btf, id: number): boolean {
  // Refuses a circle.
  btf.resolve(id)
  let type = btf.type(id)
  while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'restrict') type = btf.type(type.type)
  // clang and pahole say that char is signed, and tell it from `signed char` by its name.
  return type.kind === 'int' && type.size === 1 && (type.encoding === 'char' || type.name === 'char')
}

/** Whether an array's elements are bytes: `__u8`, `unsigned char` and what is made from them. */
export function isByte(btf: Btf, id: number): boolean {
  const type = btf.resolve(id)
  return type.kind === 'int' && type.size === 1 && type.encoding === 'unsigned' && type.bits === 8
}

/** `__u8[n]`: reads as a Uint8Array; takes one, or an array of numbers. */
export function byteArray(n: number): Codec<unknown> {
  const exact = bytes(n)
  const list = array(u8, n)
  return makeCodec<unknown>({
    name: list.name,
    size: n,
    align: 1,
    write(view, offset, value) {
      if (Array.isArray(value)) list.write(view, offset, value as number[])
      else exact.write(view, offset, value as Uint8Array)
    },
    read: exact.read,
  })
}
