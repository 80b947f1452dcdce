/** The other path: what bpftool, which has libbpf's reader in it, finds in BTF. */
import { spawnSync } from 'node:child_process'
import type { BtfInt, BtfMember, BtfType } from '../../lib/btf'
import { pending } from '../support/kernel'

/** A type as `bpftool -j btf dump` prints it. Values of enums are strings here: they have up to 64 bits. */
export type Printed = Readonly<Record<string, unknown>> & { readonly id: number; readonly kind: string }

/** Pending where there is no bpftool, or one that does not know kinds that came with Linux 6.0. */
export function requireBpftool(context: Mocha.Context): void {
  const { stdout } = spawnSync('bpftool', ['version'], { encoding: 'utf8' })
  const [, major] = /^bpftool v(\d+)/.exec(stdout ?? '') ?? []
  if (Number(major ?? 0) < 7) pending(context, 'needs bpftool 7')
}

/** Reads a file with BTF, raw or ELF; of split BTF, with the file of its base. Throws what bpftool says. */
export function dumped(path: string, base?: string): Printed[] {
  const options = base === undefined ? [] : ['-B', base]
  const args = [...options, '-j', 'btf', 'dump', 'file', path]
  const { stdout, status } = spawnSync('bpftool', args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`bpftool ${args.join(' ')}: ${stdout}`)
  const { types } = JSON.parse(stdout.replaceAll(/"val":(-?\d+)/g, '"val":"$1"')) as { types: Printed[] }
  return types.map(corrected)
}

/** bpftool prints unsigned values of 32 bits as if their sign went on to 64. */
function corrected(type: Printed): Printed {
  if (type.kind !== 'ENUM' || type.encoding !== 'UNSIGNED') return type
  const values = type.values as { name: string; val: string }[]
  return { ...type, values: values.map(({ name, val }) => ({ name, val: `${BigInt.asUintN(32, BigInt(val))}` })) }
}

const ENCODINGS: Readonly<Record<BtfInt['encoding'], string>> = {
  unsigned: '(none)',
  signed: 'SIGNED',
  char: 'CHAR',
  bool: 'BOOL',
}

const named = (name: string) => (name === '' ? '(anon)' : name)

/** What bpftool is to print of a type. */
export function printed(type: BtfType): Printed {
  return { id: type.id, kind: type.kind.toUpperCase(), name: named(type.name), ...rest(type) }
}

function rest(type: BtfType): Readonly<Record<string, unknown>> {
  switch (type.kind) {
    case 'int':
      return {
        ...{ size: type.size, bits_offset: type.bitOffset, nr_bits: type.bits },
        encoding: ENCODINGS[type.encoding],
      }
    case 'array':
      return { type_id: type.type, index_type_id: type.indexType, nr_elems: type.length }
    case 'struct':
    case 'union':
      return { size: type.size, vlen: type.members.length, members: type.members.map(member) }
    case 'enum':
    case 'enum64': {
      const values = type.values.map(({ name, value }) => ({ name, val: `${value}` }))
      return { encoding: type.signed ? 'SIGNED' : 'UNSIGNED', size: type.size, vlen: values.length, values }
    }
    case 'fwd':
      return { fwd_kind: type.of }
    case 'func':
    case 'var':
      return { type_id: type.type, linkage: type.linkage }
    case 'func_proto': {
      const params = type.params.map(({ name, type }) => ({ name: named(name), type_id: type }))
      if (type.variadic) params.push({ name: '(anon)', type_id: 0 })
      return { ret_type_id: type.returns, vlen: params.length, params }
    }
    case 'datasec': {
      const vars = type.vars.map(({ type, offset, size }) => ({ type_id: type, offset, size }))
      return { size: type.size, vlen: vars.length, vars }
    }
    case 'float':
      return { size: type.size }
    case 'decl_tag':
      return { type_id: type.type, component_idx: type.component }
    case 'void':
    case 'unknown':
      throw new Error(`bpftool prints no ${type.kind}`)
    default:
      return { type_id: type.type }
  }
}

function member({ name, type, bitOffset, bitfieldSize }: BtfMember): Readonly<Record<string, unknown>> {
  const bitfield = bitfieldSize === 0 ? {} : { bitfield_size: bitfieldSize }
  return { name: named(name), type_id: type, bits_offset: bitOffset, ...bitfield }
}

/** The first type that is not what bpftool has printed, as both see it; undefined where all are the same. */
export function firstDifference(types: Iterable<BtfType>, other: readonly Printed[]): unknown {
  let i = 0
  for (const type of types) {
    const [mine, its] = [printed(type), other[i++]]
    if (its === undefined || JSON.stringify(mine) !== JSON.stringify(known(its, mine))) return { mine, its }
  }
  return i === other.length ? undefined : { mine: undefined, its: other[i] }
}

/** A newer bpftool may print more. */
function known(its: Printed, mine: Printed): unknown {
  return Object.fromEntries(Object.keys(mine).map((key) => [key, its[key]]))
}
