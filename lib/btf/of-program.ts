import { btfInfo, btfOpenById } from '../../syscalls/bpf-btf'
import { progInfo } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { btfImageOf, findType } from './find'

/**
 * The id of a function in the BTF that a loaded program came with; undefined where the BTF has none of that name, null
 * where the program came without. Needs CAP_SYS_ADMIN. Errors: EPERM.
 */
export function programFunctionId(fd: number, name: string, subject: Subject): number | undefined | null {
  const { btf_id } = progInfo(fd, {}, subject)
  if (btf_id === 0) return null
  const btf = btfOpenById(btf_id, undefined, { description: `BTF#${btf_id} of ${subject.description}` })
  try {
    const bytes = Buffer.alloc(btfInfo(btf).btf_size)
    btfInfo(btf, { btf: bytes })
    return findType(btfImageOf(bytes), 'func', name)
  } finally {
    closeFd(btf)
  }
}
