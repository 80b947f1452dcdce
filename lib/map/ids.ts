import { mapNextId } from '../../syscalls/bpf'

/** The ids of all maps of the system, in ascending order. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 4.13. */
export function mapIds(): number[] {
  const ids: number[] = []
  for (let id = mapNextId(0); id !== undefined; id = mapNextId(id)) ids.push(id)
  return ids
}
