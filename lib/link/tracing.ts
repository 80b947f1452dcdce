import { linkCreate, rawTracepointOpen } from '../../syscalls/bpf-link'
import { KernelError, type Subject } from '../../syscalls/errno'
import { ATTACH_TYPES, type AttachTypeName } from '../../syscalls/uapi-names'
import { programFunctionId } from '../btf/of-program'
import { unsupportedOr, type Words } from '../features/unsupported'
import { fdOf, type HasFd } from '../handle/fd-of'
import { checkU64 } from '../map/attributes'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { attachCgroup, type Cgroup } from './cgroup'
import { createLink, Link } from './link'
import { loadedFor } from './loaded-for'
import { checkProgram, type KnownProgram, type ProgramLike } from './program'
import { COOKIE, type CookieOptions } from './tracepoint'

const TRACING = ['trace_fentry', 'trace_fexit', 'modify_return', 'trace_raw_tp', 'trace_fsession'] as const

/** What `features` calls them. */
const FEATURES: Readonly<Partial<Record<AttachTypeName, string>>> = {
  trace_fentry: 'fentry',
  trace_fexit: 'fexit',
  modify_return: 'fmod_ret',
  trace_raw_tp: 'tp_btf',
  lsm_mac: 'lsm',
}

/**
 * Attaches a program of type `tracing` to what it was loaded for: before a function of the kernel (`trace_fentry`), after
 * it (`trace_fexit`), in its place (`modify_return`), or at a tracepoint (`trace_raw_tp`); or to a function of another
 * program. Its context are the arguments, 8 bytes each.
 *
 * A cookie needs the attach type, which the kernel does not tell of a program: give it as it was loaded.
 *
 * Errors: TypeError (a program of another type); UnsupportedError; EBUSY (the function is taken, or has as many programs as
 * it can), EPERM, EINVAL (a cookie before Linux 5.19), ENOENT (before Linux 5.13: it was attached before). Linux 5.5.
 */
export function attachTracing(program: ProgramLike, options: CookieOptions = {}): Link {
  checkKnownOptions(options, COOKIE)
  const { cookie } = options
  const known = checkProgram(program, 'a tracing hook', 'tracing')
  if (known.expectedAttachType === undefined) return attachUntold(known, 'tracing', cookie !== undefined)
  return attachThere(known, loadedFor(known, 'a tracing hook', TRACING, 'trace_fentry'), cookie)
}

/**
 * Attaches a program of type `lsm` to the hook of the kernel's security modules that it was loaded for: what it returns is
 * the answer, 0 for yes and -errno for no. It is asked only where `bpf` is among the active modules
 * (/sys/kernel/security/lsm, lsm= of the kernel's command line).
 *
 * Errors: TypeError (a program of another type, or for a cgroup: `attachLsmCgroup`); UnsupportedError; EBUSY, EPERM,
 * EINVAL (a cookie before Linux 5.19). Linux 5.7.
 */
export function attachLsm(program: ProgramLike, options: CookieOptions = {}): Link {
  checkKnownOptions(options, COOKIE)
  const { cookie } = options
  const known = checkProgram(program, 'an LSM hook', 'lsm')
  return attachThere(known, loadedFor(known, 'an LSM hook', ['lsm_mac'], 'lsm_mac'), cookie)
}

/**
 * Attaches a program of type `lsm`, loaded with expectedAttachType `lsm_cgroup`, to its hook for the processes of a cgroup
 * and of those below it: what it returns is the answer, 0 for no and 1 for yes. Errors: those of `attachCgroup`, of which
 * it is one hook. Linux 6.0.
 */
export function attachLsmCgroup(program: ProgramLike, cgroup: Cgroup): Link {
  return attachCgroup(program, cgroup, { hook: 'lsm_cgroup' })
}

