import { BPF_TRACE_KPROBE_MULTI, BPF_TRACE_KPROBE_SESSION } from '../../syscalls/uapi-attach-type'
import { BPF_F_KPROBE_MULTI_RETURN } from '../../syscalls/uapi-link'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { cookiesOf, matching } from './each'
import type { Cookie } from './event'
import { functionHint, unknownFunctions } from './kernel-functions'
import { checkFunction } from './kprobe'
import { createLink, type Link } from './link'
import { loadedFor } from './loaded-for'
import { checkProgram, type ProgramLike } from './program'
import { traceableFunctions } from './tracefs'

export interface ProbeMultiOptions {
  /** One for each of the names, in their order; not with a pattern. */
  readonly cookies?: readonly Cookie[] | undefined
  /** At the functions' returns. */
  readonly return?: boolean | undefined
  /**
   * At both ends, for a program that was loaded for that: what it returns at the beginning decides whether it is run at
   * the end. Need not be said of a Program, which knows what it was loaded for.
   */
  readonly session?: boolean | undefined
}

const OPTIONS = optionNames<ProbeMultiOptions>({ cookies: true, return: true, session: true })

/**
 * Attaches a program of type `kprobe`, loaded with expectedAttachType `trace_kprobe_multi` (or `trace_kprobe_session`,
 * Linux 6.10), to many functions of the kernel by one link: at their beginnings or returns only. The functions are named,
 * or told by a pattern for which all are tried that the kernel can trace (which needs tracefs).
 *
 * Errors: TypeError (a program of another type or attach type); UnsupportedError; ESRCH (some of the functions do not
 * exist, or cannot be traced), ENOENT (a pattern for which there is none, or tracefs is not mounted), EINVAL (the program
 * was not loaded for it), EPERM. Linux 5.18.
 */
export function attachKprobeMulti(
  program: ProgramLike,
  functions: readonly string[] | RegExp,
  options: ProbeMultiOptions = {},
): Link {
  checkKnownOptions(options, OPTIONS)
  const { cookies, return: atReturn = false, session = false } = options
  checkBooleans({ return: atReturn, session })
  const known = checkProgram(program, 'kprobe_multi', 'kprobe')
  const given = session ? 'trace_kprobe_session' : 'trace_kprobe_multi'
  const loaded = loadedFor(known, 'kprobe_multi', ['trace_kprobe_multi', 'trace_kprobe_session'], given)
  const isSession = loaded === 'trace_kprobe_session'
  if (isSession && atReturn) throw new TypeError('a session is at both ends of a function: it takes no return')
  const syms = namesOf(functions)
  const target = `${isSession ? 'kprobe_session' : 'kprobe_multi'} of ${syms.length} functions`
  const union = {
    member: 'kprobe_multi',
    syms,
    cookies: cookiesOf(cookies, syms.length, functions instanceof RegExp),
    flags: atReturn ? BPF_F_KPROBE_MULTI_RETURN : undefined,
  } as const
  const attach_type = isSession ? BPF_TRACE_KPROBE_SESSION : BPF_TRACE_KPROBE_MULTI
  const hint = (_command: string, code: string) => {
    if (code === 'ESRCH' || code === 'ENOENT') return unknown(syms)
    return code === 'EINVAL' ? `the program was not loaded with expectedAttachType '${loaded}'` : undefined
  }
  const feature = isSession ? 'kprobe_session' : 'kprobe_multi'
  return createLink({ prog_fd: known.fd, attach_type, union }, target, [['attach', feature]], hint)
}

function namesOf(functions: readonly string[] | RegExp): readonly string[] {
  if (functions instanceof RegExp) {
    return matching(traceableFunctions(), functions, 'the functions that the kernel can trace')
  }
  if (!Array.isArray(functions)) throw new TypeError('functions are a list of names, or a regular expression')
  if (functions.length === 0) throw new RangeError('no functions: at least one must be named')
  for (const name of functions as readonly string[]) checkFunction(name)
  return functions
}

/** Which of the names is wrong, and what may have been meant. */
function unknown(names: readonly string[]): string {
  const [first, ...more] = unknownFunctions(names)
  if (first === undefined) {
    return 'some of these functions cannot be traced (available_filter_functions in tracefs lists those that can)'
  }
  const others = more.length === 0 ? '' : `; ${more.length} more of the names are unknown`
  return `${functionHint(first)}${others}`
}
