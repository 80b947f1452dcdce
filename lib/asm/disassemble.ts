import { types } from 'node:util'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { decode, SLOT_BYTES } from './decode'
import { slotsOf } from './layout'
import type { Insn } from './listing'
import { CALL, JMP, LOAD_IMM64 } from './opcodes'
import { type Names, printAll, type Syntax, targetOf } from './print'

export interface DisassembleOptions {
  /** Labels for what jumps and calls lead to, in place of distances. */
  readonly labels?: boolean
  /**
   * `llvm` (the default) as clang and llvm-objdump write; `kernel` as the verifier's log and bpftool do. The assembler
   * takes both.
   */
  readonly syntax?: Syntax
  /** The slot and the opcode before each instruction, as the kernel does: `3: (b7) r0 = 0`. */
  readonly numbers?: boolean
  /**
   * The bytes are not what was loaded, but what the kernel made of it (xlated_prog_insns): maps are ids, and there are
   * instructions that only the kernel writes. Such text is to be read, not to be assembled.
   */
  readonly xlated?: boolean
}

const OPTIONS = optionNames<DisassembleOptions>({ labels: true, syntax: true, numbers: true, xlated: true })

/**
 * The instructions as text, one a line, which {@link assemble} turns back into the same bytes. What is no instruction,
 * or has bits set that the instruction does not use, is printed as `.8byte` with the reason behind it.
 *
 * In the kernel's syntax the text is that of the verifier's log, but for constants of 64 bits, which end in `ll` (and not
 * so with `numbers`, where the opcode tells), and for the objects they stand for: `map[fd:5]`, `subprog[+3]`.
 *
 * Errors: TypeError, RangeError (not whole instructions).
 */
export function disassemble(bytes: Uint8Array, options: DisassembleOptions = {}): string {
  if (!types.isUint8Array(bytes)) throw new TypeError('the bytes of a program are a Uint8Array')
  if (bytes.length % SLOT_BYTES !== 0) {
    throw new RangeError(`${bytes.length} bytes are not whole instructions of ${SLOT_BYTES}`)
  }
  checkKnownOptions(options, OPTIONS)
  const { labels = false, syntax = 'llvm', numbers = false, xlated = false } = options
  if (syntax !== 'llvm' && syntax !== 'kernel')
    throw new TypeError(`the syntax is llvm or kernel, not ${String(syntax)}`)
  const insns = decode(bytes)
  const slots = slotsOf(insns)
  const names = labels ? labelNames(insns, slots, xlated) : new Map<number, string>()
  const told: Names = { label: (slot) => names.get(slot), xlated, numbers }
  return printAll(insns, slots, told, syntax)
    .map(({ text, isLabel }) => (isLabel || !labels ? text : `  ${text}`))
    .join('\n')
}

/** A name for each slot that something aims at, where an instruction begins. */
function labelNames(insns: readonly Insn[], slots: readonly number[], xlated: boolean): Map<number, string> {
  const starts = new Set(slots)
  const names = new Map<number, string>()
  for (const [i, insn] of insns.entries()) {
    const target = targetOf(insn, slots[i] as number, xlated)
    if (target === undefined || !starts.has(target)) continue
    const isFunction = insn.code === (JMP | CALL) || insn.code === LOAD_IMM64
    if (isFunction) names.set(target, `func_${target}`)
    else if (!names.has(target)) names.set(target, `L${target}`)
  }
  return names
}
