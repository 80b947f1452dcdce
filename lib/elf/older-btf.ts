import { LITTLE } from '../asm/decode'
import { type Btf, BtfError } from '../btf'
import {
  CONST,
  DATASEC,
  DECL_TAG,
  ENUM,
  ENUM64,
  FLOAT,
  FUNC,
  INT,
  kindFlagOf,
  kindOf,
  readHeader,
  STRUCT,
  TYPE_BYTES,
  TYPE_TAG,
  UNION,
  vlenOf,
} from '../btf/format'
import { type BtfKindName, features } from '../features'

/** Whether the kernel takes BTF of a kind. */
export type TakesKind = (kind: BtfKindName) => boolean

/** Whether this kernel does. What cannot be told is tried. */
export const taken: TakesKind = (kind) => features.btf(kind) !== false

/** BTF_FUNC_GLOBAL */
const GLOBAL = 1

const info = (kind: number, vlen = 0): number => ((kind << 24) | vlen) >>> 0

/**
 * Puts types that the kernel does not know in words that it knows, in their place: they keep their ids and sizes
 * (bpf_object__sanitize_btf of libbpf). What programs and maps mean stays as it is; tools that read the kernel's copy see
 * less. `places` is where each type begins.
 */
export function inOlderWords(btf: Btf, view: DataView, places: Uint32Array, takes: TakesKind): void {
  const word = (at: number) => view.getUint32(at, LITTLE)
  const put = (at: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) view.setUint32(at + i * 4, value, LITTLE)
  }
  const answers = new Map<BtfKindName, boolean>()
  const has = (kind: BtfKindName): boolean => {
    let answer = answers.get(kind)
    if (answer === undefined) {
      answer = takes(kind)
      answers.set(kind, answer)
    }
    return answer
  }
  const known = (kind: BtfKindName, its: number) => has(kind) && (!kindFlagOf(its) || has('attribute_tag'))
  for (const at of places) {
    const name = word(at)
    const its = word(at + 4)
    switch (kindOf(its)) {
      case FLOAT:
        // C has no struct of that name: it has none.
        if (!has('float')) put(at, 0, info(STRUCT))
        break
      case DECL_TAG:
        // As long as its place among types: a byte is never too much for a variable (size, then the int's own word).
        if (!known('decl_tag', its)) put(at, name, info(INT), 1, 8)
        break
      case TYPE_TAG:
        // Qualifiers have no names.
        if (!known('type_tag', its)) put(at, 0, info(CONST))
        break
      case ENUM:
        // Whether it has a sign.
        if (kindFlagOf(its) && !has('enum64')) put(at + 4, info(ENUM, vlenOf(its)))
        break
      case ENUM64:
        if (!has('enum64')) {
          put(at + 4, info(UNION, vlenOf(its)))
          // struct btf_enum64 is name, low and high half; struct btf_member is name, type, offset.
          for (let i = 0; i < vlenOf(its); i++) put(at + TYPE_BYTES + i * 12 + 4, smallest(btf, word(at + 8)), 0)
        }
        break
      case FUNC:
        // The linkage is where others have a count.
        if (vlenOf(its) === GLOBAL && !has('func_global')) put(at + 4, info(FUNC))
        break
      case DATASEC:
        if (!SIMPLE.test(btf.string(name)) && !has('section_name')) rename(view, btf, name)
        break
    }
  }
}

/** A type that members may be of, and which is not larger than what they are in. */
function smallest(btf: Btf, room: number): number {
  const found = [...btf.types('int')].find(({ size }) => size <= room)
  if (found !== undefined) return found.id
  throw new BtfError(btf.name, 'this kernel takes no enums of 64 bits, and there is no integer to put in their place')
}

const SIMPLE = /^[A-Za-z0-9_.]*$/

/** Names stand behind one another, each ended by a NUL. */
function rename(view: DataView, btf: Btf, name: number): void {
  const { strings } = readHeader(view, btf.name)
  for (let at = strings.from + name; view.getUint8(at) !== 0; at++) {
    if (!SIMPLE.test(String.fromCharCode(view.getUint8(at)))) view.setUint8(at, '_'.charCodeAt(0))
  }
}
