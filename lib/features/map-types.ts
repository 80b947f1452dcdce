import { type MapCreateFields, mapCreate } from '../../syscalls/bpf'
import { btfLoad } from '../../syscalls/bpf-btf'
import { closeFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi-map'
import { MAP_TYPE_NUMBERS, type MapTypeName } from '../../syscalls/uapi-names'
import { MINIMAL_KEY_ID, MINIMAL_VALUE_ID, minimalBtf } from '../btf/minimal'
import { type Answer, attempt, judge } from './answer'

type Shape = Omit<MapCreateFields, 'map_type'>

/** Keys and values that most types take. */
const TABLE: Shape = { key_size: 4, value_size: 4, max_entries: 1 }
const LESS: Shape = { ...TABLE, map_flags: uapi.BPF_F_NO_PREALLOC }
/** Without keys. */
const VALUES: Shape = { ...TABLE, key_size: 0 }
/** A power of two and whole pages, of 64 KiB too. */
const RING: Shape = { key_size: 0, value_size: 0, max_entries: 65536 }
/** A cgroup's id is the key; the kernel takes no number of entries. */
const OF_CGROUPS: Shape = { key_size: 8, value_size: 4, max_entries: 0 }

/** What a type wants that does not take a TABLE. */
const SHAPES: { readonly [Type in MapTypeName]?: Shape } = {
  stack_trace: { ...TABLE, value_size: 8 },
  lpm_trie: { ...LESS, key_size: 8 },
  cgroup_storage: OF_CGROUPS,
  percpu_cgroup_storage: OF_CGROUPS,
  queue: VALUES,
  stack: VALUES,
  bloom_filter: VALUES,
  ringbuf: RING,
  user_ringbuf: RING,
  arena: { key_size: 0, value_size: 0, max_entries: 1, map_flags: uapi.BPF_F_MMAPABLE },
  // struct bpf_insn_array_value
  insn_array: { ...TABLE, value_size: 16 },
  rhash: LESS,
}

const OUTER: readonly MapTypeName[] = ['array_of_maps', 'hash_of_maps']
const STORAGE: readonly MapTypeName[] = ['sk_storage', 'inode_storage', 'task_storage', 'cgrp_storage']

/**
 * Makes the smallest map of the type. The kernel looks for the type before all else, and what is asked for here every
 * kernel that has it grants: EINVAL is a no. Arenas say EOPNOTSUPP where the machine's JIT cannot have them.
 */
export function probeMapType(type: MapTypeName): Answer {
  return judge(
    attempt(() => createSmall(type)),
    {
      no: type === 'struct_ops' ? ['EINVAL'] : ['EINVAL', 'EOPNOTSUPP'],
      yes: type === 'struct_ops' ? ['ENOTSUPP'] : [],
    },
  )
}

/** A map of the type with one entry at most; the caller owns the fd. Throws KernelError. */
export function createSmall(type: MapTypeName, more: Partial<Shape> = {}): number {
  const subject = { description: `a map of type ${type}` }
  const fields = { map_type: MAP_TYPE_NUMBERS[type], ...(SHAPES[type] ?? TABLE), ...more }
  if (OUTER.includes(type)) {
    return closing(createSmall('array'), (inner_map_fd) => mapCreate({ ...fields, inner_map_fd }, subject))
  }
  if (STORAGE.includes(type)) {
    return closing(btfLoad({ btf: minimalBtf(4) }, subject), (btf_fd) =>
      mapCreate(
        {
          ...fields,
          max_entries: 0,
          map_flags: uapi.BPF_F_NO_PREALLOC,
          btf_fd,
          btf_key_type_id: MINIMAL_KEY_ID,
          btf_value_type_id: MINIMAL_VALUE_ID,
        },
        subject,
      ),
    )
  }
  if (type === 'struct_ops') {
    // No struct that programs can implement: ENOTSUPP of a kernel that knows the type (bpf_struct_ops_map_alloc).
    return mapCreate({ ...fields, btf_vmlinux_value_type_id: 1 }, subject)
  }
  return mapCreate(fields, subject)
}

/** What `use` makes of an fd, which is closed after. */
export function closing<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd)
  } finally {
    closeFd(fd)
  }
}
