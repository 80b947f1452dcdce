import { isUint8Array } from 'node:util/types'
import { progInfo, progTryOpenById } from '../../syscalls/bpf-prog'
import { KernelError } from '../../syscalls/errno'
import { checkKind, closeFd } from '../../syscalls/fd'
import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import { fdOf, type HasFd } from '../handle/fd-of'
import { type ProgramTypeLabel, programTypeLabel } from '../program/names'
import { programLabel as labelOf } from '../program/options'
import { Program } from '../program/program'
import { given } from '../text/given'

/** A program to attach: a `Program`, or whatever has the fd of one. */
export type ProgramLike = Program | HasFd

/** What is known of a program that is to be attached. */
export interface KnownProgram {
  readonly fd: number
  readonly id: number
  readonly type: ProgramTypeLabel
  /** "Program#12 'count'" */
  readonly description: string
  /** What it was loaded for; undefined where only an fd was given: the kernel does not tell. */
  readonly expectedAttachType: AttachTypeName | undefined
}

/**
 * Looks at a program before it is attached: it must be open, and of one of the types, or of any where none is given.
 * `where` is what it is to be attached to, for the message. Throws TypeError, ClosedError.
 */
export function checkProgram(program: ProgramLike, where: string, ...types: readonly ProgramTypeName[]): KnownProgram {
  const known = look(program, types)
  if (types.length > 0 && !types.some((wanted) => wanted === known.type)) {
    const wanted = types.join(' or ')
    throw new TypeError(`${where} takes a program of type ${wanted}: ${known.description} is of type ${known.type}`)
  }
  return known
}

function look(program: ProgramLike, types: readonly ProgramTypeName[]): KnownProgram {
  if (typeof program !== 'number') checkHasFd(program, types)
  const fd = fdOf(program, 'program')
  if (program instanceof Program) {
    const { id, type, description, expectedAttachType } = program
    return { fd, id, type, description, expectedAttachType }
  }
  checkKind(fd, 'bpf-prog', typeof program === 'number' ? undefined : given(program))
  const { type, id, name } = progInfo(fd, {}, { description: `fd ${fd}` })
  return { fd, id, type: programTypeLabel(type), description: labelOf(name, id), expectedAttachType: undefined }
}

/** Asks whether there is an fd, and does not read it: that of a closed program says so. */
function checkHasFd(program: unknown, [type = 'xdp']: readonly ProgramTypeName[]): void {
  if (typeof program === 'object' && program !== null) {
    if ('fd' in program) return
    if ('bytes' in program || isUint8Array(program)) {
      throw new TypeError(`program is a Program, not its code: Program.load({ type: '${type}', code }) makes one`)
    }
  }
  throw new TypeError(`program is a Program, or the fd of one, not ${given(program)}`)
}

/** "Program#12 'count'"; without the name where this process may not ask for it, or the program is gone. */
export function programLabel(id: number): string {
  let name = ''
  try {
    const fd = progTryOpenById(id)
    if (fd !== undefined) {
      try {
        name = progInfo(fd).name
      } finally {
        closeFd(fd)
      }
    }
  } catch (error) {
    // It takes CAP_SYS_ADMIN and a free fd to be told. The number says enough.
    if (!(error instanceof KernelError)) throw error
  }
  return labelOf(name, id)
}
