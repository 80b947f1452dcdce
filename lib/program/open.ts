import { progNextId, progTryOpenById } from '../../syscalls/bpf-prog'
import { Handle } from '../handle/handle'
import { Program } from './program'

/** The ids of all programs of the system, in ascending order. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 4.13. */
export function programIds(): number[] {
  const ids: number[] = []
  for (let id = progNextId(0); id !== undefined; id = progNextId(id)) ids.push(id)
  return ids
}

/**
 * Every program of the system, each closed when its step ends: `Program.fromId(program.id)` gives one to keep. Programs
 * that vanish meanwhile are passed over. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 4.13.
 */
export function* programs(): Generator<Program, void, undefined> {
  for (let id = progNextId(0); id !== undefined; id = progNextId(id)) {
    const fd = progTryOpenById(id, { description: `Program#${id}` })
    if (fd === undefined) continue
    const program = Program.adopt(new Handle(fd, `Program#${id}`))
    program.handle.lent = 'programs() closes it when its step ends; Program.fromId(program.id) gives one to keep'
    try {
      yield program
    } finally {
      program.close()
    }
  }
}
