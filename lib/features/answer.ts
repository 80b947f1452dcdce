import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'

/** What the kernel was found to have. */
export interface Answer {
  /** Undefined where that cannot be told: a capability is missing, lockdown forbids it, there is no memory. */
  readonly has: boolean | undefined
  /** What the kernel said that it was concluded from, where that is not "yes". */
  readonly why: string
}

export const YES: Answer = { has: true, why: '' }
export const no = (why: string): Answer => ({ has: false, why })
export const cannotTell = (why: string): Answer => ({ has: undefined, why })

/** What an attempt came to: '' for success, else the code; with the kernel's words. */
export interface Outcome {
  readonly code: string
  readonly why: string
}

/** Makes the attempt. An fd that it gives is closed: a probe leaves nothing behind. */
export function attempt(make: () => unknown): Outcome {
  try {
    const fd = make()
    if (typeof fd === 'number') closeFd(fd)
    return { code: '', why: '' }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    return { code: error.code, why: error.message }
  }
}

/** Which codes mean that the kernel has it, and which that it has not; all others tell nothing. */
export interface Meaning {
  /** Besides success. */
  readonly yes?: readonly string[]
  readonly no: readonly string[]
}

export function judge({ code, why }: Outcome, meaning: Meaning): Answer {
  if (code === '' || meaning.yes?.includes(code) === true) return YES
  return meaning.no.includes(code) ? no(why) : cannotTell(why)
}

/** Yes if all say yes, no if one of them says no. */
export function all(...questions: readonly (() => Answer)[]): Answer {
  let unclear: Answer | undefined
  for (const question of questions) {
    const answer = question()
    if (answer.has === false) return answer
    if (answer.has === undefined) unclear ??= answer
  }
  return unclear ?? YES
}

/** Yes if one of them says yes, no if all say no. */
export function any(questions: Iterable<() => Answer>, none: string): Answer {
  let unclear: Answer | undefined
  let refused: Answer | undefined
  for (const question of questions) {
    const answer = question()
    if (answer.has === true) return answer
    if (answer.has === undefined) unclear ??= answer
    else refused ??= answer
  }
  return unclear ?? refused ?? no(none)
}

/** An fd that is surely not open, for calls that look at their target after they know what is asked of them. */
export const NO_FD = 0x7fffffff
