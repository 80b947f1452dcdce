import { BPF_STRUCT_OPS } from '../../syscalls/uapi-attach-type'
import { BPF_MAP_TYPE_STRUCT_OPS } from '../../syscalls/uapi-map'
import type { HasFd } from '../handle/fd-of'
import { mapTypeLabel } from '../map/attributes'
import { createLink, type Link } from './link'
import { lookAtMap } from './map-target'

/**
 * Puts the functions in a map of type `struct_ops` to work, for as long as the link is there: a TCP congestion control,
 * a scheduler. The map was made with the flag LINK, and its one entry is set: the struct, with the fds of programs where
 * it has functions.
 *
 * Errors: TypeError (no map, or one of another type); EINVAL (without the flag LINK, or not set yet), EEXIST (one of this
 * name is there), EBUSY, EPERM. Linux 6.4.
 */
export function attachStructOps(map: HasFd): Link {
  const { fd: map_fd, type, label } = lookAtMap(map)
  if (type !== BPF_MAP_TYPE_STRUCT_OPS) {
    throw new TypeError(`a map of type STRUCT_OPS is put to work: ${label} is of type ${mapTypeLabel(type)}`)
  }
  const hint = (_command: string, code: string) => {
    if (code === 'EEXIST') return 'one of the same name is there already'
    if (code !== 'EINVAL') return undefined
    return 'the map was made without the flag LINK, or its one entry is not set; or the kernel is from before Linux 6.4'
  }
  return createLink({ map_fd, attach_type: BPF_STRUCT_OPS }, `struct_ops ${label}`, [['attach', 'struct_ops']], hint)
}
