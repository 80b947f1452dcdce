import { checkKind } from '../../syscalls/fd'
import { BPF_STRUCT_OPS } from '../../syscalls/uapi-attach-type'
import { fdOf, type HasFd } from '../handle/fd-of'
import { createLink, type Link } from './link'

/**
 * Puts the functions in a map of type `struct_ops` to work, for as long as the link is there: a TCP congestion control,
 * a scheduler. The map was made with the flag LINK, and its one entry is set: the struct, with the fds of programs where
 * it has functions.
 *
 * Errors: TypeError (no map); EINVAL (not such a map, without the flag LINK, or not set yet), EEXIST (one of this name is
 * there), EBUSY, EPERM. Linux 6.4.
 */
export function attachStructOps(map: HasFd): Link {
  const map_fd = fdOf(map, 'map')
  checkKind(map_fd, 'bpf-map')
  const hint = (_command: string, code: string) => {
    if (code === 'EEXIST') return 'one of the same name is there already'
    if (code !== 'EINVAL') return undefined
    return 'not a map of type struct_ops, or one without the flag LINK, or without its entry; or a kernel before Linux 6.4'
  }
  return createLink({ map_fd, attach_type: BPF_STRUCT_OPS }, 'struct_ops', [['attach', 'struct_ops']], hint)
}
