import { rawTracepointOpen } from '../../syscalls/bpf-link'
import { PERF_TYPE_TRACEPOINT } from '../../syscalls/perf-event'
import { kernelNames } from '../btf/kernel-names'
import { unsupportedOr } from '../features/unsupported'
import { checkU64 } from '../map/attributes'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { nearest } from '../text/nearest'
import { attachToEvent, type Cookie, type EventLink } from './event'
import { Link } from './link'
import { checkProgram, type ProgramLike } from './program'
import { checkTracepoint, tracepointId } from './tracefs'

export interface CookieOptions {
  /** What bpf_get_attach_cookie gives to the program: 64 bits, 0 where not given. */
  readonly cookie?: Cookie | undefined
}

/** @internal Of all that take nothing else. */
export const COOKIE = optionNames<CookieOptions>({ cookie: true })

/**
 * Attaches a program of type `tracepoint`: `attachTracepoint(program, 'raw_syscalls', 'sys_enter')`. Its context is the
 * record that events/<category>/<name>/format in tracefs describes. It is run on every CPU, for every process.
 *
 * Errors: TypeError (a program of another type); ENOENT (no such tracepoint, or tracefs is not mounted, which has their
 * numbers), EACCES (the program reads beyond the record; or as EPERM: kernel.perf_event_paranoid, or tracefs is for root),
 * E2BIG (64 programs are there already). Linux 4.7; by a link, and with a cookie, from Linux 5.15 on.
 */
export function attachTracepoint(
  program: ProgramLike,
  category: string,
  name: string,
  options: CookieOptions = {},
): EventLink {
  checkKnownOptions(options, COOKIE)
  const { cookie } = options
  const target = `tracepoint ${category}:${name}`
  const known = checkProgram(program, target, 'tracepoint')
  const config = tracepointId(category, name)
  const hint = (command: string, code: string) =>
    code === 'EACCES' && command !== 'perf_event_open'
      ? 'the program reads beyond what this tracepoint records'
      : undefined
  // perf_event_open wants a CPU, and the program is run on all of them (perf_event_attach_bpf_prog).
  const fields = { type: PERF_TYPE_TRACEPOINT, config, pid: -1, cpu: 0 }
  return attachToEvent(known, { fields, kind: 'tracepoint', target, cookie, hint })
}

/**
 * Attaches a program of type `raw_tracepoint` (or `raw_tracepoint_writable`): its context are the tracepoint's own
 * arguments, 8 bytes each, before they are put into a record. Needs no tracefs.
 *
 * Errors: TypeError (a program of another type, no name); ENOENT (no such tracepoint), EPERM, EINVAL (the program reads more
 * arguments than there are; or a cookie before Linux 6.10). Linux 4.17.
 */
export function attachRawTracepoint(program: ProgramLike, name: string, options: CookieOptions = {}): Link {
  checkKnownOptions(options, COOKIE)
  const { cookie } = options
  checkRaw(name)
  const target = `raw_tracepoint ${name}`
  const { fd: prog_fd } = checkProgram(program, target, 'raw_tracepoint', 'raw_tracepoint_writable')
  const given = cookie === undefined ? undefined : checkU64('cookie', cookie)
  const hint = (_command: string, code: string) => {
    if (code === 'ENOENT') return unknownRawTracepoint(name)
    if (code !== 'EINVAL') return undefined
    const cookies = given === undefined || given === 0n ? '' : ', or cookies are not known here: Linux 6.10'
    return `the program reads more arguments than this tracepoint has${cookies}`
  }
  try {
    return Link.adopt(rawTracepointOpen({ prog_fd, name, cookie: given }, { description: target, hint }), target)
  } catch (error) {
    throw unsupportedOr(error, () => [['attach', 'raw_tracepoint']])
  }
}

/** A raw tracepoint has no category. */
function checkRaw(name: string): void {
  const [, bare] = /^[^/:]+[/:]([^/:]+)$/.exec(String(name)) ?? []
  if (bare !== undefined) {
    throw new RangeError(`'${name}' cannot be the name of a raw tracepoint: those have no category, '${bare}' will do`)
  }
  checkTracepoint('name', name)
}

/** BTF has a type for each tracepoint, so their names are known without tracefs. */
const TRACEPOINT_TYPE = 'btf_trace_'

function unknownRawTracepoint(name: string): string {
  const near = nearest(name, kernelNames(TRACEPOINT_TYPE))
  const did = near === undefined ? '' : `: did you mean '${near}'?`
  return `the kernel has no tracepoint '${name}'${did} (the folders below events/*/ in tracefs are their names)`
}
