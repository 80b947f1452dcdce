import type { Codec, Infer } from './codec'
import { shown, withPath } from './error'
import { checkCodec, makeCodec } from './make'

/** Field names and their codecs, in the order of the C declaration. */
export type Schema = Readonly<Record<string, Codec<unknown>>>

/** The value of a struct of this schema. Written out where editors show it: they do not look through a name. */
export type InferFields<S extends Schema> = { -readonly [K in keyof S]: Infer<S[K]> }

/** One field of a struct, at `offset` bytes from its start. */
export interface StructField {
  readonly name: string
  readonly offset: number
  readonly codec: Codec<unknown>
}

/** A struct's codec, which tells its layout: for printing it, and for making BTF of it. */
export interface StructCodec<T> extends Codec<T> {
  readonly fields: readonly StructField[]
}

/**
 * A struct with the layout that C gives it: each field at its natural alignment, the size rounded up to the
 * largest. Padding is written as zeros on every write.
 *
 * The value is a plain object with exactly these fields: a missing one and one too many are TypeErrors that name
 * it, and the errors of the fields carry their path (`stats.packets`).
 */
export function struct<S extends Schema>(schema: S): StructCodec<{ -readonly [K in keyof S]: Infer<S[K]> }> {
  return layOut('struct', schema, false)
}

/** A struct with `__attribute__((packed))`: no padding between its fields or after them, alignment 1. */
export function packed<S extends Schema>(schema: S): StructCodec<{ -readonly [K in keyof S]: Infer<S[K]> }> {
  return layOut('packed', schema, true)
}

function layOut<S extends Schema>(kind: string, schema: S, pack: boolean): StructCodec<InferFields<S>> {
  const fields: StructField[] = []
  const padding: number[] = []
  let end = 0
  let align = 1
  for (const [name, codec] of Object.entries(checkSchema(kind, schema))) {
    const fieldAlign = pack ? 1 : codec.align
    const offset = roundUp(end, fieldAlign)
    for (let i = end; i < offset; i++) padding.push(i)
    fields.push(Object.freeze({ name, offset, codec }))
    end = offset + codec.size
    align = Math.max(align, fieldAlign)
  }
  const size = roundUp(end, align)
  for (let i = end; i < size; i++) padding.push(i)
  const name = `${kind} { ${fields.map((field) => `${field.name}: ${field.codec.name}`).join(', ')} }`
  return structCodec<InferFields<S>>(name, size, align, Object.freeze(fields), padding)
}

function checkSchema(kind: string, schema: unknown): Schema {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new TypeError(`${kind} takes an object of codecs by field name, not ${shown(schema)}`)
  }
  const entries = Object.entries(schema)
  if (entries.length === 0) throw new TypeError(`${kind} takes one field at least`)
  for (const [name, codec] of entries) {
    // JavaScript moves keys that look like integers to the front of an object: the layout would change in silence.
    // '__proto__' is not a property like others. C allows neither to begin with.
    if (/^(\d.*)?$/s.test(name) || name === '__proto__') {
      throw new TypeError(`${JSON.stringify(name)} cannot be the name of a field`)
    }
    try {
      checkCodec(codec)
    } catch (error) {
      throw withPath(name, error)
    }
  }
  return schema as Schema
}

function roundUp(n: number, align: number): number {
  return Math.ceil(n / align) * align
}

function structCodec<T>(
  name: string,
  size: number,
  align: number,
  fields: readonly StructField[],
  padding: readonly number[],
): StructCodec<T> {
  // Parallel arrays of one kind each, and plain loops over them: reading 100,000 values spends its time here.
  // Objects are filled in field order, so that V8 gives all of them one hidden class. Measured: a constructor of its
  // own per struct is a tenth faster, which its strangeness is not worth; spreading a template and unrolled literals
  // are slower as soon as a process has a handful of structs.
  const count = fields.length
  const names = fields.map((field) => field.name)
  const offsets = fields.map((field) => field.offset)
  const codecs = fields.map((field) => field.codec)
  const known = new Set(names)

  function write(view: DataView, offset: number, value: T): void {
    if (typeof value !== 'object' || value === null) throw new TypeError(`${name} takes an object, not ${shown(value)}`)
    const record = value as Record<string, unknown>
    let own = 0
    for (const _ in record) own++
    if (own !== count) refuseUnknown(record)
    let i = 0
    try {
      for (; i < count; i++) {
        const key = names[i] as string
        const field = record[key]
        if (field === undefined && !(key in record)) throw new TypeError(`missing in the value for ${name}`)
        ;(codecs[i] as Codec<unknown>).write(view, offset + (offsets[i] as number), field)
      }
    } catch (error) {
      throw withPath(names[i] as string, error)
    }
    for (let p = 0; p < padding.length; p++) view.setUint8(offset + (padding[p] as number), 0)
  }

  function read(view: DataView, offset: number): T {
    const out: Record<string, unknown> = {}
    let i = 0
    try {
      for (; i < count; i++) {
        out[names[i] as string] = (codecs[i] as Codec<unknown>).read(view, offset + (offsets[i] as number))
      }
    } catch (error) {
      throw withPath(names[i] as string, error)
    }
    return out as T
  }

  function refuseUnknown(record: Record<string, unknown>): void {
    for (const key in record) {
      if (!known.has(key)) throw withPath(key, new TypeError(`no such field in ${name}`))
    }
  }

  return makeCodec<T>({ name, size, align, write, read, shape: { kind: 'struct', fields } }, fields)
}
