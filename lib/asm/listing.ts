import type { HasFd } from '../handle/fd-of'
import type { Code } from './code'
import type { Source } from './source'

/** What an instruction takes from an object when the bytes are made. */
export type Referent =
  | { readonly kind: 'map'; readonly map: HasFd }
  | { readonly kind: 'value'; readonly map: HasFd }
  | { readonly kind: 'kfunc'; readonly module: HasFd }
  | { readonly kind: 'variable'; readonly module: HasFd }

/** One instruction, under the kernel's names; jumps and calls count slots of 8 bytes from the next instruction on. */
export class Insn {
  constructor(
    readonly code: number,
    readonly dst: number,
    readonly src: number,
    readonly off: number,
    readonly imm: number,
    /** Two slots: a 64-bit immediate, whose upper half is `next`. */
    readonly wide: boolean,
    readonly next: number,
    readonly referent: Referent | undefined,
    readonly source: Source | undefined,
    readonly position: number,
  ) {}

  /** The same with another target of its jump, call or function address. */
  aimed(off: number, imm: number): Insn {
    const { code, dst, src, wide, next, referent, source, position } = this
    return new Insn(code, dst, src, off, imm, wide, next, referent, source, position)
  }
}

/** An instruction that aims at a place known by a name, or at a function that is code of its own. */
export interface Reference {
  /** Of the instruction, in the list and in slots. */
  readonly index: number
  readonly slot: number
  readonly target: string | Code
  readonly source: Source
  /** Where the name stands. */
  readonly position: number
}

/** A slot that something aims at, by its name. */
export interface Mark {
  readonly slot: number
  readonly name: string
  /** It is called, or its address is taken. */
  readonly isFunction: boolean
}

/** Instructions in their order, and what of them is known of by name. */
export interface Listing {
  readonly insns: readonly Insn[]
  /** Slots of 8 bytes. */
  readonly length: number
  readonly marks: readonly Mark[]
  /** Labels of this text, also those that nothing aims at: for messages. */
  readonly labels: readonly string[]
  /** What this text aims at and does not have. */
  readonly open: readonly Reference[]
  /** A name for the first instruction, where it has a label. */
  readonly name: string | undefined
}

/** The method of a Code that gives its own instructions, without the functions it calls. */
export const listing = Symbol('listing')

/** By its method, not by its class: the classes of the assembler import one another. */
export function isCode(value: unknown): value is Code {
  return typeof value === 'object' && value !== null && listing in value
}
