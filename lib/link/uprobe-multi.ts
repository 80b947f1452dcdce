import { BPF_TRACE_UPROBE_MULTI, BPF_TRACE_UPROBE_SESSION } from '../../syscalls/uapi-attach-type'
import { BPF_F_UPROBE_MULTI_RETURN } from '../../syscalls/uapi-link'
import { readFunctions } from '../elf-file/symbols'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { cookiesOf, matching } from './each'
import type { ProbeMultiOptions } from './kprobe-multi'
import { createLink, type Link } from './link'
import { loadedFor } from './loaded-for'
import { checkPid } from './pid'
import { checkProgram, type ProgramLike } from './program'
import { checkPath, offsetsOf, type UserFunction, uprobeHint } from './uprobe'

export interface UprobeMultiOptions extends ProbeMultiOptions {
  /** The one process that is traced, by its id; else all that run the file. */
  readonly pid?: number | undefined
}

const OPTIONS = optionNames<UprobeMultiOptions>({ cookies: true, return: true, session: true, pid: true })

/**
 * Attaches a program of type `kprobe`, loaded with expectedAttachType `trace_uprobe_multi` (or `trace_uprobe_session`,
 * Linux 6.13), to many functions of an executable or a shared library by one link. They are named, or told by their offset
 * in the file, or by a pattern for the names that the file has.
 *
 * Errors: TypeError (a program of another type or attach type); ElfError, as with `attachUprobe`; UnsupportedError;
 * ENOENT (no such file), EBADF (no regular file), ESRCH (no such process), EINVAL (the program was not loaded for it, or an
 * offset is not that of an instruction), EPERM. Linux 6.6.
 */
export function attachUprobeMulti(
  program: ProgramLike,
  path: string,
  functions: readonly UserFunction[] | RegExp,
  options: UprobeMultiOptions = {},
): Link {
  checkKnownOptions(options, OPTIONS)
  const { cookies, return: atReturn = false, session = false, pid } = options
  checkBooleans({ return: atReturn, session })
  checkPath(path)
  if (pid !== undefined) checkPid('pid', pid)
  const known = checkProgram(program, 'uprobe_multi', 'kprobe')
  const given = session ? 'trace_uprobe_session' : 'trace_uprobe_multi'
  const loaded = loadedFor(known, 'uprobe_multi', ['trace_uprobe_multi', 'trace_uprobe_session'], given)
  const isSession = loaded === 'trace_uprobe_session'
  if (isSession && atReturn) throw new TypeError('a session is at both ends of a function: it takes no return')
  const places = placesOf(path, functions)
  const offsets = BigUint64Array.from(places, BigInt)
  const feature = isSession ? 'uprobe_session' : 'uprobe_multi'
  const union = {
    member: 'uprobe_multi',
    path,
    offsets,
    cookies: cookiesOf(cookies, offsets.length, functions instanceof RegExp),
    flags: atReturn ? BPF_F_UPROBE_MULTI_RETURN : undefined,
    pid,
  } as const
  const attach_type = isSession ? BPF_TRACE_UPROBE_SESSION : BPF_TRACE_UPROBE_MULTI
  const hint = (_command: string, code: string) => {
    const why = uprobeHint(path, places, code)
    if (code !== 'EINVAL' || known.expectedAttachType !== undefined) return why
    return `the program was not loaded with expectedAttachType '${loaded}', or ${why}`
  }
  return createLink({ prog_fd: known.fd, attach_type, union }, `${feature} of ${path}`, [['attach', feature]], hint)
}

function placesOf(path: string, functions: readonly UserFunction[] | RegExp): readonly number[] {
  if (functions instanceof RegExp) {
    const found = readFunctions(path)
    const named = matching(found.names, functions, `the functions of ${path}`)
    // Several names may stand for one place, where the program shall be run once.
    return [...new Set(named.flatMap((name) => found.offsetsOf(name)))]
  }
  if (!Array.isArray(functions))
    throw new TypeError('functions are a list of names or offsets, or a regular expression')
  if (functions.length === 0) throw new RangeError('no functions: at least one must be named')
  return offsetsOf(path, functions as readonly UserFunction[])
}
