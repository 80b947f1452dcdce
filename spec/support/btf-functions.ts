import { LE } from '../../syscalls/attr-common'

/** struct bpf_func_info: the first slot of a function, and its BTF id. */
export const FUNC_INFO_BYTES = 8

const INT = 1
const FUNC = 12
const FUNC_PROTO = 13

/**
 * What the kernel wants to know of a program with callbacks: BTF in which each function is one that gives an int, and
 * the bpf_func_info that says where it begins.
 */
export function describeFunctions(functions: readonly { name: string; offset: number }[]): {
  btf: Uint8Array
  funcInfo: Uint8Array
} {
  let strings = '\0int\0'
  // struct btf_type: name, info, size or type; an INT has a word behind it.
  const types = [1, INT << 24, 4, (1 << 24) | 32, 0, FUNC_PROTO << 24, 1]
  for (const { name } of functions) {
    types.push(strings.length, FUNC << 24, 2)
    strings += `${name}\0`
  }
  const header = [24, 0, types.length * 4, types.length * 4, strings.length]
  const view = new DataView(new ArrayBuffer(24 + types.length * 4 + strings.length))
  view.setUint16(0, 0xeb9f, LE)
  view.setUint8(2, 1)
  for (const [i, word] of [...header, ...types].entries()) view.setUint32(4 + i * 4, word, LE)
  Buffer.from(view.buffer).write(strings, 24 + types.length * 4, 'latin1')
  const funcInfo = Uint32Array.from(functions.flatMap(({ offset }, i) => [offset, 3 + i]))
  return { btf: new Uint8Array(view.buffer), funcInfo: new Uint8Array(funcInfo.buffer) }
}
