import { progInfo, progTryOpenById } from '../../syscalls/bpf-prog'
import { KernelError } from '../../syscalls/errno'
import { checkKind, closeFd } from '../../syscalls/fd'
import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import { fdOf, type HasFd } from '../handle/fd-of'
import { type ProgramTypeLabel, programTypeLabel } from './names'

/** A program to attach: a `Program`, or whatever has the fd of one. */
export type ProgramLike = HasFd

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
 * `where` is what it is to be attached to, for the message.
 */
export function checkProgram(program: ProgramLike, where: string, ...types: readonly ProgramTypeName[]): KnownProgram {
  const fd = fdOf(program, 'program')
  checkKind(fd, 'bpf-prog')
  const { type, id, name } = progInfo(fd, {}, { description: `fd ${fd}` })
  const label = programTypeLabel(type)
  const description = labelOfProgram(id, name)
  if (types.length > 0 && !types.some((wanted) => wanted === label)) {
    throw new TypeError(`${where} takes a program of type ${types.join(' or ')}: ${description} is of type ${label}`)
  }
  const { expectedAttachType } = program as { readonly expectedAttachType?: AttachTypeName }
  return { fd, id, type: label, description, expectedAttachType }
}

function labelOfProgram(id: number, name: string): string {
  return `Program#${id}${name === '' ? '' : ` '${name}'`}`
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
  return labelOfProgram(id, name)
}
