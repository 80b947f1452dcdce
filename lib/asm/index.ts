/** The assembler and disassembler of BPF instructions. */
export { Code, type CodeLine, type Instruction } from './code'
export { type DisassembleOptions, disassemble } from './disassemble'
export { AssemblyError } from './error'
export type { KernelSymbol, MapLike, MapValue } from './interpolated'
export type { CodeFunction } from './layout'
export { assemble, bpf, type Interpolated } from './template'
