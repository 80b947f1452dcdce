import type { Subject } from '../../syscalls/errno'
import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import type { KernelSymbol } from '../asm'
import { tryKernel } from '../btf/btf'
import { BtfError } from '../btf/error'
import { type KernelTypeKind, kernelTypeId } from '../btf/kernel'
import { programFunctionId } from '../btf/of-program'
import { fdOf, type HasFd } from '../handle/fd-of'
import { checkU32 } from '../map/attributes'
import { attachTypeNumber } from './names'

/** A function of another program, loaded with BTF: what `ext` replaces, and `tracing` may trace too. */
export interface ProgramFunction {
  readonly program: HasFd
  readonly function: string
}

/** A member of one of the kernel's structs of functions, by its number: what `struct_ops` implements. */
export interface StructMember {
  readonly struct: string
  readonly member: number
  /** The struct's id, where it is not the kernel's first of that name; in `module`, a module's BTF (Linux 6.9). */
  readonly btfId?: number
  readonly module?: HasFd
}

/**
 * What a program is written for, where the verifier has to know: the name of a kernel function, of a tracepoint, of a
 * hook or of an iterator; a function of another program; or what else BTF has an id for.
 */
export type AttachTarget = string | ProgramFunction | KernelSymbol | StructMember

/** The fields of BPF_PROG_LOAD that tell the place. */
export interface Place {
  readonly expected_attach_type?: number
  readonly attach_btf_id?: number
  readonly attach_prog_fd?: number
  readonly attach_btf_obj_fd?: number
}

const WITH_TARGET: readonly ProgramTypeName[] = ['tracing', 'lsm', 'ext', 'struct_ops']

/** Types for which the kernel takes one attach type only, or that have a usual one. */
const DEFAULTS: Readonly<Partial<Record<ProgramTypeName, AttachTypeName>>> = {
  sk_lookup: 'sk_lookup',
  netfilter: 'netfilter',
  lsm: 'lsm_mac',
}

/** Types that the kernel refuses without (bpf_prog_load_check_attach in kernel/bpf/syscall.c), and an example. */
const REQUIRED: Readonly<Partial<Record<ProgramTypeName, AttachTypeName>>> = {
  cgroup_sock_addr: 'cgroup_inet4_connect',
  cgroup_sockopt: 'cgroup_getsockopt',
  tracing: 'trace_fentry',
}

/** Where a program belongs, as BPF_PROG_LOAD takes it. Throws TypeError, RangeError. */
export function placeOf(
  type: ProgramTypeName,
  wanted: AttachTypeName | undefined,
  target: AttachTarget | undefined,
  subject: Subject,
): Place {
  const attachType = wanted ?? DEFAULTS[type]
  if (attachType === undefined && REQUIRED[type] !== undefined) {
    throw new TypeError(`programs of type ${type} need an expectedAttachType, such as '${REQUIRED[type]}'`)
  }
  const expected = attachType === undefined ? {} : { expected_attach_type: attachTypeNumber(attachType) }
  if (!WITH_TARGET.includes(type)) {
    if (target === undefined) return expected
    throw new TypeError(`programs of type ${type} take no attachTo: they are attached after they are loaded`)
  }
  if (target === undefined) throw new TypeError(`programs of type ${type} need attachTo: ${EXAMPLE[type]}`)
  return { ...expected, ...targetOf(type, attachType, target, subject) }
}

const EXAMPLE: Readonly<Partial<Record<ProgramTypeName, string>>> = {
  tracing: "the name of a kernel function ('security_socket_create')",
  lsm: "the name of a hook ('socket_create')",
  ext: '{ program, function }, a function of a loaded program',
  struct_ops: "{ struct: 'tcp_congestion_ops', member: 5 }",
}

