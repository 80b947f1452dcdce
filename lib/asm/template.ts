import { Code } from './code'
import type { KernelSymbol, MapLike, MapValue } from './interpolated'
import { Parser } from './parser'
import { Source } from './source'

/** What can be put into the text of {@link bpf}. */
export type Interpolated = number | bigint | string | Code | MapLike | MapValue | KernelSymbol

/**
 * A program in the text that the verifier's log, `bpftool prog dump xlated`, llvm-objdump and clang's BPF assembler
 * share: an instruction a line, `name:` for a label, `//`, `;`, `#` and slash-star for comments.
 *
 * ```ts
 * const counter = bpf`
 *         *(u32 *)(r10 - 4) = 0
 *         r1 = ${counts} ll                // a map
 *         r2 = r10
 *         r2 += -4
 *         call bpf_map_lookup_elem         // a helper, by name or number
 *         if r0 == 0 goto out
 *         r1 = ${step}                     // a number
 *         lock *(u64 *)(r0 + 0) += r1
 *   out:  r0 = 0
 *         exit
 * `
 * ```
 *
 * What may be put in:
 * - numbers and bigints, wherever a number can stand; behind letters (`r${6}`) they are part of the word;
 * - maps, and whatever else has an `fd`: `r1 = ${map} ll`; the fd is read when the bytes are made;
 * - the memory of a map's value: `r1 = ${array.at(0)} ll` (Linux 5.2);
 * - other code: on a line of its own it is put there, with labels of its own, as often as one likes; what it aims at
 *   and does not have is looked for in the text around. `call ${code}` and `r2 = ${code} ll` make a function of it,
 *   once, behind the program;
 * - kernel functions and variables, by BTF id: `call ${{ btfId: 1234 }}`, `r1 = ${{ btfId: 99 }} ll`;
 * - strings, as words: registers, labels, names of helpers.
 *
 * An immediate has 32 bits, and 64-bit instructions extend it by its sign: what does not fit is refused, and takes
 * `r1 = ... ll`. Text of up to 8 bytes is a constant too: `r1 = "hello\n" ll`. A leading 0 means octal. Outside of quotes
 * a `\n` ends the line: bpf`r0 = 0\nexit` are two instructions.
 *
 * Errors: AssemblyError, with line and column; a label that is nowhere is told by `bytes()`, as the text around may have
 * it. Needs no kernel: which instructions one knows, its verifier tells.
 */
export function bpf(parts: TemplateStringsArray, ...values: readonly Interpolated[]): Code {
  if (!Array.isArray(parts) || !Array.isArray(parts.raw)) {
    throw new TypeError('bpf is a template tag (bpf`exit`): a string goes to assemble()')
  }
  return new Code(new Parser(new Source(parts.raw, values, unescaped)).program())
}

/** Constants between quotes, which have escapes of their own; comments, which end at a `\n`; and escapes elsewhere. */
const PIECES =
  /"(?:\\.|[^"\\\n])*"|'(?:\\x..|\\.|[^'\\\n])'|\/\*[\s\S]*?\*\/|(?:\/\/|[;#])(?:\\[^n\n]|\\(?=\n)|[^\\\n])*|\\(?:([ntr])|.)/g
/** As long as what they stand for, so that every place in the text stays where it was. */
const BLANKS: Readonly<Record<string, string>> = { n: ' \n', t: ' \t', r: ' \r' }

/**
 * The raw text of a template, with `\n` between instructions as the line's end that it is in any other template.
 * JavaScript's own reading of it would not do: within the assembler's quotes "\xff" is one byte, and "\"" goes on.
 */
function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw
  return raw.replace(PIECES, (piece, blank?: string) => (blank === undefined ? piece : (BLANKS[blank] as string)))
}

/** The same for text from elsewhere, such as a file or a dump. Errors: AssemblyError. */
export function assemble(text: string): Code {
  if (typeof text !== 'string') throw new TypeError(`the text of a program is a string, not ${typeof text}`)
  return new Code(new Parser(new Source([text], [])).program())
}
