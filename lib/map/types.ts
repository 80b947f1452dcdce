import { btfTryOpenById } from '../../syscalls/bpf-btf'
import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { Btf, codecOf } from '../btf'
import type { Codec } from '../codec'
import type { BpfMap } from './bpf-map'
import type { MapAttributes, MapSpec, MapTypes } from './spec'

/** What the BTF that a map carries says of its keys and values; undefined where it says nothing. */
export interface Typed {
  readonly key: Codec<unknown> | undefined
  readonly value: Codec<unknown> | undefined
  /** Why a key or a value that has a type could not be given a codec. */
  readonly note: string | undefined
}

/** What only bytes are known of. */
export const UNTYPED: Typed = { key: undefined, value: undefined, note: undefined }

/** BTF by the id of its object, for as long as somebody uses it. Ids are not given again before 2^31 of them are through. */
const parsed = new Map<number, WeakRef<Btf>>()
const collected = new FinalizationRegistry<number>((id) => {
  if (parsed.get(id)?.deref() === undefined) parsed.delete(id)
})

/** The BTF of an object: read once for all of its maps. Its fd is closed by then. Errors: EPERM. */
function btfOf(id: number): Btf {
  const before = parsed.get(id)?.deref()
  if (before !== undefined) return before
  const btf = Btf.fromId(id)
  parsed.set(id, new WeakRef(btf))
  collected.register(btf, id)
  return btf
}

/** The codecs of a map by the BTF that it carries, of those of them that are asked for. */
export function typedBy(attributes: MapAttributes, wanted: { readonly key: boolean; readonly value: boolean }): Typed {
  const { types, keySize, valueSize } = attributes
  if (types === undefined) return UNTYPED
  const notes: string[] = []
  const codec = (what: 'key' | 'value', typeId: number, size: number): Codec<unknown> | undefined => {
    // 0 is void: nothing is said, as of the keys of variables.
    if (!wanted[what] || typeId === 0) return undefined
    try {
      const found = codecOf<unknown>(btfOf(types.btfId), typeId)
      if (found.size === size) return found
      notes.push(`${what}s are bytes: their type in BTF#${types.btfId} has ${found.size} bytes, and they have ${size}`)
    } catch (error) {
      if (!isAboutBtf(error)) throw error
      notes.push(`${what}s are bytes: ${error.message}`)
    }
    return undefined
  }
  const key = codec('key', types.keyTypeId, keySize)
  const value = codec('value', types.valueTypeId, valueSize)
  return { key, value, note: notes.length === 0 ? undefined : notes.join('\n') }
}

/** Whether a map can do without: no right to read BTF, or BTF that says what no codec can be made of. */
function isAboutBtf(error: unknown): error is Error {
  if (error instanceof KernelError) return error.code === 'EPERM' || error.code === 'EACCES'
  // BtfError, and what codecs say of types that are none of C's.
  return error instanceof Error && ['BtfError', 'TypeError', 'RangeError'].includes(error.name)
}

/**
 * The same description, whose maps carry the same types: without, new inner maps would be bytes to whoever opens them, and
 * those whose values have a bpf_spin_lock would not fit (bpf_map_meta_equal).
 */
export function withTypes<M extends BpfMap>(spec: MapSpec<M>, types: MapTypes | undefined): MapSpec<M> {
  if (types === undefined) return spec
  return spec.with({
    build(attributes, subject) {
      const fd = tryOpen(types.btfId)
      if (fd === undefined) return spec.make(attributes, subject)
      try {
        const { keyTypeId, valueTypeId } = types
        return spec.make({ ...attributes, btf: { fd, keyTypeId, valueTypeId } }, subject)
      } finally {
        // The map keeps what it needs of it.
        closeFd(fd)
      }
    },
  })
}

/** undefined where the object is gone with the last map of it, or this process may no longer open it. */
function tryOpen(id: number): number | undefined {
  try {
    return btfTryOpenById(id, undefined, { description: `BTF#${id}` })
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EPERM') return undefined
    throw error
  }
}
