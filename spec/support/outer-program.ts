import { progLoad } from '../../syscalls/bpf-prog'
import { BPF_PROG_TYPE_SOCKET_FILTER } from '../../syscalls/uapi'
import { insn } from './programs'

/** Instructions with names for the places that jumps go to. */
export class Code {
  readonly #slots: { bytes: number[]; to?: string }[] = []
  readonly #labels = new Map<string, number>()

  add(code: number, dst = 0, src = 0, off = 0, imm = 0, to?: string): this {
    this.#slots.push({ bytes: insn(code, dst, src, off, imm), ...(to === undefined ? {} : { to }) })
    return this
  }

  label(name: string): this {
    this.#labels.set(name, this.#slots.length)
    return this
  }

  /** dst = map, by its fd: two slots. */
  map(dst: number, fd: number): this {
    return this.add(0x18, dst, 1, 0, fd).add(0)
  }

  /** r0 = bpf_map_lookup_elem(r1, r10 + at) */
  lookup(at: number): this {
    return this.add(0xbf, 2, 10).add(0x07, 2, 0, 0, at).add(0x85, 0, 0, 0, 1)
  }

  bytes(): Uint8Array {
    return Uint8Array.from(
      this.#slots.flatMap(({ bytes, to }, i) => {
        if (to === undefined) return bytes
        const target = this.#labels.get(to)
        if (target === undefined) throw new Error(`no label ${to}`)
        const view = new DataView(Uint8Array.from(bytes).buffer)
        view.setInt16(2, target - i - 1, new Uint8Array(Uint16Array.of(1).buffer)[0] === 1)
        return [...new Uint8Array(view.buffer)]
      }),
    )
  }
}

/** What the program counts under index 0, 1 and 2 of its array of u64. */
export const SAME = 0
export const MIXED = 1
export const ABSENT = 2

/**
 * A socket filter that looks key 0 of an outer map up, then keys 0 and 1 of the inner map, both u32, and counts whether
 * it has found the same value under both. Returns the value under key 0.
 */
export function loadOuterReader(outerFd: number, countersFd: number): number {
  const code = new Code()
    .add(0xb7, 8, 0, 0, 0) // r8 = 0: what is returned
    .add(0x62, 10, 0, -4, 0) // *(u32 *)(r10 - 4) = 0
    .map(1, outerFd)
    .lookup(-4)
    .add(0x15, 0, 0, 0, 0, 'absent') // if r0 == 0
    .add(0xbf, 7, 0) // r7 = the inner map
    .add(0xbf, 1, 7)
    .lookup(-4)
    .add(0x15, 0, 0, 0, 0, 'mixed')
    .add(0x61, 8, 0, 0) // r8 = *(u32 *)(r0 + 0)
    .add(0x62, 10, 0, -4, 1) // *(u32 *)(r10 - 4) = 1
    .add(0xbf, 1, 7)
    .lookup(-4)
    .add(0x15, 0, 0, 0, 0, 'mixed')
    .add(0x61, 9, 0, 0) // r9 = *(u32 *)(r0 + 0)
    .add(0x5d, 8, 9, 0, 0, 'mixed') // if r8 != r9
    .add(0xb7, 6, 0, 0, SAME)
    .add(0x05, 0, 0, 0, 0, 'count')
    .label('mixed')
    .add(0xb7, 6, 0, 0, MIXED)
    .add(0x05, 0, 0, 0, 0, 'count')
    .label('absent')
    .add(0xb7, 6, 0, 0, ABSENT)
    .label('count')
    .add(0x63, 10, 6, -8) // *(u32 *)(r10 - 8) = r6
    .map(1, countersFd)
    .lookup(-8)
    .add(0x15, 0, 0, 0, 0, 'out')
    .add(0xb7, 1, 0, 0, 1)
    .add(0xdb, 0, 1, 0, 0) // lock *(u64 *)(r0 + 0) += r1
    .label('out')
    .add(0xbf, 0, 8) // r0 = r8
    .add(0x95)
  return progLoad({ prog_type: BPF_PROG_TYPE_SOCKET_FILTER, insns: code.bytes(), license: 'GPL' })
}
