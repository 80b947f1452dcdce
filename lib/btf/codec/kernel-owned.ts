import type { Btf } from '../btf'

/** The structs that only the kernel reads and writes, wherever they are in a value (btf_get_field_type of kernel/bpf/btf.c). */
const STRUCTS: ReadonlySet<string> = new Set([
  ...['bpf_spin_lock', 'bpf_res_spin_lock', 'bpf_timer', 'bpf_wq', 'bpf_task_work', 'bpf_refcount'],
  ...['bpf_list_head', 'bpf_list_node', 'bpf_rb_root', 'bpf_rb_node'],
])

/** What makes a pointer one that the kernel counts. Not 'uptr': that is user space's to write (Linux 6.13). */
const TAGS: ReadonlySet<string> = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr'])

/** As many types one after another as the kernel follows (MAX_RESOLVE_DEPTH). */
const DEPTH = 32

/**
 * What the kernel keeps to itself of a map's values, 'bpf_spin_lock' or 'kptr': reading a value finds zeros there
 * (check_and_init_map_value of include/linux/bpf.h), and what is written there is not taken (bpf_obj_memcpy), but a write
 * stops timers and drops references (bpf_obj_free_fields). undefined for everything else.
 */
export function kernelOwned(btf: Btf, id: number): string | undefined {
  let pointer = false
  let left = id
  for (let depth = 0; depth <= DEPTH; depth++) {
    const type = btf.type(left)
    switch (type.kind) {
      case 'type_tag':
        if (pointer && TAGS.has(type.name)) return type.name
        left = type.type
        break
      case 'ptr':
        if (pointer) return undefined
        pointer = true
        left = type.type
        break
      case 'array':
        if (pointer) return undefined
        left = type.type
        break
      case 'typedef':
      case 'const':
      case 'volatile':
      case 'restrict':
        left = type.type
        break
      default:
        return !pointer && type.kind === 'struct' && STRUCTS.has(type.name) ? type.name : undefined
    }
  }
  return undefined
}
