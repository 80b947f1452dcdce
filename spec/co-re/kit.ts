/** Compiled fixtures, and BTF made by hand, for the specs of relocations. */
import { existsSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { Btf, type BtfExtSection, type BtfRelocation, parseBtfExt } from '../../lib/btf'
import { COMPILED } from '../support/compiled'
import { pending } from '../support/kernel'

export const LE = endianness() === 'LE'

const FIXTURES = join(__dirname, 'fixtures')

export const fixturePath = (name: string): string => join(FIXTURES, name)

/** Guests have what was compiled from TypeScript alone; and the objects are for little-endian machines. */
export function needsFixtures(context: Mocha.Context): void {
  if (COMPILED && !existsSync(FIXTURES)) pending(context, 'compiled objects are not here')
  if (!LE) pending(context, 'the objects are for little-endian machines')
}

/** An object file, as far as specs need it: its sections, by name. Not the library's reader. */
export function sectionsOf(path: string): Map<string, Buffer> {
  const elf = readFileSync(path)
  const table = Number(elf.readBigUInt64LE(0x28))
  const [size, count, names] = [0x3a, 0x3c, 0x3e].map((at) => elf.readUInt16LE(at)) as [number, number, number]
  const bytesOf = (index: number) => {
    const header = table + index * size
    const from = Number(elf.readBigUInt64LE(header + 0x18))
    return elf.subarray(from, from + Number(elf.readBigUInt64LE(header + 0x20)))
  }
  const strings = bytesOf(names)
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const name = elf.readUInt32LE(table + index * size)
      return [strings.toString('latin1', name, strings.indexOf(0, name)), bytesOf(index)]
    }),
  )
}

export interface CompiledObject {
  readonly btf: Btf
  readonly sections: ReadonlyMap<string, Buffer>
  readonly relocations: readonly BtfExtSection<BtfRelocation>[]
}

export function compiledObject(path: string): CompiledObject {
  const sections = sectionsOf(path)
  const btf = Btf.parse(sections.get('.BTF') as Buffer, { name: path.slice(path.lastIndexOf('/') + 1) })
  const ext = sections.get('.BTF.ext')
  return { btf, sections, relocations: ext === undefined ? [] : parseBtfExt(ext, btf).relocations }
}

/** struct expectation of core.h, by name; undefined is poisoned. */
export function expectationsOf({ sections }: CompiledObject): Map<string, bigint | undefined> {
  const bytes = sections.get('expected') as Buffer
  const found = new Map<string, bigint | undefined>()
  for (let at = 0; at < bytes.length; at += 48) {
    const name = bytes.toString('latin1', at, bytes.indexOf(0, at))
    found.set(name, bytes.readBigUInt64LE(at + 40) === 1n ? undefined : bytes.readBigUInt64LE(at + 32))
  }
  return found
}

/** What an instruction has in it that a relocation may change, and how many bytes it loads or stores. */
export function answerAt(insns: Buffer, offset: number): { value: bigint; width?: number } {
  const code = insns.readUInt8(offset)
  if (code === 0x18) {
    return { value: (BigInt(insns.readUInt32LE(offset + 12)) << 32n) | BigInt(insns.readUInt32LE(offset + 4)) }
  }
  if ((code & 7) >= 4) return { value: BigInt(insns.readInt32LE(offset + 4)) }
  return { value: BigInt(insns.readInt16LE(offset + 2)), width: [4, 2, 1, 8][(code >> 3) & 3] as number }
}

// The kinds of BTF, as Documentation/bpf/btf.rst numbers them.
export const KIND = {
  ...{ int: 1, ptr: 2, array: 3, struct: 4, union: 5, enum: 6, fwd: 7, typedef: 8, volatile: 9, const: 10 },
  ...{ func: 12, func_proto: 13, float: 16, enum64: 19 },
} as const

/** A type as it stands in BTF: kind and kind_flag, vlen, size or type, and the words that follow. Strings are names. */
export interface RawType {
  readonly kind: keyof typeof KIND
  readonly name?: string
  readonly flag?: boolean
  readonly vlen?: number
  readonly sizeOrType?: number
  readonly rest?: readonly (number | string)[]
}

/** BTF of types as they stand; the first has id 1. */
export function rawBtf(types: readonly RawType[], { base, name = 'made' }: { base?: Btf; name?: string } = {}): Btf {
  const bytes = rawBytes(types, base === undefined ? 0 : Buffer.from(base.bytes).readUInt32LE(20))
  return Btf.parse(bytes, base === undefined ? { name } : { base, name })
}

export function rawBytes(types: readonly RawType[], firstString = 0): Buffer {
  let strings = '\0'
  const places = new Map([['', 0]])
  const word = (value: number | string): number => {
    if (typeof value === 'number') return value
    const known = places.get(value)
    if (known !== undefined) return known
    const place = firstString + strings.length
    places.set(value, place)
    strings += `${value}\0`
    return place
  }
  const words = types.flatMap(({ kind, name = '', flag = false, vlen = 0, sizeOrType = 0, rest = [] }) => [
    word(name),
    ((flag ? 0x80 : 0) | KIND[kind]) * 2 ** 24 + vlen,
    sizeOrType,
    ...rest.map(word),
  ])
  const header = [24, 0, words.length * 4, words.length * 4, strings.length]
  const bytes = Buffer.alloc(24 + words.length * 4 + strings.length)
  bytes.writeUInt16LE(0xeb9f, 0)
  bytes.writeUInt8(1, 2)
  for (const [i, value] of [...header, ...words].entries()) bytes.writeUInt32LE(value >>> 0, 4 + i * 4)
  bytes.write(strings, 24 + words.length * 4, 'latin1')
  return bytes
}

export const int = (name: string, size: number, encoding = 0): RawType => ({
  ...{ kind: 'int', name, sizeOrType: size, rest: [encoding * 2 ** 24 + size * 8] },
})

/** Members are name, id of the type, offset in bits. */
export const struct = (name: string, size: number, ...members: (readonly [string, number, number])[]): RawType => ({
  ...{ kind: 'struct', name, sizeOrType: size, vlen: members.length, rest: members.flat() },
})

export const enumOf = (name: string, flag: boolean, ...values: (readonly [string, number])[]): RawType => ({
  ...{ kind: 'enum', name, flag, sizeOrType: 4, vlen: values.length, rest: values.flat() },
})

export const referring = (kind: 'ptr' | 'typedef' | 'const' | 'volatile', type: number, name = ''): RawType => ({
  ...{ kind, name, sizeOrType: type },
})

export const arrayOf = (type: number, length: number): RawType => ({ kind: 'array', rest: [type, type, length] })

/** struct bpf_insn, little-endian. */
export function insn(code: number, imm = 0, { dst = 0, src = 0, off = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt8(code, 0)
  bytes.writeUInt8((src << 4) | dst, 1)
  bytes.writeInt16LE(off, 2)
  bytes.writeInt32LE(imm, 4)
  return bytes
}

export const MOV = (imm: number): Buffer => insn(0xb7, imm)
export const LD_IMM64 = (value: bigint): Buffer => {
  const bits = BigInt.asUintN(64, value)
  return Buffer.concat([insn(0x18, Number(BigInt.asIntN(32, bits))), insn(0, Number(BigInt.asIntN(32, bits >> 32n)))])
}
