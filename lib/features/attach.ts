import { existsSync, readFileSync } from 'node:fs'
import { progAttach, progDetach, progQuery } from '../../syscalls/bpf-attach'
import { type LinkCreateFields, linkCreate, rawTracepointOpen } from '../../syscalls/bpf-link'
import { errnoName } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import {
  PERF_COUNT_SW_DUMMY,
  PERF_TYPE_SOFTWARE,
  PERF_TYPE_TRACEPOINT,
  type PerfEventFields,
  tryPerfEventOpen,
} from '../../syscalls/perf-event'
import * as types from '../../syscalls/uapi-attach-type'
import type { ProgramTypeName } from '../../syscalls/uapi-names'
import { KERNEL_BTF } from '../btf/kernel'
import { type Answer, all, any, attempt, cannotTell, judge, type Meaning, NO_FD, no, type Outcome, YES } from './answer'
import { replaceForAMoment } from './freplace'
import { trivial } from './instructions'
import { closing, createSmall, probeMapType } from './map-types'
import { inWords, LOADING, type Loading, load, probeProgramType } from './program-types'
import { FENTRY, FEXIT, FMOD_RET, ITER, LSM, type Place, placed, TP_BTF } from './tracing'

/**
 * The ways to attach a program. Where the kernel tells what it makes of the question before it looks at the target, the
 * target is one that cannot be: an fd that is not open, a file that is none. The rest are attached for a moment to what
 * nobody uses.
 */

/** Interface 1 is lo, in every network namespace. */
const LO = 1
/** include/uapi/linux/if_link.h */
const XDP_FLAGS_DRV_MODE = 1 << 2

export const ATTACH = {
  // lo has no driver that could (dev_xdp_attach in net/core/dev.c); EBUSY and EEXIST are said of a program that is there.
  xdp: () =>
    withProgram('xdp', (prog_fd) => ({
      outcome: tryLink({ prog_fd, target_ifindex: LO, attach_type: types.BPF_XDP, flags: XDP_FLAGS_DRV_MODE }),
      meaning: { yes: ['EOPNOTSUPP', 'EBUSY', 'EEXIST'], no: ['EINVAL'] },
    })),
  tcx: () => all(typed('sched_cls'), () => queried({ target_ifindex: LO }, types.BPF_TCX_INGRESS, [])),
  // netkit_dev_fetch in drivers/net/netkit.c: lo is no such device.
  netkit: () =>
    all(typed('sched_cls'), () => queried({ target_ifindex: LO }, types.BPF_NETKIT_PRIMARY, ['ENXIO', 'EACCES'])),
  cgroup: () => all(typed('cgroup_skb'), () => queried({ target_fd: NO_FD }, types.BPF_CGROUP_INET_INGRESS, ['EBADF'])),
  lsm_cgroup: () => all(typed('lsm'), () => queried({ target_fd: NO_FD }, types.BPF_LSM_CGROUP, ['EBADF'])),
  sk_lookup: () => all(typed('sk_lookup'), () => queried({ target_fd: NO_FD }, types.BPF_SK_LOOKUP, ['EBADF'])),
  flow_dissector: () =>
    all(typed('flow_dissector'), () => queried({ target_fd: NO_FD }, types.BPF_FLOW_DISSECTOR, ['EBADF'])),
  sockmap: probeSockMap,
  // bpf_nf_check_pf_and_hooks in net/netfilter/nf_bpf_link.c: 0 is no protocol family.
  netfilter: () =>
    withProgram('netfilter', (prog_fd) => ({
      outcome: tryLink({
        prog_fd,
        attach_type: types.BPF_NETFILTER,
        union: { member: 'netfilter', pf: 0, hooknum: 0, priority: 0 },
      }),
      meaning: { yes: ['EAFNOSUPPORT'], no: ['EINVAL'] },
    })),
  struct_ops: () => all(typed('struct_ops'), () => probeMapType('struct_ops')),
  // The event's number is one that no tracepoint has: EINVAL of perf_trace_init, where there are any (else ENOENT).
  tracepoint: () =>
    all(typed('tracepoint'), () => opened({ type: PERF_TYPE_TRACEPOINT, config: 0x7fffffff }, ['EINVAL'], ['ENOENT'])),
  perf_event: () =>
    all(typed('perf_event'), () => opened({ type: PERF_TYPE_SOFTWARE, config: PERF_COUNT_SW_DUMMY }, [], ['ENOENT'])),
  kprobe: () => all(typed('kprobe'), () => probed('kprobe', 'ebpf_ts_no_such_function')),
  uprobe: () => all(typed('kprobe'), () => probed('uprobe', '/proc/ebpf-ts-no-such-file')),
  kprobe_multi: () => kprobes(types.BPF_TRACE_KPROBE_MULTI),
  kprobe_session: () => kprobes(types.BPF_TRACE_KPROBE_SESSION),
  uprobe_multi: () => uprobes(types.BPF_TRACE_UPROBE_MULTI),
  uprobe_session: () => uprobes(types.BPF_TRACE_UPROBE_SESSION),
  // bpf_raw_tp_link_attach in kernel/bpf/syscall.c
  raw_tracepoint: () =>
    withProgram('raw_tracepoint', (prog_fd) => ({
      outcome: attempt(() => rawTracepointOpen({ prog_fd, name: 'ebpf_ts_no_such' })),
      meaning: { yes: ['ENOENT'], no: ['EINVAL'] },
    })),
  tp_btf: () => loaded('tracing', TP_BTF),
  fentry: () => loaded('tracing', FENTRY, attachThere),
  fexit: () => loaded('tracing', FEXIT, attachThere),
  fmod_ret: () =>
    any(
      FMOD_RET.map((place) => () => loaded('tracing', place, attachThere)),
      '',
    ),
  lsm: () => loaded('lsm', LSM, attachThere),
  iter: () => loaded('tracing', ITER, (prog_fd) => tryLink({ prog_fd, attach_type: types.BPF_TRACE_ITER })),
  freplace: () => all(typed('ext'), replaceForAMoment),
} as const satisfies Record<string, () => Answer>

