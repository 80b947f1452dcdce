import type { AttachTypeName } from '../../syscalls/uapi-names'
import type { KnownProgram } from './program'

const MULTI: readonly AttachTypeName[] = [
  'trace_kprobe_multi',
  'trace_kprobe_session',
  'trace_uprobe_multi',
  'trace_uprobe_session',
]

/** Refuses a program that is known to be for many functions at once where it is to be attached to one. */
export function checkForOne({ description, expectedAttachType }: KnownProgram, where: string): void {
  if (expectedAttachType === undefined || !MULTI.includes(expectedAttachType)) return
  throw new TypeError(
    `${where} takes a program without an expectedAttachType: ${description} was loaded for ${expectedAttachType}`,
  )
}

/**
 * The one of the attach types that the program was loaded for. Where only an fd is known of it, the kernel does not tell:
 * then `otherwise`. Throws TypeError for a program that was loaded for something else.
 */
export function loadedFor<Name extends AttachTypeName>(
  { description, expectedAttachType }: KnownProgram,
  where: string,
  types: readonly Name[],
  otherwise: Name,
): Name {
  if (expectedAttachType === undefined) return otherwise
  const found = types.find((type) => type === expectedAttachType)
  if (found !== undefined) return found
  const wanted = types.map((type) => `'${type}'`).join(' or ')
  throw new TypeError(
    `${where} takes expectedAttachType ${wanted}: ${description} was loaded for ${expectedAttachType}`,
  )
}
