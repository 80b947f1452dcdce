import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { Btf, codecOf } from '../../lib'
import { decode, encode } from '../codec/support'
import { needs } from '../support/kernel'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'

const COUNT = 60

/** A type in C, with one value of it: in JavaScript, and as assignments. A union's value is that of one member. */
type Model =
  | { kind: 'leaf'; c: string; bits?: number; value: unknown }
  | { kind: 'text'; length: number; value: string }
  | { kind: 'array'; of: Model[] }
  | { kind: 'record'; packed: boolean; anonymous: boolean; union: boolean; members: Model[]; chosen: number }

const INTEGERS = [
  ...([
    ['unsigned char', 8, false],
    ['signed char', 8, true],
    ['unsigned short', 16, false],
  ] as const),
  ...([
    ['short', 16, true],
    ['unsigned int', 32, false],
    ['int', 32, true],
  ] as const),
  ...([
    ['unsigned long long', 64, false],
    ['long long', 64, true],
  ] as const),
] as const

function within(bits: number, signed: boolean, wide: boolean): fc.Arbitrary<number | bigint> {
  const min = signed ? -(1n << BigInt(bits - 1)) : 0n
  const max = min + (1n << BigInt(bits)) - 1n
  const any = fc.oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max))
  return wide ? any : any.map(Number)
}

const integer = fc
  .constantFrom(...INTEGERS)
  .chain(([c, bits, signed]) => within(bits, signed, bits === 64).map((value): Model => ({ kind: 'leaf', c, value })))
const bitField = fc
  .constantFrom(...INTEGERS)
  .chain(([c, most, signed]) =>
    fc
      .integer({ min: 1, max: most })
      .chain((bits) => within(bits, signed, most === 64).map((value): Model => ({ kind: 'leaf', c, bits, value }))),
  )
const others = fc.oneof(
  fc.boolean().map((value): Model => ({ kind: 'leaf', c: '_Bool', value })),
  fc.boolean().map((value): Model => ({ kind: 'leaf', c: '_Bool', bits: 1, value })),
  fc.constantFrom('RED', 'GREEN').map((value): Model => ({ kind: 'leaf', c: 'enum color', value })),
  fc.constantFrom('RED', 'GREEN').map((value): Model => ({ kind: 'leaf', c: 'enum color', bits: 3, value })),
  fc.constantFrom('NEAR', 'FAR').map((value): Model => ({ kind: 'leaf', c: 'tiny_t', value })),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value): Model => ({ kind: 'leaf', c: 'double', value })),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value): Model => ({ kind: 'leaf', c: 'const void *', value })),
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.string({ unit: fc.constantFrom(...'abXY09_'), maxLength: 8 }))
    .map(([length, text]): Model => ({ kind: 'text', length, value: text.slice(0, length - 1) })),
)

const { record } = fc.letrec<{ model: Model; record: Model & { kind: 'record' } }>((tie) => ({
  model: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { weight: 4, arbitrary: integer },
    { weight: 4, arbitrary: bitField },
    { weight: 3, arbitrary: others },
    {
      weight: 1,
      // All elements are of one type, and here of one value.
      arbitrary: fc
        .tuple(
          tie('model').filter((model) => !(model.kind === 'leaf' && model.bits !== undefined)),
          fc.nat(2),
        )
        .map(([model, more]): Model => ({ kind: 'array', of: Array(more + 1).fill(named(model)) })),
    },
    { weight: 3, arbitrary: tie('record') },
  ),
  record: fc
    .record({
      kind: fc.constant('record' as const),
      packed: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      anonymous: fc.boolean(),
      union: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      members: fc.array(tie('model'), { minLength: 1, maxLength: 6 }),
      chosen: fc.nat(),
    })
    .map((it) => ({ ...it, chosen: it.chosen % it.members.length })),
}))

/** An element of an array has no name, and is for that no anonymous member. */
function named(model: Model): Model {
  return model.kind === 'record' ? { ...model, anonymous: false } : model
}

/** Names are given on the way, so that those of anonymous structs meet no others. */
interface Made {
  readonly declaration: string
  /** Under the member's name; of an anonymous one, those of its members. */
  readonly value: Readonly<Record<string, unknown>>
  readonly statements: readonly string[]
}

class Writer {
  #count = 0

  member(model: Model, path: string): Made {
    const name = `m${this.#count++}`
    if (model.kind === 'record' && model.anonymous) {
      const { body, value, statements } = this.body(model, path)
      return { declaration: `${body};`, value, statements }
    }
    const { before, after, value, assign } = this.#type(model)
    return {
      declaration: `${before} ${name}${after};`,
      value: { [name]: value },
      statements: assign(`${path}.${name}`),
    }
  }

  body(model: Model & { kind: 'record' }, path: string, tag = '') {
    const made = model.members.map((member) => this.member(member, path))
    const given = model.union ? made.filter((_, i) => i === model.chosen) : made
    const attribute = model.packed ? '__attribute__((packed)) ' : ''
    return {
      body: `${model.union ? 'union' : 'struct'} ${attribute}${tag} { ${made.map((m) => m.declaration).join(' ')} }`,
      value: Object.assign({}, ...given.map((m) => m.value)) as Record<string, unknown>,
      statements: given.flatMap((m) => m.statements),
    }
  }

