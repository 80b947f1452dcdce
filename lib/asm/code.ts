import { inspect } from 'node:util'
import type { HasFd } from '../handle/fd-of'
import { ClosedError } from '../handle/handle'
import { nearest } from '../text/nearest'
import { SLOT_BYTES, writeInsn } from './decode'
import { AssemblyError, placed } from './error'
import { unknownCall } from './helpers'
import { type CodeFunction, functionsOf, type Layout, labelsOf, layOut, objectsOf } from './layout'
import { type Insn, type Listing, listing, type Reference } from './listing'
import { CALL, JMP } from './opcodes'
import { type Names, printAll } from './print'

/** One instruction, under the names of struct bpf_insn. What depends on an fd is 0 here. */
export interface Instruction {
  /** Its first slot: jumps and line information count slots, and a constant of 64 bits takes two. */
  readonly slot: number
  readonly code: number
  readonly dst: number
  readonly src: number
  readonly off: number
  readonly imm: number
  /** The immediate of the second slot; undefined where there is none. */
  readonly next: number | undefined
}

/** Where an instruction stands in its source. */
export interface CodeLine {
  readonly slot: number
  /** Line and column in the template that has it, from 1: a fragment's lines are the fragment's own. */
  readonly line: number
  readonly column: number
  /** The whole line, without the blanks around it. */
  readonly text: string
}

/**
 * Instructions, made by {@link bpf} or {@link assemble}; they never change. The bytes are made when they are asked for,
 * as the kernel knows maps by fd: the same code can be loaded again with maps that have been opened again.
 */
export class Code {
  readonly #listing: Listing
  #made: Layout | undefined

  /** @internal */
  constructor(own: Listing) {
    this.#listing = own
  }

  /** @internal */
  [listing](): Listing {
    return this.#listing
  }

