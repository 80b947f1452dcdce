import { type ProgLoadFields, type ProgLoadReply, tryProgLoad, tryProgLoadAsync } from '../../syscalls/bpf-prog'
import { type Bytes, textOf } from '../../syscalls/buffer'
import { errnoName, KernelError, type Subject } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { programHint } from '../../syscalls/hints'
import type { AttachTypeName } from '../../syscalls/uapi-names'
import { BPF_LOG_LEVEL1 } from '../../syscalls/uapi-prog'
import { isLockedDown } from '../features/lockdown'
import { unsupportedOr, type Words } from '../features/unsupported'
import { Handle, type Lease } from '../handle/handle'
import { instructionQuestions } from './instruction-questions'
import { PROGRAM_FLAGS } from './names'
import type { Loading, ProgramOptions } from './options'
import { withSource } from './source'
import { VerifierError } from './verifier-error'
import { hasWords } from './verifier-log'

/** A program that the kernel took, and what the verifier said of it. */
export interface Loaded {
  /** The caller's. */
  readonly fd: number
  readonly log: string
}

/** What a program is first refused with, and what its log says. */
interface Refusal {
  readonly errno: number
  readonly log: string
}

/** Enough for most logs. */
const FIRST_LOG_BYTES = 1 << 16
/** A million instructions take some 100 MB at level 1; the kernel's own limit is 2^30 (bpf_verifier_log_attr_valid). */
const MOST_LOG_BYTES = 1 << 28

/** Loads a program. Throws VerifierError, UnsupportedError, KernelError. */
export function load(loading: Loading): Loaded {
  const attempts = attemptsOf(loading)
  try {
    let step = attempts.next()
    while (!step.done) step = attempts.next(tryProgLoad(step.value))
    return loadedOr(step.value, loading)
  } finally {
    attempts.return(NEVER)
  }
}

/**
 * The same on the thread pool. What has the fds that the program names is kept open until it is loaded, and what the
 * caller's memory holds is taken as it is now.
 */
export async function loadAsync(given: Loading, options: ProgramOptions): Promise<Loaded> {
  const loading = { ...given, fields: ownFields(given.fields) }
  const leases = leasesOf(loading, options)
  let loaded: Loaded | undefined
  const attempts = attemptsOf(loading)
  try {
    let step = attempts.next()
    while (!step.done) step = attempts.next(await tryProgLoadAsync(step.value))
    loaded = loadedOr(step.value, loading)
  } finally {
    try {
      attempts.return(NEVER)
    } finally {
      releaseAll(leases, loaded)
    }
  }
  return loaded
}

/** Copies of the caller's buffers, who may write to them or transfer them before the kernel has read them. */
function ownFields(fields: ProgLoadFields): ProgLoadFields {
  const { insns, func_info, line_info, core_relos } = fields
  return {
    ...fields,
    insns: copyOf(insns),
    func_info: func_info && copyOf(func_info),
    line_info: line_info && copyOf(line_info),
    core_relos: core_relos && copyOf(core_relos),
  }
}

/** Not slice(): a Buffer's is another view of the same bytes. */
function copyOf(bytes: Bytes): Uint8Array {
  return new Uint8Array(ArrayBuffer.isView(bytes) ? (bytes as Uint8Array) : bytes.slice(0))
}

