/** The smallest programs, as bytes: what specs load that are not about programs. */
import { LE } from '../../syscalls/attr-common'

/** One struct bpf_insn: opcode, dst_reg and src_reg, offset, immediate. */
export function insn(code: number, dst: number, src: number, off: number, imm: number): number[] {
  const bytes = new DataView(new ArrayBuffer(8))
  bytes.setUint8(0, code)
  // Two bit fields of 4 in one byte: dst_reg is the low half where the byte order is little-endian.
  bytes.setUint8(1, LE ? (src << 4) | dst : (dst << 4) | src)
  bytes.setInt16(2, off, LE)
  bytes.setInt32(4, imm, LE)
  return [...new Uint8Array(bytes.buffer)]
}

const MOV64_IMM = 0xb7
const EXIT = 0x95

/** r0 = value; exit */
export function returning(value: number): Uint8Array {
  return Uint8Array.from([...insn(MOV64_IMM, 0, 0, 0, value), ...insn(EXIT, 0, 0, 0, 0)])
}

const MOV64_REG = 0xbf
const STORE_DW_IMM = 0x7a
const LOAD_DW_IMM = 0x18
const CALL = 0x85
const BPF_PSEUDO_MAP_FD = 1
const BPF_FUNC_ringbuf_output = 130

/** Sends 8 bytes, 42, to the ring buffer each time it runs; returns 0. */
export function writingToRingBuffer(mapFd: number): Uint8Array {
  return Uint8Array.from([
    ...insn(STORE_DW_IMM, 10, 0, -8, 42),
    ...insn(LOAD_DW_IMM, 1, BPF_PSEUDO_MAP_FD, 0, mapFd),
    ...insn(0, 0, 0, 0, 0),
    ...insn(MOV64_REG, 2, 10, 0, 0),
    ...insn(0x07, 2, 0, 0, -8), // r2 += -8
    ...insn(MOV64_IMM, 3, 0, 0, 8),
    ...insn(MOV64_IMM, 4, 0, 0, 0),
    ...insn(CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
    ...insn(MOV64_IMM, 0, 0, 0, 0),
    ...insn(EXIT, 0, 0, 0, 0),
  ])
}

/** exit, with r0 never written: what the verifier refuses. */
export function refused(): Uint8Array {
  return Uint8Array.from(insn(EXIT, 0, 0, 0, 0))
}

/** BTF of one type: int, 4 bytes, signed. */
export function smallBtf(): Uint8Array {
  const strings = '\0int\0'
  const view = new DataView(new ArrayBuffer(24 + 16 + strings.length))
  // struct btf_header
  view.setUint16(0, 0xeb9f, LE)
  view.setUint8(2, 1)
  view.setUint32(4, 24, LE)
  view.setUint32(8, 0, LE)
  view.setUint32(12, 16, LE)
  view.setUint32(16, 16, LE)
  view.setUint32(20, strings.length, LE)
  // struct btf_type: name 'int', BTF_KIND_INT, size 4; then BTF_INT_SIGNED and 32 bits
  view.setUint32(24, 1, LE)
  view.setUint32(28, 1 << 24, LE)
  view.setUint32(32, 4, LE)
  view.setUint32(36, (1 << 24) | 32, LE)
  Buffer.from(view.buffer).write(strings, 40, 'latin1')
  return new Uint8Array(view.buffer)
}
