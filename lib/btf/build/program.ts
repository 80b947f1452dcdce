import { endianness } from 'node:os'
import { BtfBuilder } from './builder'
import { isIdentifier, MOST_BYTES } from './check'
import { CodecTypes } from './from-codec'

const LE = endianness() === 'LE'

/** struct bpf_func_info and struct bpf_line_info (include/uapi/linux/bpf.h). */
const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16

/** line_col of struct bpf_line_info: 22 bits of a line, 10 of a column. */
const MOST_LINE = 0x3fffff
const MOST_COLUMN = 0x3ff

/** The verifier prints a line at a time into 1 KiB (BPF_VERIFIER_TMP_LOG_SIZE); what is longer would lose its line end. */
const MOST_TEXT = 200

/** What is known of a program's source. Slots are those of instructions, 8 bytes each. */
export interface ProgramSource {
  /** The program itself first, at slot 0. */
  readonly functions: readonly { readonly name: string; readonly offset: number }[]
  readonly lines: readonly {
    readonly slot: number
    readonly line: number
    readonly column: number
    readonly text: string
  }[]
}

/** BTF of a program, and the records that say which function and which line an instruction belongs to. */
export interface ProgramTypes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly functions: Uint8Array
  readonly lines: Uint8Array
}

/** What stands for the file of a template: where in the caller's file it is, only a stack trace would tell. */
const FILE = 'bpf'

/**
 * Functions and lines of a program in the assembler's text, as BPF_PROG_LOAD takes them. undefined where the kernel would
 * not: each function begins with a line that is known (check_btf_line), and BTF has up to 16 MiB.
 */
export function programTypes({ functions, lines }: ProgramSource): ProgramTypes | undefined {
  const starts = new Set(lines.map(({ slot }) => slot))
  if (lines.length === 0 || lines[0]?.slot !== 0 || functions.some(({ offset }) => !starts.has(offset)))
    return undefined
  const textBytes = lines.reduce((sum, { text }) => sum + 3 * Math.min(text.length, MOST_TEXT) + 1, 0)
  if (textBytes > MOST_BYTES / 2) return undefined
  const builder = new BtfBuilder()
  const int = new CodecTypes(builder, () => false).int('i32')
  const context = builder.add({ kind: 'ptr', type: 0 })
  const entry = builder.add({ kind: 'func_proto', returns: int, params: [{ name: 'ctx', type: context }] })
  const other = builder.add({ kind: 'func_proto', returns: int, params: [] })
  const funcInfo = records(functions.length, FUNC_INFO_BYTES, (i) => {
    const { name, offset } = functions[i] as ProgramSource['functions'][number]
    // Static: the verifier would look at a global one apart from its callers.
    return [offset, builder.add({ kind: 'func', name: legal(name, offset), type: offset === 0 ? entry : other })]
  })
  const file = builder.string(FILE)
  const lineInfo = records(lines.length, LINE_INFO_BYTES, (i) => {
    const { slot, line, column, text } = lines[i] as ProgramSource['lines'][number]
    const place = Math.min(line, MOST_LINE) * (MOST_COLUMN + 1) + Math.min(column, MOST_COLUMN)
    return [slot, file, builder.string(text.slice(0, MOST_TEXT).replaceAll('\0', ' ')), place]
  })
  return { bytes: builder.bytes(), functions: funcInfo, lines: lineInfo }
}

function legal(name: string, offset: number): string {
  return isIdentifier(name) ? name : `function_${offset}`
}

function records(count: number, bytes: number, wordsOf: (i: number) => readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(count * bytes))
  for (let i = 0; i < count; i++) {
    for (const [word, value] of wordsOf(i).entries()) view.setUint32(i * bytes + word * 4, value, LE)
  }
  return new Uint8Array(view.buffer)
}