export type AttachName = keyof typeof ATTACH

/** Whether there are programs of the type. */
function typed(type: ProgramTypeName): () => Answer {
  return () => probeProgramType(type)
}

function tryLink(fields: LinkCreateFields): Outcome {
  return attempt(() => linkCreate(fields))
}

interface Attempt {
  readonly outcome: Outcome
  readonly meaning: Meaning
}

/** What is tried with a program of the type. One that cannot be loaded is judged as its type is. */
function withProgram(type: ProgramTypeName, use: (fd: number) => Attempt, more: Loading = LOADING[type] ?? {}): Answer {
  let tried: Attempt | undefined
  const result = load(type, trivial, more, (fd) => {
    tried = use(fd)
  })
  if (tried !== undefined) return judge(tried.outcome, tried.meaning)
  const why = inWords(result, `a program of type ${type}`)
  return result.code === 'EINVAL' ? no(why) : cannotTell(why)
}

/** BPF_PROG_QUERY, which needs no program: EINVAL of a kernel that has no such attach type. */
function queried(
  target: { target_fd: number } | { target_ifindex: number },
  attach_type: number,
  yes: string[],
): Answer {
  return judge(
    attempt(() => void progQuery({ ...target, attach_type })),
    { yes, no: ['EINVAL'] },
  )
}

/** An event's refusal is said of its attributes, of its type, or of who asks. */
function opened(fields: Omit<PerfEventFields, 'pid' | 'cpu'>, yes: readonly string[], none: readonly string[]): Answer {
  const result = tryPerfEventOpen({ ...fields, pid: 0, cpu: -1 })
  if (result >= 0) {
    closeFd(result)
    return YES
  }
  const code = errnoName(-result)
  // ENOSYS where the kernel has no perf events at all.
  return judge({ code, why: `${code}: perf_event_open` }, { yes, no: [...none, 'ENOSYS'] })
}

const EVENT_SOURCES = '/sys/bus/event_source/devices'

/** A kprobe or uprobe by perf_event_open, whose type has a number only in sysfs. */
function probed(pmu: 'kprobe' | 'uprobe', name: string): Answer {
  if (!existsSync(EVENT_SOURCES)) return cannotTell(`${EVENT_SOURCES} is not there to tell the number of ${pmu}s`)
  const path = `${EVENT_SOURCES}/${pmu}/type`
  if (!existsSync(path)) return no(`there is no ${path}`)
  return opened({ type: Number(readFileSync(path, 'latin1')), name }, ['ENOENT', 'EADDRNOTAVAIL'], ['EOPNOTSUPP'])
}

/** Of a kernel function that nobody calls; ESRCH where there is none of this name. */
function kprobes(attach_type: number): Answer {
  return withProgram(
    'kprobe',
    (prog_fd) => ({
      outcome: tryLink({ prog_fd, attach_type, union: { member: 'kprobe_multi', syms: [FENTRY.name] } }),
      meaning: { yes: ['ESRCH', 'ENOENT'], no: ['EINVAL', 'EOPNOTSUPP'] },
    }),
    { expected_attach_type: attach_type },
  )
}

/** bpf_uprobe_multi_link_attach in kernel/trace/bpf_trace.c: a folder is EBADF. */
function uprobes(attach_type: number): Answer {
  const offsets = new BigUint64Array(1)
  return withProgram(
    'kprobe',
    (prog_fd) => ({
      outcome: tryLink({ prog_fd, attach_type, union: { member: 'uprobe_multi', path: '/', offsets } }),
      meaning: { yes: ['EBADF'], no: ['EINVAL', 'EOPNOTSUPP'] },
    }),
    { expected_attach_type: attach_type },
  )
}

/** A program for a place in the kernel, and what is then done with it. */
function loaded(type: 'tracing' | 'lsm', place: Place, then?: (fd: number) => Outcome): Answer {
  const more = placed(place)
  if (more === undefined) {
    const what = probeProgramType(type)
    if (what.has === false) return what
    return existsSync(KERNEL_BTF) ? cannotTell(`the kernel has no ${place.name}`) : no(`there is no ${KERNEL_BTF}`)
  }
  // ENOTSUPP of a machine on which programs cannot be called from functions (arch_prepare_bpf_trampoline).
  const meaning = { no: ['EINVAL', 'ENOTSUPP'], yes: ['EBUSY'] }
  return withProgram(type, (fd) => ({ outcome: then?.(fd) ?? { code: '', why: '' }, meaning }), more)
}

/** Attaches a program to the place that it was loaded for, and detaches it. */
function attachThere(prog_fd: number): Outcome {
  return attempt(() => rawTracepointOpen({ prog_fd }))
}

/** To a map of our own, in which there are no sockets. */
function probeSockMap(): Answer {
  const map = probeMapType('sockmap')
  if (map.has !== true) return map
  return closing(createSmall('sockmap'), (target_fd) =>
    withProgram('sk_skb', (attach_bpf_fd) => {
      const there = { target_fd, attach_bpf_fd, attach_type: types.BPF_SK_SKB_STREAM_VERDICT }
      const outcome = attempt(() => progAttach(there))
      if (outcome.code === '') progDetach(there)
      return { outcome, meaning: { no: ['EINVAL', 'EOPNOTSUPP'] } }
    }),
  )
}
