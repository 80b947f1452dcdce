/** The floor of any library over koffi: its bare call, with the attr, key and value where they were at the last call. */
import koffi from 'koffi'
import type { Entries } from '../suites/shared-map'

const BPF_MAP_LOOKUP_ELEM = 1
const BPF_MAP_UPDATE_ELEM = 2
const BPF_MAP_DELETE_ELEM = 3

/** bpf(2) has one number on x86 and one on the architectures of asm-generic. */
const NR_BPF = process.arch === 'x64' ? 321 : 280

type Syscall = (nr: number, command: number, attr: number, size: number) => number

export function koffiEntries(fd: number): Entries {
  const syscall = koffi.load(null).func('int64_t syscall(int64_t, int64_t, uintptr_t, uint64_t)') as Syscall
  const key = new Uint32Array(1)
  const value = new BigUint64Array(1)
  const attr = new BigUint64Array([BigInt(fd), koffi.address(key), koffi.address(value), 0n])
  // koffi sees only addresses: the closures below keep what they point to alive.
  const at = Number(koffi.address(attr))
  return {
    get(k) {
      key[0] = k
      return syscall(NR_BPF, BPF_MAP_LOOKUP_ELEM, at, attr.byteLength) === 0 ? value[0] : undefined
    },
    set(k, v) {
      key[0] = k
      value[0] = v
      return syscall(NR_BPF, BPF_MAP_UPDATE_ELEM, at, attr.byteLength)
    },
    delete(k) {
      key[0] = k
      return syscall(NR_BPF, BPF_MAP_DELETE_ELEM, at, attr.byteLength / 2) === 0 // map_fd and key
    },
  }
}
