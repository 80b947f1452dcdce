import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { type Codec, type StructCodec, u16be } from '../../lib/codec'
import { LITTLE_ENDIAN } from '../../lib/codec/integer'
import { anyStruct, codecOf, type Model, valuesOf } from './schemas'
import { encode } from './support'

const COUNT = 60

/** A C declaration of `name`, in which the dimensions of an array follow the name from the outermost in. */
function declare(model: Model, name: string): string {
  if (model.kind === 'leaf') return `${model.c} ${name}${model.dims ?? ''};`
  if (model.kind === 'array') return declare(model.of, `${name}[${model.length}]`)
  return `${body(model)} ${name};`
}

function body(model: Model & { kind: 'struct' }, tag = ''): string {
  const fields = model.fields.map(([name, field]) => declare(field, name)).join(' ')
  return `struct ${model.packed ? '__attribute__((packed)) ' : ''}${tag} { ${fields} }`
}

/** Every place in a value, as C spells it, with what the codec says of its offset. */
function places(model: Model, codec: Codec<unknown>, path: string, offset: number): [string, number][] {
  if (model.kind === 'leaf') return [[path, offset]]
  if (model.kind === 'array') {
    const of = codecOf(model.of)
    return Array.from({ length: model.length }, (_, i) => i).flatMap((i) =>
      places(model.of, of, `${path}[${i}]`, offset + i * of.size),
    )
  }
  return (codec as StructCodec<unknown>).fields.flatMap((field, i) => {
    const at = path === '' ? field.name : `${path}.${field.name}`
    return [
      [at, offset + field.offset] as [string, number],
      ...places(model.fields[i]?.[1] as Model, field.codec, at, offset + field.offset),
    ]
  })
}

/** C statements that give every leaf of `path` its value. */
function assign(model: Model, path: string, value: unknown): string[] {
  if (model.kind === 'array') {
    return (value as unknown[]).flatMap((element, i) => assign(model.of, `${path}[${i}]`, element))
  }
  if (model.kind === 'struct') {
    return model.fields.flatMap(([name, field]) =>
      assign(field, `${path}.${name}`, (value as Record<string, unknown>)[name]),
    )
  }
  if (model.c === 'char') return [`strcpy(${path}, ${JSON.stringify(value)});`]
  if (model.c === 'struct in_addr') return [`inet_pton(AF_INET, "${value}", &${path});`]
  if (model.c === 'struct in6_addr') return [`inet_pton(AF_INET6, "${value}", &${path});`]
  if (value instanceof Uint8Array) return [...value].map((byte, i) => `${path}[${i}] = ${byte};`)
  if (model.dims === '[6]')
    return String(value)
      .split(':')
      .map((byte, i) => `${path}[${i}] = 0x${byte};`)
  if (model.c === 'bool') return [`${path} = ${value};`]
  if (model.c === 'float' || model.c === 'double')
    return [`${path} = strtod("${Object.is(value, -0) ? '-0' : value}", 0);`]
  const bits = `0x${BigInt.asUintN(64, BigInt(value as number | bigint)).toString(16)}ULL`
  if (model.codec === u16be) return [`${path} = htons(${bits});`]
  return [`${path} = (${model.c})${bits};`]
}

function compileAndRun(source: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'codec-layout-'))
  try {
    writeFileSync(join(folder, 'layout.c'), source)
    execFileSync('cc', ['-std=gnu11', '-w', '-o', join(folder, 'layout'), join(folder, 'layout.c')])
    return execFileSync(join(folder, 'layout'), { encoding: 'utf8' }).trim().split('\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function compilerMissing(): string | undefined {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'no C compiler (cc) on this machine'
  }
}

describe('layout', () => {
  it(`of ${COUNT} random structs is the C compiler's, and so are their bytes`, function () {
    const missing = compilerMissing()
    if (missing !== undefined) {
      if (process.env.EBPF_REQUIRE_KERNEL === '1') throw new Error(missing)
      if (this.test !== undefined) this.test.title += ` (pending: ${missing})`
      this.skip()
    }
    this.timeout(300_000)
    const seed = Date.now() & 0x7fffffff
    const samples = fc.sample(
      anyStruct.chain((model) => fc.tuple(fc.constant(model), valuesOf(model))),
      { seed, numRuns: COUNT },
    )
    const expected: string[] = []
    const lines: string[] = []
    for (const [i, [model, value]] of samples.entries()) {
      const codec = codecOf(model)
      const type = `struct s${i}`
      lines.push(`static void f${i}(void) { ${body(model, `s${i}`)}; ${type} v; memset(&v, 0, sizeof v);`)
      lines.push(`printf("${type} size %zu align %zu\\n", sizeof(${type}), _Alignof(${type}));`)
      expected.push(`${type} size ${codec.size} align ${codec.align}`)
      for (const [path, offset] of places(model, codec, '', 0)) {
        lines.push(`printf("${type}.${path} %zu\\n", offsetof(${type}, ${path}));`)
        expected.push(`${type}.${path} ${offset}`)
      }
      lines.push(...assign(model, 'v', value), 'dump(&v, sizeof v); }')
      expected.push(encode(codec, value))
    }
    const source = [
      ...['stdio', 'stddef', 'stdint', 'stdbool', 'stdlib', 'string', 'arpa/inet'].map(
        (name) => `#include <${name}.h>`,
      ),
      'static void dump(const void *p, size_t n) { for (size_t i = 0; i < n; i++) printf("%02x", ((const unsigned char *)p)[i]); puts(""); }',
      ...lines,
      'int main(void) {',
      ...samples.map((_, i) => `f${i}();`),
      'return 0; }',
    ].join('\n')
    expect(compileAndRun(source)).deep.equal(expected, `seed ${seed}`)
    expect(LITTLE_ENDIAN).equal(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1)
  })
})
