/** Map types and the flags of map commands, from include/uapi/linux/bpf.h. Values up to Linux 7.3. */

// enum bpf_map_type
export const BPF_MAP_TYPE_UNSPEC = 0
export const BPF_MAP_TYPE_HASH = 1
export const BPF_MAP_TYPE_ARRAY = 2
export const BPF_MAP_TYPE_PROG_ARRAY = 3
export const BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4
export const BPF_MAP_TYPE_PERCPU_HASH = 5
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6
export const BPF_MAP_TYPE_STACK_TRACE = 7
export const BPF_MAP_TYPE_CGROUP_ARRAY = 8
export const BPF_MAP_TYPE_LRU_HASH = 9
export const BPF_MAP_TYPE_LRU_PERCPU_HASH = 10
export const BPF_MAP_TYPE_LPM_TRIE = 11
export const BPF_MAP_TYPE_ARRAY_OF_MAPS = 12
export const BPF_MAP_TYPE_HASH_OF_MAPS = 13
export const BPF_MAP_TYPE_DEVMAP = 14
export const BPF_MAP_TYPE_SOCKMAP = 15
export const BPF_MAP_TYPE_CPUMAP = 16
export const BPF_MAP_TYPE_XSKMAP = 17
export const BPF_MAP_TYPE_SOCKHASH = 18
export const BPF_MAP_TYPE_CGROUP_STORAGE = 19
export const BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20
export const BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE = 21
export const BPF_MAP_TYPE_QUEUE = 22
export const BPF_MAP_TYPE_STACK = 23
export const BPF_MAP_TYPE_SK_STORAGE = 24
export const BPF_MAP_TYPE_DEVMAP_HASH = 25
export const BPF_MAP_TYPE_STRUCT_OPS = 26
export const BPF_MAP_TYPE_RINGBUF = 27
export const BPF_MAP_TYPE_INODE_STORAGE = 28
export const BPF_MAP_TYPE_TASK_STORAGE = 29
export const BPF_MAP_TYPE_BLOOM_FILTER = 30
export const BPF_MAP_TYPE_USER_RINGBUF = 31
export const BPF_MAP_TYPE_CGRP_STORAGE = 32
export const BPF_MAP_TYPE_ARENA = 33
export const BPF_MAP_TYPE_INSN_ARRAY = 34 // 6.19
export const BPF_MAP_TYPE_RHASH = 35 // after 6.18

// Flags of BPF_MAP_UPDATE_ELEM (and, where they make sense there, of lookups and of batch.elem_flags).
export const BPF_ANY = 0
export const BPF_NOEXIST = 1
export const BPF_EXIST = 2
export const BPF_F_LOCK = 4
export const BPF_F_CPU = 8 // after 6.18: one CPU's value of a per-CPU map; the CPU's number in the upper 32 bits
export const BPF_F_ALL_CPUS = 16 // after 6.18: the same value on all CPUs of a per-CPU map

// map_flags of BPF_MAP_CREATE. BPF_F_RDONLY and BPF_F_WRONLY are also file_flags of BPF_OBJ_GET and open_flags of
// BPF_MAP_GET_FD_BY_ID; BPF_F_PATH_FD and BPF_F_TOKEN_FD belong to several commands.
export const BPF_F_NO_PREALLOC = 1 << 0
export const BPF_F_NO_COMMON_LRU = 1 << 1
export const BPF_F_NUMA_NODE = 1 << 2
export const BPF_F_RDONLY = 1 << 3
export const BPF_F_WRONLY = 1 << 4
export const BPF_F_STACK_BUILD_ID = 1 << 5
export const BPF_F_ZERO_SEED = 1 << 6
export const BPF_F_RDONLY_PROG = 1 << 7
export const BPF_F_WRONLY_PROG = 1 << 8
export const BPF_F_CLONE = 1 << 9
export const BPF_F_MMAPABLE = 1 << 10
export const BPF_F_PRESERVE_ELEMS = 1 << 11
export const BPF_F_INNER_MAP = 1 << 12
export const BPF_F_LINK = 1 << 13
export const BPF_F_PATH_FD = 1 << 14
export const BPF_F_VTYPE_BTF_OBJ_FD = 1 << 15
export const BPF_F_TOKEN_FD = 1 << 16
export const BPF_F_SEGV_ON_FAULT = 1 << 17
export const BPF_F_NO_USER_CONV = 1 << 18
export const BPF_F_RB_OVERWRITE = 1 << 19 // 6.19

// The header of a ring buffer's record: a u32 length with these two bits, then a u32 page offset.
export const BPF_RINGBUF_BUSY_BIT = 2 ** 31 // 1 << 31 would be negative in JavaScript
export const BPF_RINGBUF_DISCARD_BIT = 2 ** 30
export const BPF_RINGBUF_HDR_SZ = 8

// enum bpf_stack_build_id_status, and the size of a build id, for BPF_F_STACK_BUILD_ID stacks.
export const BPF_STACK_BUILD_ID_EMPTY = 0
export const BPF_STACK_BUILD_ID_VALID = 1
export const BPF_STACK_BUILD_ID_IP = 2
export const BPF_BUILD_ID_SIZE = 20
