import type { BtfValue } from '../btf'
import { type Codec, withPath } from '../codec'
import { checkCodec, makeCodec } from '../codec/make'
import { possibleCpus } from '../cpu/possible'
import { MAP_TYPES } from './attributes'

/**
 * What the kernel copies for one key of a per-CPU map: round_up(value_size, 8) bytes for each *possible* CPU, whatever
 * is online (bpf_percpu_hash_copy). A buffer of any other size is overrun, or leaves half of the values unread.
 */
export function perCpuCodec<V>(value: Codec<V>): Codec<V[]> {
  checkCodec(value)
  const cpus = possibleCpus()
  const stride = (value.size + 7) & ~7
  return makeCodec<V[]>({
    name: `${value.name} per CPU`,
    size: stride * cpus,
    align: 8,
    write(view, offset, values) {
      if (!Array.isArray(values)) throw new TypeError('a per-CPU value is a list, with a value for each possible CPU')
      if (values.length !== cpus) {
        throw new RangeError(`${values.length} values for ${cpus} possible CPUs (see possibleCpus())`)
      }
      for (let cpu = 0; cpu < cpus; cpu++) {
        const at = offset + cpu * stride
        for (let i = value.size; i < stride; i++) view.setUint8(at + i, 0)
        try {
          value.write(view, at, values[cpu] as V)
        } catch (error) {
          throw withPath(cpu, error)
        }
      }
    },
    read(view, offset) {
      const values: V[] = []
      for (let cpu = 0; cpu < cpus; cpu++) values.push(value.read(view, offset + cpu * stride))
      return values
    },
  })
}

const PER_CPU: ReadonlySet<number> = new Set([
  MAP_TYPES.PERCPU_HASH,
  MAP_TYPES.PERCPU_ARRAY,
  MAP_TYPES.LRU_PERCPU_HASH,
  MAP_TYPES.PERCPU_CGROUP_STORAGE,
])

/** Bytes that the kernel copies as the value of one key (bpf_map_value_size in kernel/bpf/syscall.c). */
export function copiedBytes({ type, valueSize }: { readonly type: number; readonly valueSize: number }): number {
  return PER_CPU.has(type) ? ((valueSize + 7) & ~7) * possibleCpus() : valueSize
}

/** What values of type V add up to: the same type where it is made of numbers alone. */
export type Sum<V> = BtfValue extends V
  ? BtfValue
  : V extends number | bigint
    ? V
    : V extends object
      ? { [K in keyof V]: Sum<V[K]> }
      : never

/** Adds numbers, bigints, and, field by field, lists and objects of them. */
export function sumValues<V>(values: readonly V[]): Sum<V> {
  return values.reduce<unknown>((sum, value) => (sum === undefined ? value : add(sum, value)), undefined) as Sum<V>
}

/** The sum of two values of one shape; the default way of merging what CPUs have counted apart. */
export function add(a: unknown, b: unknown): unknown {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  if (typeof a === 'bigint' && typeof b === 'bigint') return a + b
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) return a.map((x, i) => add(x, b[i]))
  if (isPlain(a) && isPlain(b)) {
    return Object.fromEntries(
      Object.entries(a).map(([name, x]) => [name, add(x, (b as Record<string, unknown>)[name])]),
    )
  }
  throw new TypeError(
    `cannot add up ${typeof a} and ${typeof b}: only numbers, bigints, and structs and arrays of them`,
  )
}

function isPlain(x: unknown): x is Record<string, unknown> {
  return typeof x === 'object' && x !== null && !ArrayBuffer.isView(x) && !Array.isArray(x)
}
