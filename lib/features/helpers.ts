import { hasCapability } from '../../syscalls/privilege'
import * as attachTypes from '../../syscalls/uapi-attach-type'
import { HELPER_NUMBERS, type HelperName, PROGRAM_TYPES, type ProgramTypeName } from '../../syscalls/uapi-names'
import { BPF_F_SLEEPABLE } from '../../syscalls/uapi-prog'
import { kernelTypeId } from '../btf/kernel'
import { type Answer, any, cannotTell, no, YES } from './answer'
import { call, exit } from './instructions'
import { isLockedDown, LOCKED_DOWN } from './lockdown'
import { inWords, LOADING, type Loading, load } from './program-types'
import { FENTRY, FENTRY_SLEEPABLE, FEXIT, ITER, LSM, LSM_CGROUP, LSM_SLEEPABLE, placed, TP_BTF } from './tracing'

/**
 * What a program type may be attached to decides, for some types, on what it may call (get_func_proto in kernel/ and
 * net/): these are tried one after the other.
 */
const WAYS: { readonly [Type in ProgramTypeName]?: () => (Loading | undefined)[] } = {
  cgroup_sock: () => [{}, { expected_attach_type: attachTypes.BPF_CGROUP_INET4_POST_BIND }],
  cgroup_sock_addr: () => [
    { expected_attach_type: attachTypes.BPF_CGROUP_INET4_CONNECT },
    { expected_attach_type: attachTypes.BPF_CGROUP_INET4_BIND },
    { expected_attach_type: attachTypes.BPF_CGROUP_UDP4_SENDMSG },
    { expected_attach_type: attachTypes.BPF_CGROUP_INET4_GETPEERNAME },
  ],
  cgroup_sockopt: () => [
    { expected_attach_type: attachTypes.BPF_CGROUP_GETSOCKOPT },
    { expected_attach_type: attachTypes.BPF_CGROUP_SETSOCKOPT },
  ],
  tracing: () => [ITER, TP_BTF, FENTRY, FEXIT].map(placed),
  lsm: () => [LSM, LSM_CGROUP].map(placed),
  struct_ops: () => {
    const attach_btf_id = kernelTypeId('struct', 'tcp_congestion_ops')
    if (attach_btf_id === undefined) return [undefined]
    // Not every member is a function, and which are differs between kernels.
    return Array.from({ length: 12 }, (_, member) => ({ attach_btf_id, expected_attach_type: member }))
  },
}

/** Only programs that may sleep may call these. */
const SLEEPING: ReadonlySet<HelperName> = new Set<HelperName>([
  'bpf_copy_from_user',
  'bpf_copy_from_user_task',
  'bpf_ima_inode_hash',
  'bpf_ima_file_hash',
])

const SLEEPING_WAYS: { readonly [Type in ProgramTypeName]?: () => (Loading | undefined)[] } = {
  kprobe: () => [{ prog_flags: BPF_F_SLEEPABLE }],
  tracing: () => [placed(FENTRY_SLEEPABLE)],
  lsm: () => [placed(LSM_SLEEPABLE)],
}

/**
 * To ask for these leaves a trace: a warning in the kernel's log, or the trace event of bpf_trace_printk switched on. So
 * only who names them asks for them.
 */
export const TRACELESS_NOT: ReadonlySet<HelperName> = new Set<HelperName>([
  'bpf_probe_write_user',
  'bpf_trace_printk',
  'bpf_trace_vprintk',
])

/** Loads a program that does nothing but call the helper; `typed` is whether there are programs of the type. */
export function probeHelper(helper: HelperName, type: ProgramTypeName, typed: Answer): Answer {
  if (type === 'ext') return cannotTell('programs of type ext may call what the program that they replace may')
  if (typed.has !== true) return typed
  const ways = (SLEEPING.has(helper) && SLEEPING_WAYS[type]?.()) || WAYS[type]?.() || [LOADING[type] ?? {}]
  return any(
    ways.map((way) => () => tryCall(helper, type, way)),
    '',
  )
}

/** Whether any type may call it. */
export function probeHelperAnywhere(helper: HelperName, ask: (type: ProgramTypeName) => Answer): Answer {
  const first = tryCall(helper, 'socket_filter', {})
  // A number past the end of the kernel's list is that for all types.
  if (first.has === true || isUnknown(first)) return first
  const types = (Object.keys(PROGRAM_TYPES) as ProgramTypeName[]).filter((type) => type !== 'ext')
  return any(
    types.map((type) => () => ask(type)),
    '',
  )
}

/** Whether the kernel does not know the helper at all, whatever the program. */
export function isUnknown({ has, why }: Answer): boolean {
  return has === false && why.includes(INVALID)
}

/** Of a number that the kernel has no helper for. */
const INVALID = 'invalid func'
/** Of one that programs of the type may not call, in the words of older kernels, and in those of newer ones. */
const FORBIDDEN = ['unknown func', 'program of this type cannot use helper']

/**
 * The verifier first looks whether there is such a helper for the program, and then at the arguments, which are missing:
 * another complaint than that about the helper means that there is one. That it came to the call at all is told by the
 * instruction in its log.
 */
function tryCall(helper: HelperName, type: ProgramTypeName, way: Loading | undefined): Answer {
  if (way === undefined) return cannotTell(`the kernel's BTF has nothing to attach a program of type ${type} to`)
  const number = HELPER_NUMBERS[helper]
  const loaded = load(type, [call(number), exit], way)
  const { code, log } = loaded
  const why = inWords(loaded, `a program of type ${type} that calls ${helper}`)
  if (code === '') return YES
  if (log.includes(INVALID)) return no(`${why} (${INVALID})`)
  if (FORBIDDEN.some((words) => log.includes(words))) return forbidden(helper, why)
  if (log.includes(`#${number}`)) return YES
  // A member that is no function, or a place that the kernel does not know: not where programs of the type belong.
  const misplaced = (type === 'struct_ops' || way.expected_attach_type !== undefined) && !SLEEPING.has(helper)
  return misplaced && /EINVAL|ENOTSUPP/.test(code) && log !== '' ? no(why) : cannotTell(why)
}

/** A no is one only for who lacks no capability, and where lockdown has not said it. */
function forbidden(helper: HelperName, why: string): Answer {
  const capable = hasCapability('CAP_SYS_ADMIN') || (hasCapability('CAP_BPF') && hasCapability('CAP_PERFMON'))
  if (capable !== true) return cannotTell(`${why}; without CAP_BPF and CAP_PERFMON fewer helpers may be called`)
  return LOCKED_DOWN.has(helper) && isLockedDown() !== false ? cannotTell(`${why}, or lockdown forbids it`) : no(why)
}
