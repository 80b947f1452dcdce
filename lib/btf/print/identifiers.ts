/** Names as C and TypeScript can have them: BTF of Rust programs, for one, has others. */

/**
 * The keywords of C17 with GNU's own. Those of C23 (bool, true, constexpr ...) are not among them: the kernel's C has no such
 * keywords, and a member that is called otherwise than in the kernel is not found by CO-RE.
 */
const KEYWORDS: ReadonlySet<string> = new Set([
  ...[
    'auto',
    'break',
    'case',
    'char',
    'const',
    'continue',
    'default',
    'do',
    'double',
    'else',
    'enum',
    'extern',
    'float',
  ],
  ...['for', 'goto', 'if', 'inline', 'int', 'long', 'register', 'restrict', 'return', 'short', 'signed', 'sizeof'],
  ...['static', 'struct', 'switch', 'typedef', 'union', 'unsigned', 'void', 'volatile', 'while', 'asm', 'typeof'],
  ...['_Alignas', '_Alignof', '_Atomic', '_Bool', '_Complex', '_Generic', '_Imaginary', '_Noreturn', '_Static_assert'],
  ...['_Thread_local', '__asm__', '__attribute__', '__extension__', '__inline__', '__int128', '__typeof__'],
])

/** A name of BTF as an identifier of C. */
export function identifier(name: string): string {
  const own = /^\w+$/.test(name) ? name : name.replaceAll(/\W/g, '_')
  if (KEYWORDS.has(own)) return `${own}_`
  return /^\d/.test(own) ? `_${own}` : own
}

/**
 * Names that are each given once. Whoever comes second gets `___2` behind, as with libbpf's btf_dump: CO-RE takes what is
 * behind three underscores in the name of a type for no part of it.
 */
export class UniqueNames {
  readonly #times = new Map<string, number>()
  readonly #between: string

  constructor(between = '___') {
    this.#between = between
  }

  take(name: string): string {
    let times = this.#times.get(name) ?? 0
    let own = name
    do {
      times++
      own = times === 1 ? name : `${name}${this.#between}${times}`
      // A name may end so by itself.
    } while (times > 1 && this.#times.has(own))
    this.#times.set(name, times)
    if (own !== name) this.#times.set(own, 1)
    return own
  }
}
