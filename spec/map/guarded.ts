/** BTF of a value that the kernel finds a lock in: written by hand, as no other thing of the library's makes any. */
import { LE } from '../../syscalls/attr-common'

const KIND_INT = 1 << 24
const KIND_STRUCT = 4 << 24

/** Ids of the key and of `struct guarded { struct bpf_spin_lock lock; unsigned int a; unsigned long long b }`. */
export const KEY_ID = 1
export const GUARDED_ID = 4

export function guardedBtf(): Uint8Array {
  const names = ['', 'unsigned int', 'unsigned long long', 'bpf_spin_lock', 'val', 'guarded', 'lock', 'a', 'b']
  const at = (name: string) => names.slice(0, names.indexOf(name)).join('\0').length + 1
  const strings = `${names.join('\0')}\0`
  const types = [
    ...[at('unsigned int'), KIND_INT, 4, 32], // 1
    ...[at('unsigned long long'), KIND_INT, 8, 64], // 2
    ...[at('bpf_spin_lock'), KIND_STRUCT | 1, 4, at('val'), 1, 0], // 3
    ...[at('guarded'), KIND_STRUCT | 3, 16, at('lock'), 3, 0, at('a'), 1, 32, at('b'), 2, 64], // 4
  ]
  const view = new DataView(new ArrayBuffer(24 + types.length * 4 + strings.length))
  view.setUint16(0, 0xeb9f, LE)
  view.setUint8(2, 1)
  for (const [i, word] of [24, 0, types.length * 4, types.length * 4, strings.length].entries()) {
    view.setUint32(4 + i * 4, word, LE)
  }
  for (const [i, word] of types.entries()) view.setUint32(24 + i * 4, word, LE)
  Buffer.from(view.buffer).write(strings, 24 + types.length * 4, 'latin1')
  return new Uint8Array(view.buffer)
}
