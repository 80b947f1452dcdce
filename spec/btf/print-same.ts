/** Whether what a compiler makes of printed types is what they were: two types of two BTFs, and all that they lead to. */
import type { Btf, BtfConst, BtfEnum, BtfEnum64, BtfMember, BtfType, BtfVolatile } from '../../lib/btf'

interface Pair {
  readonly a: number
  readonly b: number
  readonly path: string
  /** Of a parameter, a result or an anonymous member: there clang forgets about const. */
  readonly bare?: boolean
}

/** Without what tells apart two types with one name. */
const plain = (name: string) => name.replace(/___.*$/s, '')

/** The words of an integer's name, in whatever order a compiler has them, without the `int` that it may leave out. */
function intWords(name: string): string {
  const words = name === 'ssizetype' ? ['long', 'long'] : name.split(' ')
  return words.length === 1
    ? name
    : words
        .filter((word) => word !== 'int')
        .sort()
        .join(' ')
}

/** The differences between pairs of types, the first of each only: `a` is what was printed, `b` what a compiler made of it. */
export class Comparison {
  readonly differences: string[] = []
  readonly #a: Btf
  readonly #b: Btf
  readonly #seen = new Set<string>()
  #work: Pair[] = []

  constructor(a: Btf, b: Btf) {
    this.#a = a
    this.#b = b
  }

  add(a: number, b: number, path: string): void {
    this.#work.push({ a, b, path })
    for (let pair = this.#work.pop(); pair !== undefined; pair = this.#work.pop()) this.#compare(pair)
  }

  #compare({ a, b, path, bare = false }: Pair): void {
    const key = `${a} ${b}${bare ? ' bare' : ''}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const [one, other] = [peeled(this.#a, a), peeled(this.#b, b)]
    // What is only pointed to is only declared, and compared where it is used.
    if (other.type.kind === 'fwd' && other.type.of === one.type.kind) {
      this.#same(path, 'name', plain(one.type.name), plain(other.type.name))
      return
    }
    this.#same(path, 'kind', kindOf(one.type), kindOf(other.type))
    if (!bare && one.type.kind !== 'func_proto') {
      this.#same(path, 'qualifiers', one.qualifiers, other.qualifiers)
    }
    if (kindOf(one.type) === kindOf(other.type)) this.#contents(one.type, other.type, path)
  }

  #contents(a: BtfType, b: BtfType, path: string): void {
    switch (a.kind) {
      case 'int': {
        if (b.kind !== 'int') return
        this.#same(path, 'size', a.size, b.size)
        this.#same(path, 'name', intWords(a.name), intWords(b.name))
        // pahole does not say of char that it has a sign.
        if (a.name !== 'char') this.#same(path, 'encoding', a.encoding, b.encoding)
        return
      }
      case 'ptr':
        if (b.kind === 'ptr') this.#push(a.type, b.type, `${path}*`)
        return
      case 'typedef':
        if (b.kind !== 'typedef') return
        this.#same(path, 'name', plain(a.name), plain(b.name))
        this.#push(a.type, b.type, a.name)
        return
      case 'array':
        if (b.kind !== 'array') return
        this.#same(path, 'length', a.length, b.length)
        this.#push(a.type, b.type, `${path}[]`)
        return
      case 'func_proto':
        if (b.kind !== 'func_proto') return
        this.#same(path, 'parameters', a.params.length, b.params.length)
        this.#same(path, 'variadic', a.variadic, b.variadic)
        this.#push(a.returns, b.returns, `${path}()`, true)
        for (const [i, param] of a.params.entries()) {
          const its = b.params[i]
          if (its !== undefined) this.#push(param.type, its.type, `${path}(${i})`, true)
        }
        return
      case 'struct':
      case 'union':
        if (b.kind !== a.kind) return
        this.#same(path, 'name', plain(a.name), plain(b.name))
        this.#same(path, 'size', a.size, b.size)
        this.#same(path, 'members', a.members.map(placeOf), b.members.map(placeOf))
        for (const [i, member] of a.members.entries()) {
          const its = b.members[i]
          if (its !== undefined) this.#push(member.type, its.type, `${path}.${member.name}`, member.name === '')
        }
        return
      case 'enum':
      case 'enum64':
        if (b.kind !== 'enum' && b.kind !== 'enum64') return
        this.#same(path, 'name', plain(a.name), plain(b.name))
        this.#same(path, 'size', a.size, b.size)
        this.#same(path, 'values', constantsOf(a, b), constantsOf(b, a))
        return
      default:
        this.#same(path, 'name', plain(a.name), plain(b.name))
    }
  }

  #push(a: number, b: number, path: string, bare = false): void {
    this.#work.push({ a, b, path, bare })
  }

  #same(path: string, what: string, a: unknown, b: unknown): void {
    const [one, other] = [JSON.stringify(a), JSON.stringify(b)]
    if (one !== other) this.differences.push(`${path}: ${what} ${one}, and compiled ${other}`)
  }
}

const placeOf = ({ name, bitOffset, bitfieldSize }: BtfMember) => `${name} ${bitOffset} ${bitfieldSize}`

const kindOf = ({ kind }: BtfType) => (kind === 'enum64' ? 'enum' : kind)

/** clang before 15 has neither signs nor 64 bits: then what it has of them is compared. */
function constantsOf(type: BtfEnum | BtfEnum64, other: BtfEnum | BtfEnum64): string[] {
  const bits = type.kind === 'enum64' && other.kind === 'enum64' ? 64 : 32
  return type.values.map(({ name, value }) => `${plain(name)} ${BigInt.asUintN(bits, BigInt(value))}`)
}

/** A type without its qualifiers, and these. Those of an array are those of its elements, and asked for there. */
function peeled(btf: Btf, id: number): { readonly type: BtfType; readonly qualifiers: readonly string[] } {
  const found = new Set<string>()
  let type = btf.type(id)
  while (type.kind === 'const' || type.kind === 'volatile' || type.kind === 'restrict' || type.kind === 'type_tag') {
    if (type.kind !== 'type_tag') found.add(type.kind)
    type = btf.type(type.type)
  }
  for (let inner: BtfType = type; inner.kind === 'array' || isQualifier(inner); inner = btf.type(inner.type)) {
    if (inner.kind !== 'array') found.add(inner.kind)
  }
  return { type, qualifiers: [...found].sort() }
}

function isQualifier(type: BtfType): type is BtfConst | BtfVolatile {
  return type.kind === 'const' || type.kind === 'volatile'
}
