import { type ElfSymbol, STB_LOCAL } from '../elf-file/tables'
import type { ObjectFile, ObjectSection } from './object-file'

/** Bytes of an instruction. */
export const SLOT = 8

/** A function of an object: its instructions stand in one piece. */
export interface ObjectFunction {
  readonly name: string
  readonly section: ObjectSection
  /** Where its symbol stands in the file, for messages. */
  readonly at: number
  /** Its first byte within the section, and the one behind its last. */
  readonly from: number
  readonly to: number
  /** Seen by nobody outside of the file. */
  readonly local: boolean
}

/** All functions of an object, by where they are. */
export class ObjectFunctions {
  readonly all: readonly ObjectFunction[]
  readonly #bySection = new Map<number, readonly ObjectFunction[]>()

  constructor(readonly file: ObjectFile) {
    const all: ObjectFunction[] = []
    for (const section of file.sections) {
      if (!section.executable || section.size === 0) continue
      const found = this.#read(section)
      this.#bySection.set(section.index, found)
      all.push(...found)
    }
    this.all = all
  }

  /** The function that a byte of a section belongs to; undefined where there is none. */
  holding(section: number, offset: number): ObjectFunction | undefined {
    const all = this.#bySection.get(section) ?? []
    // Those that begin at one place are side by side, and all others apart: only the last ones before it may hold it.
    let [low, high] = [0, all.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((all[middle] as ObjectFunction).from <= offset) low = middle + 1
      else high = middle
    }
    const begins = all[low - 1]?.from
    let found: ObjectFunction | undefined
    for (let i = low - 1; i >= 0 && all[i]?.from === begins; i--) {
      if (offset < (all[i] as ObjectFunction).to) found = all[i]
    }
    return found
  }

  #read(section: ObjectSection): ObjectFunction[] {
    const { file } = this
    if (section.zeros || section.size % SLOT !== 0) {
      throw file.error(section.at, `section ${section.name} has ${section.size} bytes: no whole number of instructions`)
    }
    const symbols = file.functionsOf(section)
    // Where the next one begins: several may begin at one place.
    const ends: number[] = []
    for (let i = symbols.length - 1; i >= 0; i--) {
      const [own, after] = [symbols[i] as ElfSymbol, symbols[i + 1]]
      ends[i] = after === undefined ? section.size : after.value > own.value ? after.value : (ends[i + 1] as number)
    }
    return symbols.map((symbol, i): ObjectFunction => {
      const next = ends[i] as number
      // Assemblers leave the size out: then it goes on to the next.
      const to = symbol.size === 0 ? next : symbol.value + symbol.size
      this.#check(symbol, section, to, next)
      return { name: symbol.name, section, at: symbol.at, from: symbol.value, to, local: symbol.binding === STB_LOCAL }
    })
  }

  #check({ at, name, value }: ElfSymbol, section: ObjectSection, to: number, next: number): void {
    const { file } = this
    if (value % SLOT !== 0 || to % SLOT !== 0 || to === value) {
      throw file.error(at, `function '${name}' is at ${value} to ${to} in section ${section.name}: no instructions`)
    }
    if (to > next) throw file.error(at, `function '${name}' goes on to ${to}, where another has begun at ${next}`)
  }
}