/** By BPF_LINK_CREATE, or in kernels from before Linux 5.19 by BPF_RAW_TRACEPOINT_OPEN, which knows no cookies. */
function attachThere({ fd: prog_fd }: KnownProgram, type: AttachTypeName, given: CookieOptions['cookie']): Link {
  const cookie = given === undefined ? 0n : checkU64('cookie', given)
  const union = cookie === 0n ? undefined : ({ member: 'tracing', cookie } as const)
  const asked = featureOf(type)
  const hint = hintOf(cookie !== 0n)
  const fields = { prog_fd, attach_type: ATTACH_TYPES[type], union }
  try {
    // The link tells itself what it is attached to, and knows better.
    return Link.adopt(linkCreate(fields, { description: label(type), hint }))
  } catch (error) {
    if (cookie !== 0n || !(error instanceof KernelError) || error.code !== 'EINVAL') {
      throw unsupportedOr(error, () => asked)
    }
    return openThere(prog_fd, label(type), asked)
  }
}

/** By its fd alone: the program knows its place, and the kernel does not ask for the attach type. */
function attachUntold({ fd, description }: KnownProgram, what: string, hasCookie: boolean): Link {
  if (hasCookie) {
    throw new TypeError(
      `a cookie needs the program's attach type, which the kernel does not tell of ${description}: give the Program as it was loaded`,
    )
  }
  return openThere(fd, what, [])
}

function openThere(prog_fd: number, target: string, asked: readonly Words[]): Link {
  try {
    return Link.adopt(rawTracepointOpen({ prog_fd }, { description: target, hint: hintOf(false) }))
  } catch (error) {
    throw unsupportedOr(error, () => asked)
  }
}

function label(type: AttachTypeName): string {
  return FEATURES[type] ?? type
}

function featureOf(type: AttachTypeName): readonly Words[] {
  const feature = FEATURES[type]
  return feature === undefined ? [] : [['attach', feature]]
}

function hintOf(hasCookie: boolean): NonNullable<Subject['hint']> {
  return (_command, code) => {
    if (code === 'EBUSY') return 'the function has other programs that do not admit this one, or as many as it can have'
    if (code === 'EINVAL' && hasCookie) return 'cookies of such programs came with Linux 5.19'
    if (code === 'ENOENT') {
      return 'the program was attached before, which it can be once only before Linux 5.13; or what it was loaded for is gone'
    }
    return undefined
  }
}

export interface FreplaceOptions {
  /** The program a function of which is replaced; else the one that the program was loaded for. */
  readonly target?: HasFd | undefined
  /** The function's name, with `target`. */
  readonly function?: string | undefined
}

const OF_FREPLACE = optionNames<FreplaceOptions>({ target: true, function: true })

/**
 * Puts a program of type `ext` in the place of a function of another program, for as long as the link is there: of the one
 * that it was loaded for, or of another with a function of the same types (Linux 5.10).
 *
 * Errors: TypeError (a program of another type); RangeError (the target has no such function, or no BTF);
 * UnsupportedError; EBUSY (the function is replaced already), EINVAL (its types are others), EPERM. Linux 5.6.
 */
export function attachFreplace(program: ProgramLike, options: FreplaceOptions = {}): Link {
  checkKnownOptions(options, OF_FREPLACE)
  const { target, function: name } = options
  const known = checkProgram(program, 'freplace', 'ext')
  const asked: readonly Words[] = [['attach', 'freplace']]
  if (target === undefined) {
    if (name !== undefined) throw new TypeError('a function is told with the target that has it')
    return openThere(known.fd, 'freplace', asked)
  }
  if (typeof name !== 'string') throw new TypeError('the function of the target that is replaced is told by its name')
  const target_fd = fdOf(target, 'target')
  const id = programFunctionId(target_fd, name, { description: 'the target of freplace' })
  if (id === null) throw new RangeError('the target was loaded without BTF: its functions have no names')
  if (id === undefined) throw new RangeError(`the target has no function '${name}'`)
  const union = { member: 'target_btf_id', target_btf_id: id } as const
  const hint = (_command: string, code: string) => {
    if (code === 'EBUSY') return `'${name}' is replaced already`
    return code === 'EINVAL' ? `'${name}' has other types than the function that the program was loaded for` : undefined
  }
  // A program of this type has no attach type: 0.
  return createLink({ prog_fd: known.fd, target_fd, attach_type: 0, union }, `freplace of ${name}`, asked, hint)
}
