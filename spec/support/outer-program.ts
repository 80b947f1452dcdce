import { bpf } from '../../lib/asm'
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
  const lookup = bpf`
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem`
  const code = bpf`
        r8 = 0                      // what is returned
        *(u32 *)(r10 - 4) = 0
        r1 = ${{ fd: outerFd }} ll
        ${lookup}
        if r0 == 0 goto absent
        r7 = r0                     // the inner map
        r1 = r7
        ${lookup}
        if r0 == 0 goto mixed
        r8 = *(u32 *)(r0 + 0)
        *(u32 *)(r10 - 4) = 1
        r1 = r7
        ${lookup}
        if r0 == 0 goto mixed
        r9 = *(u32 *)(r0 + 0)
        if r8 != r9 goto mixed
        r6 = ${SAME}
        goto count
mixed:  r6 = ${MIXED}
        goto count
absent: r6 = ${ABSENT}
count:  *(u32 *)(r10 - 4) = r6
        r1 = ${{ fd: countersFd }} ll
        ${lookup}
        if r0 == 0 goto out
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
out:    r0 = r8
        exit`
  return progLoad({ prog_type: BPF_PROG_TYPE_SOCKET_FILTER, insns: code.bytes(), license: 'GPL' })
}