  get #layout(): Layout {
    this.#made ??= layOut(this.#listing)
    return this.#made
  }

  /** Slots of 8 bytes, as the kernel counts instructions: a constant of 64 bits is two. */
  get length(): number {
    return this.#layout.length
  }

  get instructions(): readonly Instruction[] {
    const { insns, slots } = this.#layout
    return insns.map(({ code, dst, src, off, imm, wide, next }, i) => {
      return { slot: slots[i] as number, code, dst, src, off, imm, next: wide ? next : undefined }
    })
  }

  /** The maps that instructions refer to, each once. */
  get maps(): readonly HasFd[] {
    return objectsOf(this.#layout.insns, ['map', 'value'])
  }

  /** Everything whose fd the instructions need, each once: the maps, and the BTFs of modules. */
  get objects(): readonly HasFd[] {
    return objectsOf(this.#layout.insns, ['map', 'value', 'kfunc', 'variable'])
  }

  /**
   * The BTFs of modules whose functions are called, each once. A call names its module by a place in the fd_array of
   * BPF_PROG_LOAD: the first is at place 1, as 0 means vmlinux.
   */
  get modules(): readonly HasFd[] {
    return objectsOf(this.#layout.insns, ['kfunc'])
  }

  /** The functions, the program itself first, by their first slots: what func_info tells the kernel. */
  get functions(): readonly CodeFunction[] {
    return functionsOf(this.#layout, this.#listing.name)
  }

  /** The line of each instruction: what line_info tells the kernel. */
  get lines(): readonly CodeLine[] {
    const { insns, slots } = this.#layout
    return insns.flatMap(({ source, position }, i) => {
      if (source === undefined) return []
      const { line, column, shown } = source.locate(position)
      return [{ slot: slots[i] as number, line, column, text: shown.trim() }]
    })
  }

  /**
   * The instructions as BPF_PROG_LOAD takes them, with the fds that the maps have now. Errors: AssemblyError (a label
   * that is nowhere), ClosedError (a map that is closed).
   */
  bytes(): Uint8Array {
    const { insns, slots, length, open } = this.#layout
    if (open[0] !== undefined) this.#unknown(open[0])
    const bytes = new Uint8Array(length * SLOT_BYTES)
    const view = new DataView(bytes.buffer)
    let modules: readonly HasFd[] | undefined
    for (let i = 0; i < insns.length; i++) {
      const insn = insns[i] as Insn
      const at = (slots[i] as number) * SLOT_BYTES
      writeInsn(view, at, insn)
      if (insn.wide) writeInsn(view, at + SLOT_BYTES, { code: 0, dst: 0, src: 0, off: 0, imm: insn.next })
      const { referent } = insn
      if (referent === undefined) continue
      if (referent.kind === 'kfunc') {
        modules ??= this.modules
        writeInsn(view, at, { ...insn, off: modules.indexOf(referent.module) + 1 })
      } else if (referent.kind === 'variable') {
        writeInsn(view, at + SLOT_BYTES, { code: 0, dst: 0, src: 0, off: 0, imm: fdAt(insn, referent.module) })
      } else writeInsn(view, at, { ...insn, imm: fdAt(insn, referent.map) })
    }
    return bytes
  }

  #unknown({ target, index, source, position }: Reference): never {
    const name = `${target}`
    if (this.#layout.insns[index]?.code === (JMP | CALL)) throw new AssemblyError(unknownCall(name), source, position)
    const near = nearest(name, new Set([...this.#listing.labels, ...labelsOf(this.#layout).values()]))
    const hint = near === undefined ? '' : `; did you mean ${near}?`
    throw new AssemblyError(`there is no label ${name}${hint}`, source, position)
  }

  /**
   * The program as text, with its labels and with fragments put in. A map is printed as it is found in `maps`:
   * `r1 = ${maps[0]} ll`.
   */
  toString(): string {
    const { insns, slots, open } = this.#layout
    const maps = this.maps
    const modules = this.modules
    const labels = labelsOf(this.#layout)
    const aims = new Map(open.map(({ index, target }) => [index, `${target}`]))
    const names: Names = {
      label: (slot) => labels.get(slot),
      target: (index) => aims.get(index),
      referent: ({ referent, imm, next }) => {
        if (referent === undefined) return undefined
        if (referent.kind === 'map') return `\${maps[${maps.indexOf(referent.map)}]}`
        if (referent.kind === 'value') return `\${{ map: maps[${maps.indexOf(referent.map)}], offset: ${next >>> 0} }}`
        if (referent.kind === 'variable') return `\${{ btfId: ${imm}, module }}`
        return `\${{ btfId: ${imm}, module: modules[${modules.indexOf(referent.module)}] }}`
      },
    }
    return printAll(insns, slots, names, 'llvm')
      .map(({ text, isLabel }) => (isLabel ? text : `  ${text}`))
      .join('\n')
  }

  [inspect.custom](): string {
    const [slots, maps] = [this.length, this.maps.length]
    const head = `Code (${slots} slot${slots === 1 ? '' : 's'}${maps > 0 ? `, ${maps} map${maps > 1 ? 's' : ''}` : ''})`
    const lines = this.toString().split('\n')
    const shown =
      lines.length > SHOWN_LINES
        ? [...lines.slice(0, SHOWN_LINES), `  ... ${lines.length - SHOWN_LINES} more lines`]
        : lines
    return `${head} {\n${shown.join('\n')}\n}`
  }
}

const SHOWN_LINES = 60

/** The fd of an object that an instruction takes; what is closed is told with the place. */
function fdAt({ source, position }: Insn, object: HasFd): number {
  try {
    return fdOf(object)
  } catch (error) {
    if (!(error instanceof ClosedError) || source === undefined) throw error
    throw new ClosedError(placed(error.message, source, position))
  }
}

/** The fd of an object, read now: a closed map throws here. */
function fdOf(given: HasFd): number {
  const fd: unknown = typeof given === 'number' ? given : given.fd
  if (typeof fd !== 'number') throw new TypeError(`the fd of what is interpolated is a number, not ${typeof fd}`)
  if (!Number.isInteger(fd) || fd < 1 || fd > 0x7fff_ffff) throw new RangeError(`${fd} is not the fd of a BPF object`)
  return fd
}
