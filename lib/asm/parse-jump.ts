import { BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL } from '../../syscalls/uapi-prog'
import { bounded, type Constant, constant, extended32, immediate32, isConstantNext, LOAD_FIRST } from './constant'
import { helperName, helperNumber } from './helpers'
import { kernelSymbol } from './interpolated'
import { isCode } from './listing'
import { CALL, JA, JCOND, JMP, JMP32, JUMP_TEXT, X } from './opcodes'
import type { Parser } from './parser'
import { COMPARING, HALF } from './scanner'

const COMPARISONS: ReadonlyMap<string, number> = new Map(
  JUMP_TEXT.flatMap((text, at): [string, number][] => (text === undefined ? [] : [[text, at << 4]])),
)

/** Where a jump goes: a distance, or undefined for a label, which has been noted. */
interface Target {
  readonly distance: number | undefined
  /** As the kernel writes it: `pc+5`. */
  readonly kernels: boolean
}

/** `if r1 == 5 goto out`, behind the if. */
export function parseIf(parser: Parser): undefined {
  const dst = parser.register()
  if (dst < 0) parser.expected('a register')
  const text = parser.operator(COMPARING)
  const comparison = COMPARISONS.get(text)
  if (comparison === undefined) return parser.expected(`a comparison (${[...COMPARISONS.keys()].join(' ')})`)
  parser.take(text)
  const half = dst >= HALF
  const code = (half ? JMP32 : JMP) | comparison
  const at = parser.position
  const src = parser.register()
  const value = src < 0 ? constant(parser) : 0
  if (src >= 0 && src >= HALF !== half) parser.fail('32 bits (wN) and 64 bits (rN) cannot be compared', at)
  if (!parser.takeWord('goto')) parser.expected('goto')
  const { distance = 0, kernels } = parseTarget(parser, 16)
  if (src >= 0) return parser.emit(code | X, dst & 15, src & 15, distance, 0)
  // The kernel writes every immediate of a comparison as 32 bits without a sign.
  const asIs = half || kernels || parser.opcode >= 0
  const imm = asIs ? immediate32(parser, at, value) : extended32(parser, at, value, LOAD_FIRST)
  parser.emit(code, dst & 15, 0, distance, imm)
}

export function parseGoto(parser: Parser, word: 'goto' | 'gotol' | 'may_goto'): undefined {
  const { distance = 0 } = parseTarget(parser, word === 'gotol' ? 32 : 16)
  if (word === 'goto') parser.emit(JMP | JA, 0, 0, distance, 0)
  else if (word === 'gotol') parser.emit(JMP32 | JA, 0, 0, 0, distance)
  else parser.emit(JMP | JCOND, 0, 0, distance, 0)
}

const NUMERIC_LABEL = /(\d+)([bf])(?![\w.$])/y
/** What llvm-objdump adds to a distance: the symbol that it leads to. */
const SYMBOL = /<[^>\n]*>/y

function parseTarget(parser: Parser, bits: 16 | 32): Target {
  const at = parser.position
  const distance = parseDistance(parser, bits)
  if (distance !== undefined) {
    pass(parser, SYMBOL)
    return { distance, kernels: parser.source.text.startsWith('pc', at) }
  }
  NUMERIC_LABEL.lastIndex = at
  const [text, number, direction] = NUMERIC_LABEL.exec(parser.source.text) ?? []
  if (text !== undefined && number !== undefined) {
    parser.position += text.length
    parser.blanks()
    parser.refer(parser.numericLabel(number, direction === 'f', at), at)
    return { distance: undefined, kernels: false }
  }
  const name = parser.word()
  if (name === '') parser.expected('a label, or a distance with its sign (+5)')
  parser.refer(name, at)
  return { distance: undefined, kernels: false }
}

