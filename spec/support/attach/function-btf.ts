/** BTF for programs with functions: what programs that trace or replace them are told apart by. */
import { btfLoad } from '../../../syscalls'
import { LE } from '../../../syscalls/attr-common'

// enum in include/uapi/linux/btf.h; the linkage of a function stands where others have a count.
const INT = 1
const PTR = 2
const STRUCT = 4
const FUNC = 12
const FUNC_PROTO = 13
const GLOBAL = 1

/** The ids of the types below. */
const INT_ID = 1
const STRUCT_ID = 2
const PTR_ID = 3
const PROTO_ID = 4
/** `int entry(struct xdp_md *ctx)` and `int choose(struct xdp_md *ctx)` */
export const ENTRY_ID = 5
export const CHOOSE_ID = 6

/** Loads it; the caller owns the fd. */
export function loadFunctionBtf(): number {
  const strings = '\0int\0xdp_md\0data\0ctx\0entry\0choose\0'
  const name = (text: string) => strings.indexOf(`\0${text}\0`) + 1
  const info = (kind: number, count = 0) => (kind << 24) | count
  const types = [
    ...[name('int'), info(INT), 4, (1 << 24) | 32],
    ...[name('xdp_md'), info(STRUCT, 1), 4, name('data'), INT_ID, 0],
    ...[0, info(PTR), STRUCT_ID],
    ...[0, info(FUNC_PROTO, 1), INT_ID, name('ctx'), PTR_ID],
    ...[name('entry'), info(FUNC, GLOBAL), PROTO_ID],
    ...[name('choose'), info(FUNC, GLOBAL), PROTO_ID],
  ]
  const view = new DataView(new ArrayBuffer(24 + types.length * 4 + strings.length))
  view.setUint16(0, 0xeb9f, LE)
  view.setUint8(2, 1)
  const words = [24, 0, types.length * 4, types.length * 4, strings.length, ...types]
  for (const [i, word] of words.entries()) view.setUint32(4 + i * 4, word, LE)
  Buffer.from(view.buffer).write(strings, 24 + types.length * 4, 'latin1')
  return btfLoad({ btf: view.buffer })
}

/** Which function begins at which instruction, as BPF_PROG_LOAD takes it. */
export function functionInfo(prog_btf_fd: number, functions: Readonly<Record<number, number>>) {
  const func_info = Uint32Array.from(
    Object.entries(functions).flatMap(([instruction, id]) => [Number(instruction), id]),
  )
  return { prog_btf_fd, func_info, func_info_rec_size: 8 }
}
