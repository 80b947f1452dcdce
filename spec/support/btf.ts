/**
 * The kernel's own description of its types, /sys/kernel/btf/vmlinux, read just so far as specs need it: what a
 * constant's value is, and where a field stands. The format is that of Documentation/bpf/btf.rst. Not the library's
 * BTF reader, which must not vouch for itself.
 */
import { readFileSync } from 'node:fs'
import { endianness, release } from 'node:os'
import { requireFeature } from './kernel'

const LE = endianness() === 'LE'
const VMLINUX = '/sys/kernel/btf/vmlinux'

// enum in include/uapi/linux/btf.h
const INT = 1
const PTR = 2
const ARRAY = 3
const STRUCT = 4
const UNION = 5
const ENUM = 6
const FWD = 7
const TYPEDEF = 8
const VOLATILE = 9
const CONST = 10
const RESTRICT = 11
const FUNC = 12
const FUNC_PROTO = 13
const VAR = 14
const DATASEC = 15
const FLOAT = 16
const DECL_TAG = 17
const TYPE_TAG = 18
const ENUM64 = 19

/** A member of a struct or union; members of anonymous structs in it count as its own, as in C. */
export interface Field {
  name: string
  /** the type's id */
  type: number
  bitOffset: number
  bitSize: number
}

export class Btf {
  private readonly view: DataView
  private readonly bytes: Buffer
  /** where in the file each type stands, by id; 0 is void */
  private readonly at: number[] = [0]
  private readonly strings: number
  private byName: Map<string, number[]> | undefined

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (this.view.getUint16(0, LE) !== 0xeb9f) throw new Error('not BTF, or not in this byte order')
    const header = this.u32(4)
    this.strings = header + this.u32(16)
    const end = header + this.u32(8) + this.u32(12)
    for (let p = header + this.u32(8); p < end; p += this.length(p)) this.at.push(p)
  }

  /** The id of the struct of that name. */
  struct(name: string): number {
    return this.find(name, STRUCT)
  }

  /** The id of the function of that name, as attach_btf_id has it. */
  func(name: string): number {
    for (let id = 1; id < this.at.length; id++) if (this.kind(id) === FUNC && this.nameOf(id) === name) return id
    throw new Error(`no function ${name} in the kernel's BTF`)
  }

  union(name: string): number {
    return this.find(name, UNION)
  }

  has(name: string): boolean {
    return (this.index().get(name) ?? []).some((id) => [STRUCT, UNION, ENUM, ENUM64].includes(this.kind(id)))
  }

  /** The constants of `enum name`, in order. */
  enumValues(name: string): [string, bigint][] {
    const id = (this.index().get(name) ?? []).find((id) => this.kind(id) === ENUM || this.kind(id) === ENUM64)
    if (id === undefined) throw new Error(`no enum ${name} in the kernel's BTF`)
    return this.constants(id)
  }

  /** The constants of the anonymous enum that has `constant`, or undefined. */
  enumWith(constant: string): [string, bigint][] | undefined {
    for (let id = 1; id < this.at.length; id++) {
      if ((this.kind(id) !== ENUM && this.kind(id) !== ENUM64) || this.nameOf(id) !== '') continue
      const constants = this.constants(id)
      if (constants.some(([name]) => name === constant)) return constants
    }
    return undefined
  }

  /** The members of a struct or union, those of anonymous ones in it among them. */
  fields(id: number, base = 0): Field[] {
    const fields: Field[] = []
    for (const { name, type, bitOffset, bitSize } of this.members(id)) {
      const kind = this.kind(type)
      if (name === '' && (kind === STRUCT || kind === UNION)) fields.push(...this.fields(type, base + bitOffset))
      else fields.push({ name, type, bitOffset: base + bitOffset, bitSize })
    }
    return fields
  }

  /** The member at a path of names ('test.prog_fd'), with its offset from the start of `id`. */
  field(id: number, path: string): Field | undefined {
    let base = 0
    let type = id
    let found: Field | undefined
    for (const name of path.split('.')) {
      found = this.fields(type).find((f) => f.name === name)
      if (found === undefined) return undefined
      base += found.bitOffset
      type = found.type
    }
    return found && { ...found, bitOffset: base }
  }

  /** The anonymous struct in union `id` that has all of these members. */
  anonymous(id: number, names: readonly string[]): number | undefined {
    for (const member of this.members(id)) {
      if (member.name !== '' || this.kind(member.type) !== STRUCT) continue
      const has = new Set(this.fields(member.type).map((f) => f.name))
      if (names.every((name) => has.has(name))) return member.type
    }
    return undefined
  }

  sizeOf(id: number): number {
    const p = this.position(id)
    switch (this.kind(id)) {
      case PTR:
        return 8
      case ARRAY:
        return this.sizeOf(this.resolve(this.u32(p + 12))) * this.u32(p + 20)
      default:
        return this.u32(p + 8)
    }
  }

  /** The paths of all fields in a struct: nested structs with a name contribute 'name.field'. */
  paths(id: number): string[] {
    return this.fields(id).flatMap(({ name, type }) =>
      this.kind(type) === STRUCT || this.kind(type) === UNION ? this.paths(type).map((p) => `${name}.${p}`) : [name],
    )
  }

  /** The members as they stand, those without a name included. */
  members(id: number): Field[] {
    const p = this.position(id)
    const hasBitfields = this.u32(p + 4) >>> 31 === 1
    return Array.from({ length: this.u32(p + 4) & 0xffff }, (_, i) => {
      const m = p + 12 + i * 12
      const type = this.resolve(this.u32(m + 4))
      const offset = this.u32(m + 8)
      const bits = hasBitfields ? offset >>> 24 : 0
      return {
        name: this.string(this.u32(m)),
        type,
        bitOffset: hasBitfields ? offset & 0xffffff : offset,
        bitSize: bits || this.sizeOf(type) * 8,
      }
    })
  }

  private constants(id: number): [string, bigint][] {
    const p = this.position(id)
    const info = this.u32(p + 4)
    const signed = info >>> 31 === 1
    const wide = this.kind(id) === ENUM64
    return Array.from({ length: info & 0xffff }, (_, i) => {
      const e = p + 12 + i * (wide ? 12 : 8)
      const bits = wide ? (BigInt(this.u32(e + 8)) << 32n) | BigInt(this.u32(e + 4)) : BigInt(this.u32(e + 4))
      return [this.string(this.u32(e)), signed ? BigInt.asIntN(wide ? 64 : 32, bits) : bits]
    })
  }

  /** The type behind typedefs and qualifiers. */
  private resolve(id: number): number {
    let type = id
    while ([TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG].includes(this.kind(type)))
      type = this.u32(this.position(type) + 8)
    return type
  }

  private find(name: string, kind: number): number {
    const id = (this.index().get(name) ?? []).find((id) => this.kind(id) === kind)
    if (id === undefined) throw new Error(`no ${kind === STRUCT ? 'struct' : 'union'} ${name} in the kernel's BTF`)
    return id
  }

  private index(): Map<string, number[]> {
    if (this.byName === undefined) {
      this.byName = new Map()
      for (let id = 1; id < this.at.length; id++) {
        if (![STRUCT, UNION, ENUM, ENUM64].includes(this.kind(id))) continue
        const name = this.nameOf(id)
        const ids = this.byName.get(name)
        if (ids === undefined) this.byName.set(name, [id])
        else ids.push(id)
      }
    }
    return this.byName
  }

  private nameOf(id: number): string {
    return this.string(this.u32(this.position(id)))
  }

  private kind(id: number): number {
    return id === 0 ? 0 : (this.u32(this.position(id) + 4) >>> 24) & 0x1f
  }

  private position(id: number): number {
    const p = this.at[id]
    if (p === undefined) throw new Error(`no type ${id} in the kernel's BTF`)
    return p
  }

  private string(offset: number): string {
    const start = this.strings + offset
    return this.bytes.toString('latin1', start, this.bytes.indexOf(0, start))
  }

  /** The bytes of the type at p: struct btf_type, and what follows it by kind. */
  private length(p: number): number {
    const info = this.u32(p + 4)
    const count = info & 0xffff
    switch ((info >>> 24) & 0x1f) {
      case INT:
      case VAR:
      case DECL_TAG:
        return 16
      case ARRAY:
        return 24
      case STRUCT:
      case UNION:
      case DATASEC:
      case ENUM64:
        return 12 + count * 12
      case ENUM:
      case FUNC_PROTO:
        return 12 + count * 8
      case PTR:
      case FWD:
      case TYPEDEF:
      case VOLATILE:
      case CONST:
      case RESTRICT:
      case FUNC:
      case FLOAT:
      case TYPE_TAG:
        return 12
      default:
        throw new Error(`BTF kind ${(info >>> 24) & 0x1f} is not known here`)
    }
  }

  private u32(offset: number): number {
    return this.view.getUint32(offset, LE)
  }
}

let loaded: Btf | undefined

/** The running kernel's BTF; where there is none the spec is pending, or fails under EBPF_REQUIRE_KERNEL=1. */
export function kernelBtf(context: Mocha.Context): Btf {
  if (loaded === undefined) {
    requireFeature(context, 'kernelBtf')
    loaded = new Btf(readFileSync(VMLINUX))
  }
  return loaded
}

/** Where the kernel's version stands to 6.18, the one whose bpf.h is held to completely: below 0, 0, or above. */
export function kernelAgainst618(): number {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((n) => Number.parseInt(n, 10))
  return major * 1000 + minor - 6018
}

/** The kernel has what we lack: a failure up to Linux 6.18, a remark on newer ones. */
export function lacking(what: readonly string[], where: string): void {
  if (what.length === 0) return
  const text = `${where}: the kernel has ${what.join(', ')}, which we lack`
  if (kernelAgainst618() <= 0) throw new Error(text)
  console.log(`      remark: ${text}`)
}
