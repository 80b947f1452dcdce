import { LITTLE } from '../asm/decode'
import { type Btf, BtfError, type BtfInt } from '../btf'
import { DATASEC, FUNC, FUNC_PROTO, kindOf, STRUCT, TYPE_BYTES, VAR, vlenOf } from '../btf/format'
import { tabulate } from '../tabulate'
import type { ObjectFile } from './object-file'
import { inOlderWords, type TakesKind } from './older-btf'

/** Bytes of a struct btf_var_secinfo: type, offset, size. */
const SECINFO_BYTES = 12

/** Sections of what is not in the object, but in the kernel. */
export const KSYMS = '.ksyms'
export const KCONFIG = '.kconfig'

/** BTF_VAR_STATIC; BTF_VAR_GLOBAL_ALLOCATED; BTF_VAR_GLOBAL_EXTERN, and BTF_FUNC_EXTERN too */
const STATIC = 0
const ALLOCATED = 1
const EXTERN = 2

/**
 * An object's BTF as the kernel takes it. What compilers leave to the loader is filled in (btf_fixup_datasec of libbpf):
 * how long sections are, and where the variables are in them. What is the kernel's own, and only declared, is put in other
 * words, as it takes no types of what is elsewhere; so is what the kernel is too old for, where that is told by `takes`.
 * Ids stay what they are.
 */
export function kernelBtf(file: ObjectFile, btf: Btf, takes?: TakesKind): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(btf.bytes)
  const view = new DataView(bytes.buffer)
  const types = btf.places
  const word = (at: number) => view.getUint32(at, LITTLE)
  const put = (at: number, value: number) => view.setUint32(at, value, LITTLE)
  const placeOf = (id: number) => {
    const place = types[id - btf.firstId]
    if (place === undefined) throw new BtfError(btf.name, `a section or a function refers to type ${id}, which is none`)
    return place
  }
  const hidden = hiddenNames(file)
  const [int] = btf.types('int')
  for (const at of types) {
    if (int !== undefined && isExtern(at, word)) settleExtern({ int, word, put, placeOf, at })
    // The kernel verifies global functions by themselves, whatever they are called with: what nobody else may call is static.
    if (hidden.size > 0 && kindOf(word(at + 4)) === FUNC && hidden.has(btf.string(word(at)))) put(at + 4, FUNC << 24)
    if (kindOf(word(at + 4)) !== DATASEC) continue
    const count = vlenOf(word(at + 4))
    const name = btf.string(word(at))
    const each = tabulate(count, (i) => at + TYPE_BYTES + i * SECINFO_BYTES)
    const section = file.section(name)
    // One that the file has not got has nothing but declarations.
    if (name === KSYMS || name === KCONFIG || (section === undefined && word(at + 8) === 0)) {
      if (int !== undefined) settleExterns({ int, word, put, placeOf, at, each })
      continue
    }
    // '?.struct_ops': kernels before Linux 6.9 take no such name, and one begins a byte further.
    if (name.startsWith('?')) put(at, word(at) + 1)
    if (section === undefined) continue
    // bpftool gen object has filled in the places, of weak ones those that they had before another took theirs.
    const linked = word(at + 8) !== 0
    if (!linked) put(at + 8, section.size)
    for (const variable of each) {
      const its = placeOf(word(variable))
      // Of static ones the compiler has written the place.
      if (kindOf(word(its + 4)) !== VAR || word(its + TYPE_BYTES) === STATIC) continue
      const label = btf.string(word(its))
      const symbol = file.symbolNamed(section, label)
      if (symbol === undefined) {
        if (linked) continue
        throw file.error(
          section.at,
          `variable '${label}' of ${name} is in the BTF, and has no symbol: where it is only declared, bpftool gen object links it`,
        )
      }
      put(variable + 4, symbol.value)
    }
    if (!isInOrder(each, word)) {
      sort(
        each.map((from) => [word(from), word(from + 4), word(from + 8)]),
        each[0] ?? 0,
        put,
      )
    }
  }
  if (takes !== undefined) inOlderWords(btf, view, types, takes)
  return bytes
}

interface Declared {
  /** Some integer that is there. */
  readonly int: BtfInt
  word(at: number): number
  put(at: number, value: number): void
  placeOf(id: number): number
  readonly at: number
}

interface Section extends Declared {
  readonly each: readonly number[]
}

/** Whether it is a variable or a function that is only declared. */
function isExtern(at: number, word: Section['word']): boolean {
  const kind = kindOf(word(at + 4))
  // The linkage of functions is where others have a count.
  return (kind === VAR && word(at + TYPE_BYTES) === EXTERN) || (kind === FUNC && vlenOf(word(at + 4)) === EXTERN)
}

/** The kernel takes no declarations: variables become integers that are there, and functions static. */
function settleExtern({ int, word, put, placeOf, at }: Declared): void {
  if (kindOf(word(at + 4)) === VAR) {
    put(at + TYPE_BYTES, ALLOCATED)
    put(at + 8, int.id)
    return
  }
  put(at + 4, FUNC << 24)
  nameParameters(placeOf(word(at + 8)), word(at), { word, put })
}

/**
 * What bpf_object__collect_externs of libbpf does, with less: the section becomes a struct without a name, whose
 * members stand in the same bytes; variables are integers that are there, and functions static.
 */
function settleExterns({ int, word, put, placeOf, at, each }: Section): void {
  for (const variable of each) {
    const its = placeOf(word(variable))
    if (kindOf(word(its + 4)) === VAR || kindOf(word(its + 4)) === FUNC) {
      settleExtern({ int, word, put, placeOf, at: its })
    }
    // struct btf_member: name, type, offset.
    put(variable, 0)
    put(variable + 4, int.id)
    put(variable + 8, 0)
  }
  put(at, 0)
  put(at + 4, (STRUCT << 24) | each.length)
  put(at + 8, int.size)
}

/** Of functions the kernel wants all parameters named, and declarations leave names out (btf_func_check). */
function nameParameters(proto: number, name: number, { word, put }: Pick<Section, 'word' | 'put'>): void {
  if (kindOf(word(proto + 4)) !== FUNC_PROTO) return
  for (let i = 0; i < vlenOf(word(proto + 4)); i++) {
    const at = proto + TYPE_BYTES + i * 8
    if (word(at) === 0 && word(at + 4) !== 0) put(at, name)
  }
}

/** Names that only the object's own files may call. */
function hiddenNames({ symbols }: ObjectFile): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { hidden, name } of symbols) if (hidden) names.add(name)
  return names
}

/** Whether variables stand in the order of their places, as the kernel wants them. */
function isInOrder(each: readonly number[], word: Section['word']): boolean {
  return each.every((from, i) => i === 0 || word(from + 4) >= word((each[i - 1] as number) + 4))
}

function sort(rows: number[][], from: number, put: (at: number, value: number) => void): void {
  rows.sort((a, b) => (a[1] as number) - (b[1] as number))
  for (const [i, row] of rows.entries()) {
    for (const [j, value] of row.entries()) put(from + i * SECINFO_BYTES + j * 4, value)
  }
}
