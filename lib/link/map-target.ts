import { mapInfo } from '../../syscalls/bpf'
import { checkKind } from '../../syscalls/fd'
import { fdOf, type HasFd } from '../handle/fd-of'

/** What is known of a map that something is attached to. */
export interface KnownMap {
  readonly fd: number
  readonly id: number
  /** enum bpf_map_type */
  readonly type: number
  /** "map#12 'sockets'" */
  readonly label: string
}

/** Looks at a map before something is attached to it. Throws TypeError, ClosedError; EBADFD. */
export function lookAtMap(map: HasFd): KnownMap {
  const fd = fdOf(map, 'map')
  checkKind(fd, 'bpf-map')
  const { id, name, type } = mapInfo(fd, { description: `fd ${fd}` })
  return { fd, id, type, label: `map#${id}${name === '' ? '' : ` '${name}'`}` }
}