function targetOf(
  type: ProgramTypeName,
  attachType: AttachTypeName | undefined,
  target: AttachTarget,
  subject: Subject,
): Place {
  if (typeof target === 'string') {
    if (type === 'lsm' || type === 'tracing') return { attach_btf_id: named(type, attachType, target) }
  } else if (typeof target === 'object' && target !== null) {
    if ('program' in target && (type === 'ext' || type === 'tracing')) return ofProgram(target, subject)
    if ('struct' in target) {
      if (type === 'struct_ops') return ofStruct(target)
    } else if ('btfId' in target) return ofSymbol(target)
  }
  throw new TypeError(`attachTo of a program of type ${type} is ${EXAMPLE[type]}, or { btfId }`)
}

/** The BTF id of what a name stands for: each attach type has its own prefix (check_attach_btf_id). */
function named(type: ProgramTypeName, attachType: AttachTypeName | undefined, name: string): number {
  const { kind, prefix, what } = lookedUp(type, attachType)
  const full = name.startsWith(prefix) ? name : `${prefix}${name}`
  const id = kernelTypeId(kind, full)
  if (id !== undefined) return id
  // Every kernel with BTF has this one.
  if (kernelTypeId('struct', 'task_struct') === undefined) {
    throw new RangeError(
      `the kernel does not describe its own types (/sys/kernel/btf/vmlinux; Linux 5.4, CONFIG_DEBUG_INFO_BTF): ` +
        `there is nothing to look ${name} up in`,
    )
  }
  throw new RangeError(
    `the kernel has no ${what} called ${JSON.stringify(name)} (its BTF has no ${full})${nearestTo(full, kind, prefix)}`,
  )
}

/** ': did you mean ...?', as BTF tells it of a name that it has not got; without the prefix. */
function nearestTo(name: string, kind: KernelTypeKind, prefix: string): string {
  try {
    tryKernel()?.require(name, kind)
  } catch (error) {
    const said = error instanceof BtfError ? /: did you mean .*\?$/.exec(error.message)?.[0] : undefined
    return said?.replaceAll(`'${prefix}`, "'") ?? ''
  }
  return ''
}

function lookedUp(
  type: ProgramTypeName,
  attachType: AttachTypeName | undefined,
): { kind: KernelTypeKind; prefix: string; what: string } {
  if (type === 'lsm') return { kind: 'func', prefix: 'bpf_lsm_', what: 'LSM hook' }
  if (attachType === 'trace_raw_tp') return { kind: 'typedef', prefix: 'btf_trace_', what: 'tracepoint' }
  if (attachType === 'trace_iter') return { kind: 'func', prefix: 'bpf_iter_', what: 'iterator' }
  return { kind: 'func', prefix: '', what: 'function' }
}

function ofProgram({ program, function: name }: ProgramFunction, subject: Subject): Place {
  if (typeof name !== 'string') throw new TypeError(`attachTo.function must be a string, not ${typeof name}`)
  const attach_prog_fd = fdOf(program, 'attachTo.program')
  const id = programFunctionId(attach_prog_fd, name, { description: `the program that ${subject.description} is for` })
  if (id === null) throw new RangeError('the program of attachTo was loaded without BTF: its functions have no names')
  if (id === undefined) throw new RangeError(`the program of attachTo has no function ${JSON.stringify(name)}`)
  return { attach_prog_fd, attach_btf_id: id }
}

function ofStruct({ struct, member, btfId, module }: StructMember): Place {
  if (typeof struct !== 'string') throw new TypeError(`attachTo.struct must be a string, not ${typeof struct}`)
  checkU32('attachTo.member', member)
  if (btfId !== undefined)
    return { ...ofSymbol({ btfId, ...(module === undefined ? {} : { module }) }), expected_attach_type: member }
  const id = kernelTypeId('struct', struct)
  if (id === undefined) throw new RangeError(`the kernel's BTF has no struct ${struct}`)
  return { attach_btf_id: id, expected_attach_type: member }
}

function ofSymbol({ btfId, module }: KernelSymbol): Place {
  checkU32('attachTo.btfId', btfId, 1)
  if (module === undefined) return { attach_btf_id: btfId }
  return { attach_btf_id: btfId, attach_btf_obj_fd: fdOf(module, 'attachTo.module') }
}