/** `+5`, `-3`, `pc+5`; undefined where a name stands. */
function parseDistance(parser: Parser, bits: 16 | 32): number | undefined {
  const start = parser.position
  if (parser.takeWord('pc') && parser.next !== PLUS && parser.next !== MINUS) parser.position = start
  if (parser.next !== PLUS && parser.next !== MINUS) return undefined
  const at = parser.position
  const limit = 2 ** (bits - 1)
  return bounded(parser, at, constant(parser), -limit, limit - 1, `a jump of ${bits} bits`)
}

const [PLUS, MINUS] = [43, 45]

function pass(parser: Parser, pattern: RegExp): undefined {
  pattern.lastIndex = parser.position
  parser.position += pattern.exec(parser.source.text)?.[0].length ?? 0
  parser.blanks()
}

/** `callx r1`, `gotox r1` (Linux 6.19): to the address in a register. */
export function parseIndirect(parser: Parser, word: 'callx' | 'gotox'): undefined {
  parser.emit(JMP | X | (word === 'callx' ? CALL : JA), parser.wholeRegister(), 0, 0, 0)
}

/** A helper, a function of this text or of other code, or a kernel function. */
export function parseCall(parser: Parser): undefined {
  const at = parser.position
  const value = parser.source.isHole(at) ? parser.source.valueAt(at) : undefined
  if (isCode(value)) {
    parser.position++
    parser.blanks()
    parser.refer(value, at)
    return callFunction(parser, 0)
  }
  const symbol = kernelSymbol(value)
  if (symbol !== undefined) {
    parser.position++
    parser.blanks()
    const referent = symbol.module === undefined ? undefined : ({ kind: 'kfunc', module: symbol.module } as const)
    const id = bounded(parser, at, symbol.btfId, 1, 2 ** 31 - 1, 'a BTF id')
    return parser.emit(JMP | CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id, referent)
  }
  const distance = parseDistance(parser, 32)
  if (distance !== undefined) {
    // bpftool adds the name that the function has.
    pass(parser, /#[\w.$]+|<[^>\n]*>/y)
    return callFunction(parser, distance)
  }
  if (isConstantNext(parser)) return callNumber(parser, at, constant(parser))
  const name = parser.word()
  if (name === '') return parser.expected('a helper, a label, or an interpolated kernel function')
  if (name === 'kernel' && parser.take('-function')) return callNumbered(parser, at, 'kernel-function')
  if (parser.next === HASH) return callNumbered(parser, at, name)
  const number = helperNumber(name)
  if (number !== undefined) return callHelper(parser, number)
  parser.refer(name, at)
  callFunction(parser, 0)
}

const HASH = 35

const callHelper = (parser: Parser, number: number): undefined => parser.emit(JMP | CALL, 0, 0, 0, number)

const callFunction = (parser: Parser, distance: number): undefined =>
  parser.emit(JMP | CALL, 0, BPF_PSEUDO_CALL, 0, distance)

function callNumber(parser: Parser, at: number, number: Constant): undefined {
  callHelper(parser, bounded(parser, at, number, 0, 2 ** 31 - 1, 'the number of a helper'))
}

/** `bpf_map_lookup_elem#1`, as the kernel writes calls; of kernel functions the number is the BTF id. */
function callNumbered(parser: Parser, at: number, name: string): undefined {
  parser.expect('#')
  const numberAt = parser.position
  const number = bounded(parser, numberAt, constant(parser), -(2 ** 31), 2 ** 31 - 1, 'a number of 32 bits')
  const helper = helperNumber(name)
  if (name === 'unknown' || helper === number) return callHelper(parser, number)
  if (helper !== undefined) {
    return parser.fail(`${name} is helper ${helper}, not ${number}: in a dump of xlated code addresses stand here`, at)
  }
  if (helperName(number) !== undefined && name !== 'kernel-function') {
    return parser.fail(`helper ${number} is ${helperName(number)}, not ${name}`, at)
  }
  const slotAt = parser.position
  const slot = parser.take('@') ? bounded(parser, slotAt, constant(parser), -0x8000, 0x7fff, 'a place in fd_array') : 0
  parser.emit(JMP | CALL, 0, BPF_PSEUDO_KFUNC_CALL, slot, number)
}
