import { endianness } from 'node:os'
import { Insn } from './listing'
import { LOAD_IMM64 } from './opcodes'

/** Instructions are written in the machine's byte order. */
export const LITTLE = endianness() === 'LE'

export const SLOT_BYTES = 8

/** struct bpf_insn */
interface Fields {
  readonly code: number
  readonly dst: number
  readonly src: number
  readonly off: number
  readonly imm: number
}

export function readInsn(view: DataView, at: number): Fields {
  // dst_reg and src_reg are bit fields of 4 in one byte: dst_reg is the low half on little-endian machines.
  const registers = view.getUint8(at + 1)
  const [low, high] = [registers & 15, registers >> 4]
  return {
    code: view.getUint8(at),
    dst: LITTLE ? low : high,
    src: LITTLE ? high : low,
    off: view.getInt16(at + 2, LITTLE),
    imm: view.getInt32(at + 4, LITTLE),
  }
}

export function writeInsn(view: DataView, at: number, { code, dst, src, off, imm }: Fields): void {
  view.setUint8(at, code)
  view.setUint8(at + 1, LITTLE ? (src << 4) | dst : (dst << 4) | src)
  view.setInt16(at + 2, off, LITTLE)
  view.setInt32(at + 4, imm, LITTLE)
}

/** Writes src_reg, which tells what kind of constant it is, and the constant. */
export function writeConstant(view: DataView, at: number, src: number, imm: number): void {
  const registers = view.getUint8(at + 1)
  view.setUint8(at + 1, LITTLE ? (src << 4) | (registers & 15) : (registers & 0xf0) | src)
  view.setInt32(at + 4, imm, LITTLE)
}

/** The instructions in the bytes. A 64-bit constant whose second slot is missing, or is not empty, is not one. */
export function decode(bytes: Uint8Array): Insn[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const insns: Insn[] = []
  for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
    const { code, dst, src, off, imm } = readInsn(view, at)
    const second = at + SLOT_BYTES
    const wide = code === LOAD_IMM64 && second < bytes.length && view.getUint32(second, LITTLE) === 0
    const next = wide ? view.getInt32(second + 4, LITTLE) : 0
    insns.push(new Insn(code, dst, src, off, imm, wide, next, undefined, undefined, 0))
    if (wide) at += SLOT_BYTES
  }
  return insns
}
