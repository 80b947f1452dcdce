import type { Btf, BtfMember, BtfStruct } from '../btf'
import { typeName } from '../co-re/names'
import { isFunction, type PlacedStructOps } from './struct-ops'

/** The struct that the kernel has for one of functions: around it is what it keeps for itself. */
export interface KernelStruct {
  readonly btf: Btf
  /** undefined for the kernel itself. */
  readonly module: string | undefined
  /** struct tcp_congestion_ops */
  readonly type: BtfStruct
  /** struct bpf_struct_ops_tcp_congestion_ops, which is the map's value. */
  readonly value: BtfStruct
  /** Where the one begins in the other, in bytes. */
  readonly at: number
}

/** A function of the struct, and the program that it is. */
export interface FunctionSlot {
  readonly program: string
  readonly member: string
  /** The number of the member, which the program is loaded for. */
  readonly index: number
  /** Where its pointer is in the value, in bytes. */
  readonly at: number
}

/** The map's value as the kernel lays it out, without the functions. */
export interface StructOpsPlan {
  readonly kernel: KernelStruct
  readonly value: Uint8Array<ArrayBuffer>
  readonly functions: readonly FunctionSlot[]
}

/** What the kernel calls the value of a map for a struct (STRUCT_OPS_VALUE_PREFIX). */
export const VALUE_PREFIX = 'bpf_struct_ops_'

/** The kernel's struct of a name, in its own BTF or in that of a module; undefined where programs implement no such. */
export function findStruct(
  name: string,
  kernels: Iterable<{ readonly btf: Btf; readonly module: string | undefined }>,
): KernelStruct | undefined {
  for (const { btf, module } of kernels) {
    // Of a module what is its own: the kernel's has been looked at before.
    const value = btf.findAll(`${VALUE_PREFIX}${name}`, 'struct').find(({ id }) => id >= btf.firstId)
    for (const { type, bitOffset } of value?.members ?? []) {
      const its = btf.resolve(type)
      if (value !== undefined && its.kind === 'struct' && its.name === name) {
        return { btf, module, type: its, value, at: bitOffset / 8 }
      }
    }
  }
  return undefined
}

/**
 * Copies the members, by their names, to where the kernel has them (bpf_map__init_kern_struct_ops of libbpf). What the
 * kernel has not got is passed over where it is zero. Throws RangeError where the kernel's struct differs.
 */
export function planStructOps(placed: PlacedStructOps, btf: Btf, kernel: KernelStruct): StructOpsPlan {
  const value = new Uint8Array(kernel.value.size)
  const functions: FunctionSlot[] = []
  for (const member of placed.type.members) {
    const program = isFunction(btf, member) ? placed.ops.programs[member.name] : undefined
    const slot = copyMember({ placed, btf, kernel, member, program }, value)
    if (slot !== undefined) functions.push(slot)
  }
  return { kernel, value, functions }
}

interface Copying {
  readonly placed: PlacedStructOps
  readonly btf: Btf
  readonly kernel: KernelStruct
  readonly member: BtfMember
  readonly program: string | undefined
}

function copyMember(copying: Copying, value: Uint8Array): FunctionSlot | undefined {
  const { placed, btf, kernel, member, program } = copying
  const { name } = member
  const refuse = (reason: string) => {
    const what = name === '' ? 'a member without a name' : `member '${name}'`
    return new RangeError(`${what} of struct_ops '${placed.map.name}': ${reason}`)
  }
  const index = name === '' ? -1 : kernel.type.members.findIndex((each) => each.name === name)
  const its = kernel.type.members[index]
  const bytes = bytesOf(copying)
  if (its === undefined) {
    if (program === undefined && bytes.every((byte) => byte === 0)) return undefined
    const [list, zero] = program === undefined ? ['values', '0'] : ['programs', 'undefined']
    const way = name === '' ? '' : ` (structOps.${list}.${name} = ${zero} makes it so)`
    throw refuse(`this kernel's struct ${kernel.type.name} has none, and it is not zero${way}`)
  }
  if (member.bitfieldSize !== 0 || its.bitfieldSize !== 0) throw refuse('it is a bit field, which maps do not take')
  const [mine, theirs] = [btf.resolve(member.type), kernel.btf.resolve(its.type)]
  if (mine.kind !== theirs.kind) {
    throw refuse(`it is ${typeName(btf, mine.id)} here, and ${typeName(kernel.btf, theirs.id)} in this kernel`)
  }
  const at = kernel.at + its.bitOffset / 8
  if (mine.kind === 'ptr') {
    if (program !== undefined) {
      if (!isFunction(kernel.btf, its)) throw refuse('it is a program here, and no function in this kernel')
      return { program, member: name, index, at }
    }
    if (bytes.some((byte) => byte !== 0)) throw refuse('it is a pointer to what is no function: only zero can be there')
    return undefined
  }
  const size = kernel.btf.sizeOf(its.type)
  if (size !== bytes.length) throw refuse(`it has ${bytes.length} bytes here, and ${size} in this kernel`)
  value.set(bytes, at)
  return undefined
}

/** What a member begins with; of a bit field, the bytes that it is in. */
function bytesOf({ placed, btf, member: { type, bitOffset, bitfieldSize } }: Copying): Uint8Array {
  if (bitfieldSize === 0) return placed.bytes.subarray(bitOffset / 8, bitOffset / 8 + btf.sizeOf(type))
  return placed.bytes.subarray(Math.floor(bitOffset / 8), Math.ceil((bitOffset + bitfieldSize) / 8))
}
