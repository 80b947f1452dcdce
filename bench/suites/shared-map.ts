/**
 * One map for all sides: HASH u32 -> u64, 100,000 entries. Each side reaches it by its own means, so that no side has
 * the luckier memory.
 */
import { HashMap, u32, u64 } from '../../lib/index'
import type { NpmBpf, NpmConversion, NpmConvMap, NpmRawMap } from '../peers/npm-bpf'
import { ENTRIES, probes, values } from '../workload'

export function createSharedMap() {
  const map = HashMap.create({ name: 'bench', key: u32, value: u64, maxEntries: ENTRIES })
  map.setMany(probes.map((key, at) => [key, values[at] as bigint]))
  return map
}

/** What the JavaScript sides have in common. */
export interface Entries {
  get(key: number): bigint | undefined
  set(key: number, value: bigint): unknown
  delete(key: number): boolean
}

const u64type: NpmConversion<bigint> = {
  parse: (buffer) => buffer.readBigUInt64LE(),
  format: (buffer, value) => {
    buffer.writeBigUInt64LE(value)
  },
}

/** The same map through `bpf`, in two ways. */
export interface NpmMaps extends Disposable {
  /** As its documentation shows it: typed keys and values. */
  conv: NpmConvMap<number, bigint>
  /** At its fastest: raw bytes in buffers that are kept, converted by the caller. */
  raw: Entries
}

export function openNpmMaps(bpf: NpmBpf | string, id: number): NpmMaps | string {
  if (typeof bpf === 'string') return bpf
  const ref = bpf.openMap(id)
  return {
    conv: new bpf.ConvMap(ref, bpf.u32type, u64type),
    raw: rawEntries(new bpf.RawMap(ref)),
    [Symbol.dispose]: () => ref.close(),
  }
}

function rawEntries(map: NpmRawMap): Entries {
  const keys = new Uint32Array(1)
  const values = new BigUint64Array(1)
  const key = Buffer.from(keys.buffer)
  const value = Buffer.from(values.buffer)
  return {
    get(k) {
      keys[0] = k
      return map.get(key, 0, value) ? values[0] : undefined
    },
    set(k, v) {
      keys[0] = k
      values[0] = v
      return map.set(key, value)
    },
    delete(k) {
      keys[0] = k
      return map.delete(key)
    },
  }
}
