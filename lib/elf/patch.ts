import {
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
} from '../../syscalls/uapi-prog'
import { LITTLE, readInsn, writeConstant, writeInsn } from '../asm/decode'
import { SLOT } from './functions'
import { CALL, LD_IMM64 } from './link-code'

/** What takes the place of a reference, once it is known. */
export type Resolved =
  | { readonly map: number }
  | { readonly mapValue: number; readonly offset: number }
  | { readonly constant: bigint }
  /** A variable of the kernel's, by its BTF id; in a module by the fd of the module's BTF. */
  | { readonly kernelVariable: number; readonly moduleFd: number }
  /** A function of the kernel's, by its BTF id; in a module by the place of its BTF in the fd array. */
  | { readonly kernelFunction: number; readonly place: number }
  /** A function, or a map, that is not there: the verifier refuses it where it is reached, and is told what it was. */
  | { readonly poison: { readonly what: string; readonly reason: string } }

/** Nobody's helper, as libbpf marks a call of a weak function that the kernel has not got. */
const POISONED_CALL = 2002000000

/** Fills a reference in. */
export function fillIn(view: DataView, slot: number, resolved: Resolved): void {
  const at = slot * SLOT
  if ('map' in resolved) load(view, at, BPF_PSEUDO_MAP_FD, resolved.map, 0)
  else if ('mapValue' in resolved) load(view, at, BPF_PSEUDO_MAP_VALUE, resolved.mapValue, resolved.offset)
  else if ('constant' in resolved) {
    const { constant } = resolved
    load(view, at, 0, Number(BigInt.asIntN(32, constant)), Number(BigInt.asIntN(32, constant >> 32n)))
  } else if ('kernelVariable' in resolved) load(view, at, BPF_PSEUDO_BTF_ID, resolved.kernelVariable, resolved.moduleFd)
  else if ('kernelFunction' in resolved) {
    const { kernelFunction, place } = resolved
    const insn = readInsn(view, at)
    writeInsn(view, at, { ...insn, src: BPF_PSEUDO_KFUNC_CALL, off: place, imm: kernelFunction })
  } else {
    const wide = view.getUint8(at) === LD_IMM64
    for (const each of wide ? [at, at + SLOT] : [at]) {
      writeInsn(view, each, { code: CALL, dst: 0, src: 0, off: 0, imm: POISONED_CALL })
    }
  }
}

/** The load of a 64-bit constant, by its halves. */
function load(view: DataView, at: number, src: number, low: number, high: number): void {
  writeConstant(view, at, src, low)
  view.setInt32(at + SLOT + 4, high, LITTLE)
}
