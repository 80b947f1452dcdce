import {
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
} from '../../syscalls/uapi-prog'
import { bounded, type Constant, constant, halves } from './constant'
import { LITTLE, readInsn } from './decode'
import { kernelSymbol, mapLike, mapValue } from './interpolated'
import { isCode } from './listing'
import type { Parser } from './parser'
import { brief } from './source'

/** Constants of 64 bits: numbers, and what the kernel puts an address in place of. */

/** `r1 = ${map} ll`, from the value on; or a number that has been read, with its `ll`. */
export function parseWide(parser: Parser, dst: number, read?: { value: Constant; at: number }): undefined {
  if (read !== undefined) {
    const { low, high } = halves(parser, read.at, read.value)
    return parser.emitWide(dst, 0, low, high)
  }
  const at = parser.position
  const value = parser.source.valueAt(at)
  parser.position++
  parser.blanks()
  if (!parser.takeWord('ll')) {
    // Where the kind of value is wrong as well, that is said first.
    checkKind(parser, at, value)
    parser.expected(`ll behind \${${brief(value)}}: its address is a constant of 64 bits`)
  }
  if (isCode(value)) {
    parser.refer(value, at)
    return parser.emitWide(dst, BPF_PSEUDO_FUNC, 0, 0)
  }
  const symbol = kernelSymbol(value)
  if (symbol !== undefined) {
    const id = bounded(parser, at, symbol.btfId, 1, MAX, 'a BTF id')
    const referent = symbol.module === undefined ? undefined : ({ kind: 'variable', module: symbol.module } as const)
    return parser.emitWide(dst, BPF_PSEUDO_BTF_ID, id, 0, referent)
  }
  const place = mapValue(value)
  if (place !== undefined) {
    const offset = bounded(parser, at, place.offset, 0, 2 ** 32 - 1, 'the offset of a map value') | 0
    return parser.emitWide(dst, BPF_PSEUDO_MAP_VALUE, 0, offset, { kind: 'value', map: place.map })
  }
  const map = mapLike(value)
  if (map !== undefined) return parser.emitWide(dst, BPF_PSEUDO_MAP_FD, 0, 0, { kind: 'map', map })
  checkKind(parser, at, value)
}

const MAX = 2 ** 31 - 1

function checkKind(parser: Parser, at: number, value: unknown): undefined {
  const known = (isCode(value) || kernelSymbol(value)) ?? mapValue(value) ?? mapLike(value)
  if (known) return
  parser.fail(`\${${brief(value)}} cannot stand here: numbers, maps, map values, kernel symbols and code can`, at)
}

/** `r1 = name ll`: the address of a function of this text; and the kernel's own `map[...]` and `subprog[...]`. */
export function parseNamed(parser: Parser, dst: number, word: string, at: number): undefined {
  if (parser.next === BRACKET && (word === 'map' || word === 'subprog' || word === 'btf')) {
    return parseBracketed(parser, dst, word)
  }
  if (!parser.takeWord('ll')) {
    parser.position = at
    parser.expected('a register, a number, a load, or a label with ll')
  }
  parser.refer(word, at)
  parser.emitWide(dst, BPF_PSEUDO_FUNC, 0, 0)
}

const BRACKET = 91

/** `map[fd:5]`, `map[fd:5][0]+8`, `map[idx:0]`, `subprog[+3]`, `btf[id:7]`: the ll may be missing. */
function parseBracketed(parser: Parser, dst: number, word: string): undefined {
  parser.expect('[')
  if (word === 'subprog') emitPseudo(parser, dst, BPF_PSEUDO_FUNC, field(parser), 0)
  else if (word === 'map') parseMap(parser, dst)
  else {
    const id = named(parser, 'id')
    const fd = parser.take(',') ? named(parser, 'fd') : 0
    emitPseudo(parser, dst, BPF_PSEUDO_BTF_ID, id, fd)
  }
}

function parseMap(parser: Parser, dst: number): undefined {
  const at = parser.position
  const word = parser.word()
  if (word === 'id') parser.fail('a program names maps by fd, not by id: interpolate the map', at)
  if (word !== 'fd' && word !== 'idx') parser.expected('fd or idx')
  parser.expect(':')
  const number = field(parser)
  parser.expect(']')
  const isFd = word === 'fd'
  const isValue = parser.take('[0]') || parser.next === PLUS
  const offset = isValue && parser.take('+') ? field(parser, 0, 2 ** 32 - 1) | 0 : 0
  const src = isValue
    ? isFd
      ? BPF_PSEUDO_MAP_VALUE
      : BPF_PSEUDO_MAP_IDX_VALUE
    : isFd
      ? BPF_PSEUDO_MAP_FD
      : BPF_PSEUDO_MAP_IDX
  parser.takeWord('ll')
  parser.emitWide(dst, src, number, offset)
}

const PLUS = 43

function emitPseudo(parser: Parser, dst: number, src: number, imm: number, next: number): undefined {
  parser.expect(']')
  parser.takeWord('ll')
  parser.emitWide(dst, src, imm, next)
}

function named(parser: Parser, name: string): number {
  if (!parser.takeWord(name)) parser.expected(name)
  parser.expect(':')
  return field(parser)
}

function field(parser: Parser, low = -(2 ** 31), high = 2 ** 31 - 1): number {
  return bounded(parser, parser.position, constant(parser), low, high, '32 bits')
}

/** `ld_pseudo r1, 1, 5`: how LLVM writes a constant of 64 bits with what it stands for (src_reg). */
export function parsePseudoLoad(parser: Parser): undefined {
  const dst = parser.wholeRegister()
  parser.expect(',')
  const src = bounded(parser, parser.position, constant(parser), 0, 15, 'the 4 bits of src_reg')
  parser.expect(',')
  const at = parser.position
  const { low, high } = halves(parser, at, constant(parser))
  parser.emitWide(dst, src, low, high)
}

/** `.8byte 0x95`: a slot as it is, as a number in the machine's byte order. */
export function parseBytes(parser: Parser): undefined {
  const at = parser.position
  const { low, high } = halves(parser, at, constant(parser))
  const view = new DataView(new ArrayBuffer(8))
  view.setInt32(LITTLE ? 0 : 4, low, LITTLE)
  view.setInt32(LITTLE ? 4 : 0, high, LITTLE)
  const { code, dst, src, off, imm } = readInsn(view, 0)
  parser.emit(code, dst, src, off, imm)
}
