import { tryBtfLoad } from '../../syscalls/bpf-btf'
import type { ProgLoadFields } from '../../syscalls/bpf-prog'
import { closeFd } from '../../syscalls/fd'
import { type ProgramSource, programTypes } from '../btf/build/program'
import type { Loading } from './options'

/** A program's fields, with BTF that says which line of the source each instruction is from, as long as it is open. */
export interface WithSource extends Disposable {
  readonly fields: ProgLoadFields
  /** Whether an attempt with them came to something about the BTF, not about the program. */
  refused(result: { readonly fd: number } | { readonly log: string }): boolean
}

/** What check_btf_func and check_btf_line complain of (kernel/bpf/verifier.c), before they look at any instruction. */
const ABOUT_BTF =
  /^(?:nonzero .*(?:line_info|func info)|Invalid (?:insn code at )?line_info|missing bpf_line_info|same or smaller insn offset|number of funcs in func_info|func_info BTF section|invalid type id \d+ in func info)/m

/**
 * BTF of a program in the assembler's text; the same fields where its source is not known, the caller has brought BTF, or
 * none can be loaded: without CAP_BPF, before Linux 5.0.
 */
export function withSource({ fields, code }: Loading): WithSource {
  const types = fields.prog_btf_fd === undefined ? programTypes(sourceOf(code, fields.prog_name)) : undefined
  const { fd, errno } = types === undefined ? { fd: -1, errno: -1 } : tryBtfLoad({ btf: types.bytes })
  if (types === undefined || errno !== 0) return { fields, refused: () => false, [Symbol.dispose]() {} }
  return {
    fields: {
      ...fields,
      prog_btf_fd: fd,
      func_info: types.functions,
      func_info_rec_size: 8,
      line_info: types.lines,
      line_info_rec_size: 16,
    },
    refused: (result) => 'log' in result && !('fd' in result) && ABOUT_BTF.test(result.log.slice(0, 4096)),
    // The program keeps what it needs of it.
    [Symbol.dispose]: () => closeFd(fd),
  }
}

/** What `bpf` and `assemble` know of their code; nothing of code by other means. */
function sourceOf(code: Loading['code'], name = 'main'): ProgramSource {
  const { functions = [], lines = [] } = (code ?? {}) as Partial<ProgramSource>
  return { functions: functions.map((each) => (each.offset === 0 ? { ...each, name } : each)), lines }
}
