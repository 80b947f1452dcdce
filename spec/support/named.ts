import { mapInfo, mapTryOpenById } from '../../syscalls/bpf'
import { closeFd } from '../../syscalls/fd'
import { mapIds } from './kernel'

/** The ids of all maps of the system with this name: others make maps too while a spec runs. */
export function idsOfMapsNamed(name: string): number[] {
  return mapIds().filter((id) => {
    const fd = mapTryOpenById(id)
    if (fd === undefined) return false
    try {
      return mapInfo(fd).name === name
    } finally {
      closeFd(fd)
    }
  })
}
