import { type LinkCreateFields, linkCreate, linkUpdate } from '../../syscalls/bpf-link'
import type { Subject } from '../../syscalls/errno'
import { BPF_STRUCT_OPS } from '../../syscalls/uapi-attach-type'
import { BPF_F_REPLACE } from '../../syscalls/uapi-link'
import { BPF_MAP_TYPE_STRUCT_OPS } from '../../syscalls/uapi-map'
import { unsupportedOr } from '../features/unsupported'
import type { HasFd } from '../handle/fd-of'
import { Handle } from '../handle/handle'
import { mapTypeLabel } from '../map/attributes'
import { checkKnownOptions } from '../text/known-options'
import { UPDATE } from './attachment'
import { Link } from './link'
import { type KnownMap, lookAtMap } from './map-target'

/**
 * Puts the functions in a map of type `struct_ops` to work, for as long as the link is there: a TCP congestion control,
 * a scheduler. The map was made with the flag LINK, and its one entry is set: the struct, with the fds of programs
 * where it has functions.
 *
 * Errors: TypeError (no map, or one of another type); EINVAL (without the flag LINK, or not set yet), EEXIST (one of
 * this name is there), EBUSY, EPERM. Linux 6.4.
 */
export function attachStructOps(map: HasFd): StructOpsLink {
  const { fd: map_fd, label } = lookAtStructOps(map)
  const hint = (_command: string, code: string) => {
    if (code === 'EEXIST') return 'one of the same name is there already'
    if (code !== 'EINVAL') return undefined
    return 'the map was made without the flag LINK, or its one entry is not set; or the kernel is from before Linux 6.4'
  }
  return StructOpsLink.create({ map_fd, attach_type: BPF_STRUCT_OPS }, { description: `struct_ops ${label}`, hint })
}

/** A link that keeps a struct of functions at work, and takes another in its place. */
export class StructOpsLink extends Link {
  /** @internal */
  static create(fields: LinkCreateFields, subject: Subject): StructOpsLink {
    let fd: number
    try {
      fd = linkCreate(fields, subject)
    } catch (error) {
      throw unsupportedOr(error, () => [['attach', 'struct_ops']])
    }
    const handle = new Handle(fd, `a link: ${subject.description}`)
    try {
      return new StructOpsLink(handle, subject.description)
    } catch (error) {
      handle.close()
      throw error
    }
  }

  /**
   * Puts another map of the same struct in place of the one that is at work, with no moment in between: it has the flag
   * LINK, and its one entry is set. A TCP congestion control keeps its name. Errors: TypeError; EPERM (`replacing` is
   * not the map that is there), EINVAL (another struct, or name; not set), EOPNOTSUPP (such structs are not replaced),
   * ENOLINK (detached).
   */
  override update(map: HasFd, options: { readonly replacing?: HasFd | undefined } = {}): void {
    checkKnownOptions(options, UPDATE)
    const { replacing } = options
    const { fd: link_fd } = this
    const { fd: new_map_fd } = lookAtStructOps(map)
    const old_map_fd = replacing === undefined ? undefined : lookAtStructOps(replacing).fd
    const flags = old_map_fd === undefined ? undefined : BPF_F_REPLACE
    const hint = (_command: string, code: string) => (code === 'EINVAL' ? UNLIKE : undefined)
    linkUpdate({ link_fd, new_map_fd, flags, old_map_fd }, { description: this.description, hint })
  }
}

const UNLIKE =
  'the map is of another struct, or was made without the flag LINK, or is not set; or its TCP congestion control has another name'

function lookAtStructOps(map: HasFd): KnownMap {
  const known = lookAtMap(map)
  if (known.type === BPF_MAP_TYPE_STRUCT_OPS) return known
  throw new TypeError(`a map of type STRUCT_OPS is put to work: ${known.label} is of type ${mapTypeLabel(known.type)}`)
}
