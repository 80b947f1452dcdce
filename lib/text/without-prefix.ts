/** What the kernel's headers put in front of names that the library has without. */
const PREFIXES = ['BPF_', 'BPF_F_', 'BPF_F_TEST_', 'BPF_PROG_TYPE_', 'BPF_MAP_TYPE_']

/** 'write NO_PREALLOC, without BPF_F_' for BPF_F_NO_PREALLOC; undefined where that would be no known name either. */
export function withoutPrefix(name: unknown, known: readonly string[]): string | undefined {
  if (typeof name !== 'string') return undefined
  for (const prefix of PREFIXES) {
    if (!name.startsWith(prefix)) continue
    const rest = name.slice(prefix.length)
    const found = known.find((each) => each === rest || each === rest.toLowerCase())
    if (found !== undefined) return `write ${found}, without ${prefix}`
  }
  return undefined
}
