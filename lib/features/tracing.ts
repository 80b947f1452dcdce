import * as attach from '../../syscalls/uapi-attach-type'
import { BPF_F_SLEEPABLE } from '../../syscalls/uapi-prog'
import { type KernelTypeKind, kernelTypeId } from '../btf/kernel'
import type { Loading } from './program-types'

/** Where in the kernel a program belongs that names its place by a BTF id. */
export interface Place {
  readonly attachType: number
  readonly kind: KernelTypeKind
  readonly name: string
  readonly sleepable?: boolean
}

/** Functions that nothing but BPF_PROG_TEST_RUN calls (net/bpf/test_run.c): to attach to them touches nobody. */
const UNCALLED = { kind: 'func', name: 'bpf_fentry_test1' } as const

export const FENTRY: Place = { attachType: attach.BPF_TRACE_FENTRY, ...UNCALLED }
export const FEXIT: Place = { attachType: attach.BPF_TRACE_FEXIT, ...UNCALLED }
/** The second one is for kernels without CONFIG_FUNCTION_ERROR_INJECTION; nothing calls it but the setting of the clock. */
export const FMOD_RET: readonly Place[] = [
  { attachType: attach.BPF_MODIFY_RETURN, kind: 'func', name: 'bpf_modify_return_test' },
  { attachType: attach.BPF_MODIFY_RETURN, kind: 'func', name: 'security_settime64' },
]
/** The same, as the hook of a security module. */
export const LSM: Place = { attachType: attach.BPF_LSM_MAC, kind: 'func', name: 'bpf_lsm_settime' }
export const TP_BTF: Place = { attachType: attach.BPF_TRACE_RAW_TP, kind: 'typedef', name: 'btf_trace_sched_switch' }
export const ITER: Place = { attachType: attach.BPF_TRACE_ITER, kind: 'func', name: 'bpf_iter_bpf_map' }

const SYSCALL_PREFIX: Readonly<Record<string, string>> = { x64: '__x64_', arm64: '__arm64_', riscv64: '__riscv_' }

/** One of the few functions at which a tracing program may sleep from Linux 5.10 on: a system call. */
export const FENTRY_SLEEPABLE: Place = {
  attachType: attach.BPF_TRACE_FENTRY,
  kind: 'func',
  name: `${SYSCALL_PREFIX[process.arch] ?? ''}sys_getpgid`,
  sleepable: true,
}
export const LSM_SLEEPABLE: Place = {
  attachType: attach.BPF_LSM_MAC,
  kind: 'func',
  // The one that may sleep in Linux 5.10 already (btf_sleepable_lsm_hooks in kernel/bpf/verifier.c).
  name: 'bpf_lsm_bprm_committed_creds',
  sleepable: true,
}
export const LSM_CGROUP: Place = { attachType: attach.BPF_LSM_CGROUP, kind: 'func', name: 'bpf_lsm_socket_create' }

/** What a program for the place is loaded with; undefined where the kernel has no such function, or tells of none. */
export function placed({ attachType, kind, name, sleepable }: Place): Loading | undefined {
  const attach_btf_id = kernelTypeId(kind, name)
  if (attach_btf_id === undefined) return undefined
  return { expected_attach_type: attachType, attach_btf_id, prog_flags: sleepable === true ? BPF_F_SLEEPABLE : 0 }
}