/** A map's fd that somebody else has closed meanwhile is an error: then the program is nobody's, and is closed. */
function releaseAll(leases: readonly Lease[], loaded?: Loaded): void {
  const failures: unknown[] = []
  for (const lease of leases) {
    try {
      lease.release()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length === 0) return
  if (loaded !== undefined) closeFd(loaded.fd)
  throw failures[0]
}

/** bpf_check, where a signal is pending. */
const BROKEN_OFF = 'EAGAIN'

/** What attempts that are broken off come to, by an error of the call itself: nobody sees it. */
const NEVER: Refusal = { errno: 0, log: '' }

/**
 * The calls that it takes, each with the answer to the one before: without a log, which costs the verifier time; then, to
 * be told why not, with one that holds all that it says, and the lines of the source among it. A program gets BTF of its
 * source only where there is a log: to load that costs as much as to load a small program.
 */
function* attemptsOf(loading: Loading): Generator<ProgLoadFields, Loaded | Refusal, ProgLoadReply> {
  const { fields, logLevel } = loading
  let first: ProgLoadReply | undefined
  if (logLevel === 0) {
    first = yield fields
    if (first.errno === 0) return { fd: first.fd, log: '' }
    // Not what it says about the program: signals have broken the verifier off.
    if (errnoName(first.errno) === BROKEN_OFF) return { errno: first.errno, log: '' }
  }
  using source = withSource(loading)
  const explained = yield* logged(source.fields, logLevel, first)
  // What the kernel has against the BTF is nobody's business.
  return source.refused(explained) ? yield* logged(fields, logLevel, first) : explained
}

/** The attempts with a log, each with more room for it. */
function* logged(
  fields: ProgLoadFields,
  logLevel: number,
  first: ProgLoadReply | undefined,
): Generator<ProgLoadFields, Loaded | Refusal, ProgLoadReply> {
  const log_level = logLevel === 0 ? BPF_LOG_LEVEL1 : logLevel
  for (let bytes = FIRST_LOG_BYTES; ; ) {
    const log_buf = new ArrayBuffer(bytes)
    const reply = yield { ...fields, log_level, log_buf }
    if (reply.errno === 0) return { fd: reply.fd, log: logLevel === 0 ? '' : textOf(log_buf) }
    if (errnoName(reply.errno) === 'ENOSPC' && bytes < MOST_LOG_BYTES) {
      // Linux 6.4 tells how much it is; before, one can but try again: few times, as each is a verification.
      bytes = Math.min(MOST_LOG_BYTES, reply.logTrueSize > bytes ? reply.logTrueSize : bytes * 16)
      continue
    }
    // ENOSPC is about the log, not about the program.
    return { errno: first?.errno ?? reply.errno, log: textOf(log_buf) }
  }
}

function loadedOr(result: Loaded | Refusal, loading: Loading): Loaded {
  if ('fd' in result) return result
  const error = errorOf(result, loading)
  Error.captureStackTrace(error, loadedOr)
  throw error
}

function errorOf({ errno, log }: Refusal, loading: Loading): Error {
  const { type, fields, code, subject } = loading
  const about = { command: 'BPF_PROG_LOAD', subject }
  if (hasWords(log) && errnoName(errno) !== BROKEN_OFF) {
    const insns = fields.insns as Uint8Array
    const refusal = new VerifierError(errno, about, { log, type, insns, lines: code?.lines, missing: code?.missing })
    // Before the verifier looks at what instructions do, it does not know them.
    return unsupportedOr(refusal, () => instructionQuestions(insns), UNKNOWN) as Error
  }
  const withHint: Subject = { ...subject, hint: (_, refusal) => hintFor(refusal, loading) }
  const error = new KernelError(errno, { ...about, subject: withHint })
  return unsupportedOr(error, () => questionsOf(loading), UNKNOWN) as Error
}

/** How a kernel says that it does not know what it is asked for; E2BIG of a field that is behind its own attr. */
const UNKNOWN: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUPP', 'EOPNOTSUPP', 'E2BIG'])

/** What a program of this kind may ask too much of a kernel by. */
function questionsOf({ type, expectedAttachType, fields }: Loading): readonly Words[] {
  const { prog_flags = 0, prog_token_fd } = fields
  const attachment = expectedAttachType === undefined ? undefined : ATTACHMENTS[expectedAttachType]
  const asked: Words[] = [['programType', type]]
  if (attachment !== undefined) asked.push(['attach', attachment])
  if ((prog_flags & PROGRAM_FLAGS.XDP_HAS_FRAGS) !== 0) asked.push(['xdpFragments'])
  if (prog_token_fd !== undefined) asked.push(['tokens'])
  return asked
}

/** The attach types of which the verifier has to know, as `features` calls them. */
const ATTACHMENTS: Readonly<Partial<Record<AttachTypeName, string>>> = {
  trace_raw_tp: 'tp_btf',
  trace_fentry: 'fentry',
  trace_fexit: 'fexit',
  modify_return: 'fmod_ret',
  trace_iter: 'iter',
  lsm_mac: 'lsm',
  lsm_cgroup: 'lsm_cgroup',
  trace_kprobe_multi: 'kprobe_multi',
  trace_kprobe_session: 'kprobe_session',
  trace_uprobe_multi: 'uprobe_multi',
  trace_uprobe_session: 'uprobe_session',
}

/** Types that patch the kernel's text. */
const PATCHING = ['tracing', 'lsm', 'ext']

/** The likely cause of a refusal without a word from the verifier; undefined leaves it to the general table. */
function hintFor(code: string, { type, fields }: Loading): string | undefined {
  if (code === BROKEN_OFF)
    return 'signals have broken the verifier off each time that it was asked: those of a profiler?'
  if (code === 'EPERM' && PATCHING.includes(type) && isLockedDown() === true) {
    return `the kernel is locked down (/sys/kernel/security/lockdown): programs of type ${type} change its code, or read its memory`
  }
  if (code === 'EPERM') return programHint(fields.prog_type)
  if (code === 'EINVAL') {
    return 'the kernel does not take these options together: type, expectedAttachType, attachTo, flags and btf have to fit'
  }
  return undefined
}

/** Everything with an fd that is asked for some time later; of plain numbers the caller takes care. */
function leasesOf({ code }: Loading, { attachTo, btf, token, fdArray = [] }: ProgramOptions): Lease[] {
  const target = typeof attachTo === 'object' ? attachTo : {}
  const { maps = [], modules = [], objects = [] } = code ?? {}
  const given: unknown[] = [...maps, ...modules, ...objects, ...fdArray, btf?.fd, token]
  if ('program' in target) given.push(target.program)
  if ('module' in target) given.push(target.module)
  const leases: Lease[] = []
  try {
    for (const each of given) {
      const handle = each instanceof Handle ? each : (each as { handle?: unknown } | undefined)?.handle
      if (handle instanceof Handle) leases.push(handle.retain())
    }
  } catch (error) {
    releaseAll(leases)
    throw error
  }
  return leases
}