  /** What stands before and behind a name, and how what bears it gets its value. */
  #type(model: Model): { before: string; after: string; value: unknown; assign: (path: string) => string[] } {
    switch (model.kind) {
      case 'leaf': {
        const { c, bits, value } = model
        return {
          before: c,
          after: bits === undefined ? '' : ` : ${bits}`,
          value,
          assign: (path) => [`${path} = ${literal(c, value)};`],
        }
      }
      case 'text': {
        const { length, value } = model
        return { before: 'char', after: `[${length}]`, value, assign: (path) => [`strcpy(${path}, "${value}");`] }
      }
      case 'array': {
        const inner = this.#type(model.of[0] as Model)
        const { length } = model.of
        const bytes = inner.before === 'unsigned char' && inner.after === ''
        const all = Array(length).fill(inner.value)
        return {
          ...{ before: inner.before, after: `[${length}]${inner.after}`, value: bytes ? Uint8Array.from(all) : all },
          assign: (path) => all.flatMap((_, i) => inner.assign(`${path}[${i}]`)),
        }
      }
      case 'record': {
        // The paths of its members begin where it is.
        const { body, value, statements } = this.body(model, '@')
        return {
          before: body,
          after: '',
          value,
          assign: (path) => statements.map((text) => text.replaceAll('@', path)),
        }
      }
    }
  }
}

function literal(c: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (c === 'double') return Object.is(value, -0) ? '-0.0' : `strtod("${value}", 0)`
  return `(${c})0x${BigInt.asUintN(64, BigInt(value as number | bigint)).toString(16)}ULL`
}

/** Whether all that was written is what was read; of a union more is. */
function expectWithin(read: unknown, written: unknown, where: string): void {
  if (Array.isArray(written)) {
    expect(read, where).to.have.length(written.length)
    for (const [i, element] of written.entries()) expectWithin((read as unknown[])[i], element, `${where}[${i}]`)
  } else if (typeof written === 'object' && written !== null && !(written instanceof Uint8Array)) {
    for (const [name, member] of Object.entries(written)) {
      expectWithin((read as Record<string, unknown>)[name], member, `${where}.${name}`)
    }
  } else {
    expect(read, where).to.deep.equal(written)
  }
}

const PRELUDE = `enum color { RED, GREEN = 3, BLUE = 1000 };
typedef enum __attribute__((packed)) { NEAR, FAR = 200 } tiny_t;
`

describe('codecs of compiled types', () => {
  before(function () {
    requireClang(this)
    needs(this, process.arch === 'x64' || process.arch === 'arm64', 'a machine whose layouts are those of BPF')
    needs(this, compilerAnswers(), 'a C compiler (cc)')
  })

  it(`read and write ${COUNT} random structs and unions as a C program does`, function () {
    this.timeout(300_000)
    const seed = Date.now() & 0x7fffffff
    const samples = fc.sample(record, { seed, numRuns: COUNT })
    const made = samples.map((model, i) => new Writer().body(model, 'v', `t${i}`))
    const kinds = samples.map(({ union }) => (union ? 'union' : 'struct'))
    const declarations = PRELUDE + made.map(({ body }) => `${body};`).join('\n')
    const lines = withFolder((folder) => {
      const source = [
        ...['stdio', 'stdlib', 'string'].map((name) => `#include <${name}.h>`),
        declarations,
        ...made.map(
          ({ statements }, i) =>
            `static void f${i}(void) { ${kinds[i]} t${i} v; memset(&v, 0, sizeof v); ${statements.join(' ')} dump(&v, sizeof v); }`,
        ),
        `int main(void) { ${made.map((_, i) => `f${i}();`).join(' ')} return 0; }`,
      ]
      const dump =
        'static void dump(const void *p, size_t n) { for (size_t i = 0; i < n; i++) printf("%02x", ((const unsigned char *)p)[i]); puts(""); }'
      source.splice(3, 0, dump)
      writeFileSync(join(folder, 'native.c'), source.join('\n'))
      const args = ['-std=gnu11', '-w', '-o', join(folder, 'native'), join(folder, 'native.c')]
      // What it says is part of the error, where it fails.
      execFileSync('cc', args, { stdio: 'pipe' })
      return execFileSync(join(folder, 'native'), { encoding: 'utf8' }).trim().split('\n')
    })
    const btf = withFolder((folder) => {
      const variables = made.map((_, i) => `${kinds[i]} t${i} v${i};`).join('\n')
      return Btf.parse(sectionOf(compile(`${declarations}\n${variables}`, folder), '.BTF'))
    })
    for (const [i, { body, value }] of made.entries()) {
      const codec = codecOf<unknown>(btf, `t${i}`)
      const [hex, where] = [lines[i] as string, `seed ${seed}, ${body}`]
      expect(codec.size, where).to.equal(hex.length / 2)
      expect(encode(codec, value), where).to.equal(hex)
      const read = decode(codec, hex)
      expectWithin(read, value, where)
    }
  })
})

function compilerAnswers(): boolean {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
