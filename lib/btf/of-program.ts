import { progInfo } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import { Btf } from './btf'

/**
 * The id of a function in the BTF that a loaded program came with; undefined where the BTF has none of that name, null
 * where the program came without. Needs CAP_SYS_ADMIN. Errors: EPERM.
 */
export function programFunctionId(fd: number, name: string, subject: Subject): number | undefined | null {
  const { btf_id } = progInfo(fd, {}, subject)
  if (btf_id === 0) return null
  return Btf.fromId(btf_id).find(name, 'func')?.id
}
