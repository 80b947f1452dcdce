import type { ProgramTypeName } from '../../syscalls/uapi-names'
import type { Codec } from '../codec'
import type { MapFlag, MapType } from '../map'
import type { AttachTarget, AttachTypeName, ProgramFlag } from '../program'

/** A map as an object describes it. All but its name may be changed until it is loaded. */
export interface ObjectMap {
  /** As in the source; the kernel is given the first 15 bytes of it. Of variables: their section, '.rodata'. */
  readonly name: string
  type: MapType
  /** Bytes. */
  keySize: number
  /** Bytes of one value, on one CPU. */
  valueSize: number
  maxEntries: number
  flags: MapFlag[]
  /** BLOOM_FILTER: hash functions; ARENA: address. */
  mapExtra: bigint
  numaNode: number | undefined
  /** 'by-name' pins it in the folder of variable `pins` of `load`, or takes the map that is pinned there already. */
  pinning: 'none' | 'by-name'
  /** What its inner maps look like, where it is an outer map whose source says so. */
  inner: ObjectMap | undefined
  /** What the source puts into its slots: names of maps, of an outer map, or of programs, of a PROG_ARRAY. */
  values: (string | undefined)[]
  /** The types of keys and values in the object's BTF, where the source tells them; 0 where it does not. */
  keyType: number
  valueType: number
  /** How keys and values are read and written; undefined for what their types in BTF say, or for bytes without. */
  key: Codec<unknown> | undefined
  value: Codec<unknown> | undefined
  /** False leaves it out: nothing that is loaded may then use it. */
  autocreate: boolean
  /** What programs stand for which of its functions, where the map is of type STRUCT_OPS; undefined of all others. */
  readonly structOps?: ObjectStructOps
}

/**
 * A struct of the kernel's that programs implement: a variable in section `.struct_ops`, or `.struct_ops.link`, which has
 * the flag LINK. What a program stands for is loaded with the map, and not without one.
 */
export interface ObjectStructOps {
  /** The kernel's struct, without a flavour: 'tcp_congestion_ops'. */
  readonly struct: string
  /** Its functions, with the names of the programs that they are; undefined for none: `programs.cwnd_event = undefined`. */
  readonly programs: Record<string, string | undefined>
  /** Its other members, read and written by their types in BTF: `values.name = 'mine'`. */
  readonly values: Record<string, unknown>
  /** Whether `attach` of the loaded object puts it to work. */
  autoattach: boolean
}

/** A program as an object describes it. What is not readonly may be changed until it is loaded. */
export interface ObjectProgram {
  readonly name: string
  /** 'tracepoint/raw_syscalls/sys_enter': what it is for, by the convention of libbpf. */
  readonly section: string
  /** What of the section's name tells the kind: 'tracepoint'; undefined where the name tells nothing. */
  readonly kind: string | undefined
  /** What follows: 'raw_syscalls/sys_enter'. */
  readonly target: string | undefined
  /** Its instructions and, behind them, those of the functions that it calls; maps are not filled in. */
  readonly code: Uint8Array
  /** undefined where the section's name does not tell. */
  type: ProgramTypeName | undefined
  expectedAttachType: AttachTypeName | undefined
  /** What `tracing`, `lsm` and `ext` programs are written for: the section's target where not set. */
  attachTo: AttachTarget | undefined
  flags: ProgramFlag[]
  /**
   * Whether `load` loads it; sections whose name begins with '?' are not. One of type `struct_ops` is loaded where a map
   * that is made has it, as libbpf does.
   */
  autoload: boolean
  /** Whether `attach` attaches it, where its section says where. */
  autoattach: boolean
}
