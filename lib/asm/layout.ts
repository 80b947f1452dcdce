import type { HasFd } from '../handle/fd-of'
import type { Code } from './code'
import { type Insn, isCode, type Listing, listing, type Mark, type Reference, type Referent } from './listing'
import { aim } from './resolve'

/** A function of a program: the first is the program itself, the others are called, or called back. */
export interface CodeFunction {
  readonly name: string
  /** Its first slot. */
  readonly offset: number
}

/** Instructions as they are loaded: behind the program's own stand the functions that are code of their own. */
export interface Layout {
  readonly insns: readonly Insn[]
  /** The slot of each. */
  readonly slots: readonly number[]
  readonly length: number
  readonly marks: readonly Mark[]
  readonly open: readonly Reference[]
}

/** The program's own instructions, then each function once, in the order in which they are first aimed at. */
export function layOut(main: Listing): Layout {
  const insns = [...main.insns]
  const marks = [...main.marks]
  const open: Reference[] = []
  let length = main.length
  const placed = new Map<Code, number>()
  const waiting = [...main.open]
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { target, index, slot } = next
    if (!isCode(target)) {
      open.push(next)
      continue
    }
    let start = placed.get(target)
    if (start === undefined) {
      const part = target[listing]()
      start = length
      placed.set(target, start)
      const first = insns.length
      // Not push(...): a function may have more instructions than a call takes arguments.
      for (const insn of part.insns) insns.push(insn)
      for (const mark of part.marks) marks.push({ ...mark, slot: mark.slot + start })
      for (const reference of part.open) {
        waiting.push({ ...reference, index: reference.index + first, slot: reference.slot + start })
      }
      length += part.length
      marks.push({ slot: start, name: part.name ?? `function_${placed.size}`, isFunction: true })
    }
    insns[index] = aim(insns[index] as Insn, slot, start, next)
  }
  return { insns, slots: slotsOf(insns), length, marks, open }
}

export function slotsOf(insns: readonly Insn[]): number[] {
  let slot = 0
  return insns.map(({ wide }) => {
    const own = slot
    slot += wide ? 2 : 1
    return own
  })
}

/** The functions in their order; where several names aim at one, the first. */
export function functionsOf({ marks }: Layout, name: string | undefined): CodeFunction[] {
  const found = new Map<number, string>([[0, name ?? 'main']])
  for (const mark of marks) if (mark.isFunction && !found.has(mark.slot)) found.set(mark.slot, labelText(mark))
  return [...found].sort(([a], [b]) => a - b).map(([offset, text]) => ({ name: text, offset }))
}

/** A numeric label has no name of its own. */
export function labelText({ name, slot }: Mark): string {
  return name.includes(':') ? `L${slot}` : name
}

/** Names for the slots that something aims at; one that two fragments use is told apart by its slot. */
export function labelsOf({ marks }: Layout): Map<number, string> {
  const labels = new Map<number, string>()
  const used = new Set<string>()
  for (const mark of marks) {
    if (labels.has(mark.slot)) continue
    const text = labelText(mark)
    let label = text
    while (used.has(label)) label += `_${mark.slot}`
    used.add(label)
    labels.set(mark.slot, label)
  }
  return labels
}

/** The objects that instructions of these kinds refer to, each once, in their order. */
export function objectsOf(insns: readonly Insn[], kinds: readonly Referent['kind'][]): HasFd[] {
  const found = new Set<HasFd>()
  for (const { referent } of insns) {
    if (referent === undefined || !kinds.includes(referent.kind)) continue
    found.add('map' in referent ? referent.map : referent.module)
  }
  return [...found]
}
