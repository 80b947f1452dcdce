import { readFileSync } from 'node:fs'

/** Names that are searched for one by one; more of them are found by an index, which takes as long as some ten searches. */
const FEW = 10

const [NEWLINE, SPACE, TAB] = [0x0a, 0x20, 0x09]

/** The symbols of the kernel as /proc/kallsyms has them, read with the first question: some ten megabytes. */
export class KernelSymbols {
  readonly #known = new Map<string, bigint | undefined>()
  #text: Buffer | undefined
  /** All addresses of a name. */
  #index: ReadonlyMap<string, ReadonlySet<bigint>> | undefined

  /** The address of a symbol; undefined where it is not there. Throws RangeError: there are several, or none are told. */
  address(name: string): bigint | undefined {
    if (this.#known.has(name)) return this.#known.get(name)
    this.#text ??= readFileSync('/proc/kallsyms')
    if (this.#known.size >= FEW) this.#index ??= indexOf(this.#text)
    const found = this.#index === undefined ? search(this.#text, name) : (this.#index.get(name) ?? new Set())
    const [address, ...more] = found
    if (more.length > 0) throw new RangeError(`the kernel has ${found.size} symbols called '${name}': which is meant?`)
    // What kptr_restrict hides.
    if (address === 0n) throw new RangeError('the kernel tells no addresses here (kernel.kptr_restrict; CAP_SYSLOG)')
    this.#known.set(name, address)
    return address
  }
}

function search(text: Buffer, name: string): ReadonlySet<bigint> {
  const found = new Set<bigint>()
  const wanted = ` ${name}`
  for (let at = text.indexOf(wanted, 0, 'latin1'); at >= 0; at = text.indexOf(wanted, at + 1, 'latin1')) {
    const end = text[at + wanted.length]
    // A name ends with the line, or with a tab before the module.
    if (end !== NEWLINE && end !== TAB && end !== undefined) continue
    const from = text.lastIndexOf(NEWLINE, at) + 1
    found.add(BigInt(`0x${text.toString('latin1', from, text.indexOf(SPACE, from))}`))
  }
  return found
}

function indexOf(text: Buffer): ReadonlyMap<string, ReadonlySet<bigint>> {
  const index = new Map<string, Set<bigint>>()
  // 'ffffffff81000000 T name', and of a module a tab and its name.
  for (const [, address = '', name = ''] of text.toString('latin1').matchAll(/^([0-9a-f]+) \S (\S+)/gm)) {
    const before = index.get(name)
    if (before === undefined) index.set(name, new Set([BigInt(`0x${address}`)]))
    else before.add(BigInt(`0x${address}`))
  }
  return index
}
