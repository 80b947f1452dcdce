import { BPF_PSEUDO_FUNC, BPF_PSEUDO_KFUNC_CALL } from '../../syscalls/uapi-prog'
import { readInsn, SLOT_BYTES } from '../asm/decode'
import { ADD, ALU64, ATOMIC, CALL, DIV, END, JMP, JMP32, LDX, LOAD_IMM64, MEMSX, MOD, MOV, STX } from '../asm/opcodes'
import type { Words } from '../features/unsupported'

/**
 * What instructions may ask too much of a kernel by: of what it does not know it says that "reserved fields" are used, or
 * that it counts functions otherwise. Each question once, in the words of `features`.
 */
export function instructionQuestions(insns: Uint8Array): Words[] {
  const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength)
  const asked = new Map<string, Words>()
  for (let at = 0; at < view.byteLength; at += SLOT_BYTES) {
    const { code, src, off, imm } = readInsn(view, at)
    const words = questionOf(code, src, off, imm)
    if (words !== undefined) asked.set(words.join(), words)
    if (code === LOAD_IMM64) at += SLOT_BYTES
  }
  return [...asked.values()]
}

const CLASS = 0x07
const MODE = 0xe0
const OPERATION = 0xf0

function questionOf(code: number, src: number, off: number, imm: number): Words | undefined {
  if (code === LOAD_IMM64) return src === BPF_PSEUDO_FUNC ? ['callbacks'] : undefined
  if (code === (JMP | CALL)) return src === BPF_PSEUDO_KFUNC_CALL ? ['kfuncs'] : undefined
  const mode = code & MODE
  const operation = code & OPERATION
  switch (code & CLASS) {
    case STX:
      // The addition is older, as BPF_XADD.
      return mode === ATOMIC && imm !== ADD ? ['atomics'] : undefined
    case LDX:
      return mode === MEMSX ? V4 : undefined
    case ALU64:
      if (operation === END) return V4
      return off !== 0 && (operation === MOV || operation === DIV || operation === MOD) ? V4 : undefined
    case JMP32:
      return operation === 0 ? V4 : undefined
    default:
      return undefined
  }
}

const V4: Words = ['instructionSet', 'v4']
