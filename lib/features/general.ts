import { existsSync } from 'node:fs'
import { BatchCalls } from '../../syscalls/batch'
import { mapFreeze, objGet } from '../../syscalls/bpf'
import { linkCreate } from '../../syscalls/bpf-link'
import { enableStats, progStreamRead } from '../../syscalls/bpf-prog'
import { tokenCreate } from '../../syscalls/bpf-token'
import { ElementCalls } from '../../syscalls/element'
import { hasCapability } from '../../syscalls/privilege'
import { BPF_CGROUP_INET_INGRESS, BPF_PERF_EVENT } from '../../syscalls/uapi-attach-type'
import { BPF_F_INNER_MAP, BPF_F_MMAPABLE, BPF_F_PATH_FD } from '../../syscalls/uapi-map'
import type { MapTypeName } from '../../syscalls/uapi-names'
import { BPF_F_XDP_HAS_FRAGS } from '../../syscalls/uapi-prog'
import { KERNEL_BTF } from '../btf/kernel'
import { possibleCpus } from '../cpu/possible'
import { type Answer, attempt, cannotTell, judge, NO_FD, no, YES } from './answer'
import {
  addressOf,
  atomic,
  bounded,
  callKernel,
  exit,
  INSTRUCTION_SETS,
  type Instruction,
  r0,
  trivial,
} from './instructions'
import { closing, createSmall, probeMapType } from './map-types'
import { inWords, type Loading, load } from './program-types'

/** What a kernel can do besides types and attachments, each with how to find out. */
export const GENERAL = {
  batch: () => batched('hash', 4, ['ENOENT']),
  outerMapBatch: () => batched('hash_of_maps', 4, ['ENOENT']),
  perCpuArrayBatch: () => batched('percpu_array', 8 * possibleCpus(), []),
  lookupAndDelete: probeLookupAndDelete,
  innerMapFlag: () => made('array', { map_flags: BPF_F_INNER_MAP }),
  mmap: () => made('array', { map_flags: BPF_F_MMAPABLE }),
  freeze: () =>
    onSmall('array', (fd) =>
      judge(
        attempt(() => mapFreeze(fd)),
        { no: ['EINVAL'] },
      ),
    ),
  ringBuffer: () => probeMapType('ringbuf'),
  userRingBuffer: () => probeMapType('user_ringbuf'),
  kernelBtf: probeKernelBtf,
  boundedLoops: () => verified(bounded),
  largePrograms: () => verified([...Array<Instruction>(4096).fill(r0(0)), exit], 'socket_filter', { quiet: true }),
  kfuncs: probeKfuncs,
  callbacks: probeCallbacks,
  atomics: () => verified(atomic),
  xdpFragments: () => verified(trivial, 'xdp', { prog_flags: BPF_F_XDP_HAS_FRAGS }),
  logTrueSize: probeLogTrueSize,
  links: () =>
    judge(
      attempt(() => linkCreate({ prog_fd: NO_FD, target_fd: NO_FD, attach_type: BPF_CGROUP_INET_INGRESS })),
      { yes: ['EBADF'], no: ['EINVAL'] },
    ),
  bpfCookie: probeCookie,
  pinByFolderFd: () =>
    judge(
      attempt(() => objGet('none', BPF_F_PATH_FD, undefined, NO_FD)),
      { yes: ['EBADF'], no: ['EINVAL'] },
    ),
  statistics: () => judge(attempt(enableStats), { no: ['EINVAL'] }),
  tokens: () =>
    judge(
      attempt(() => tokenCreate(NO_FD)),
      { yes: ['EBADF'], no: ['EINVAL'] },
    ),
  programStreams: probeStreams,
} as const satisfies Record<string, () => Answer>

export type GeneralName = keyof typeof GENERAL

/** What is done with a map of the type. One that cannot be made says the same of whatever is done with it. */
function onSmall(type: MapTypeName, use: (fd: number) => Answer): Answer {
  const there = probeMapType(type)
  return there.has === true ? closing(createSmall(type), use) : there
}

function made(type: MapTypeName, more: { readonly map_flags: number }): Answer {
  return judge(
    attempt(() => createSmall(type, more)),
    { no: ['EINVAL'] },
  )
}

/** Reads a small map by BPF_MAP_LOOKUP_BATCH: EINVAL of a kernel without the command, ENOTSUPP of a type without it. */
function batched(type: MapTypeName, valueBytes: number, end: readonly string[]): Answer {
  return onSmall(type, (fd) => {
    const { code } = new BatchCalls(1, 4, valueBytes).lookup(fd, 0)
    const why = `${code}: BPF_MAP_LOOKUP_BATCH on a map of type ${type}`
    return judge({ code, why }, { yes: end, no: ['EINVAL', 'ENOTSUPP'] })
  })
}

function probeLookupAndDelete(): Answer {
  return onSmall('hash', (fd) => {
    const calls = new ElementCalls(fd, 4, 4, { description: 'a map of type hash' })
    const outcome = attempt(() => void calls.lookupAndDelete(0))
    calls.close()
    return judge(outcome, { no: ['ENOTSUPP', 'EINVAL'] })
  })
}

function probeKernelBtf(): Answer {
  if (existsSync(KERNEL_BTF)) return YES
  return existsSync('/sys/kernel') ? no(`there is no ${KERNEL_BTF}`) : cannotTell('sysfs is not mounted')
}

/** Without CAP_BPF the verifier is stricter, and its no says nothing of the kernel. */
function isCapable(): boolean {
  return (hasCapability('CAP_BPF') || hasCapability('CAP_SYS_ADMIN')) === true
}

/** Whether the verifier accepts a program: EINVAL and E2BIG are a no. */
function verified(
  program: readonly Instruction[],
  type: 'socket_filter' | 'xdp' = 'socket_filter',
  more: Loading = {},
): Answer {
  const result = load(type, program, more)
  if (result.code === '') return YES
  const why = inWords(result, 'a program to try it')
  return isCapable() && /EINVAL|E2BIG/.test(result.code) ? no(why) : cannotTell(why)
}

export type InstructionSet = keyof typeof INSTRUCTION_SETS
export const INSTRUCTION_SET_NAMES = Object.keys(INSTRUCTION_SETS) as InstructionSet[]

export function probeInstructionSet(name: InstructionSet): Answer {
  return verified(INSTRUCTION_SETS[name])
}

/** Calls what is no function of the kernel: one that knows of such calls says that it is none. */
function probeKfuncs(): Answer {
  const result = load('sched_cls', [callKernel(1), exit], {})
  const why = inWords(result, 'a program that calls a kernel function')
  if (/kernel btf_id|kernel function/.test(result.log)) return YES
  return result.code === 'EINVAL' && result.log.includes('uses reserved fields') ? no(why) : cannotTell(why)
}

/** Takes the address of a function of its own: a kernel that knows of such addresses wants its BTF first (check_ld_imm). */
function probeCallbacks(): Answer {
  const result = load('socket_filter', [...addressOf(2), r0(0), exit, r0(0), exit], {})
  const why = inWords(result, 'a program that takes the address of a function')
  if (result.code === '' || /missing btf func_info|callback function/.test(result.log)) return YES
  return /unrecognized bpf_ld_imm64|invalid bpf_ld_imm64|BPF_LD_IMM64 uses reserved fields/.test(result.log)
    ? no(why)
    : cannotTell(why)
}

function probeLogTrueSize(): Answer {
  const result = load('socket_filter', trivial, {})
  if (result.logTrueSize > 0) return YES
  const why = 'the kernel does not say how long its log is'
  return result.code === '' && result.log !== '' ? no(why) : cannotTell(inWords(result, 'a program to try it'))
}

/** bpf_perf_link_attach in kernel/bpf/syscall.c, which brought both the links and the cookies. */
function probeCookie(): Answer {
  let answer: Answer | undefined
  const result = load('perf_event', trivial, {}, (prog_fd) => {
    const union = { member: 'perf_event', bpf_cookie: 1 } as const
    answer = judge(
      attempt(() => linkCreate({ prog_fd, target_fd: NO_FD, attach_type: BPF_PERF_EVENT, union })),
      { yes: ['EBADF'], no: ['EINVAL'] },
    )
  })
  return answer ?? cannotTell(inWords(result, 'a program of type perf_event'))
}

function probeStreams(): Answer {
  let answer: Answer | undefined
  const result = load('socket_filter', trivial, {}, (fd) => {
    // 0 is no stream.
    answer = judge(
      attempt(() => void progStreamRead(fd, 0, new Uint8Array(8))),
      { yes: ['ENOENT'], no: ['EINVAL'] },
    )
  })
  return answer ?? cannotTell(inWords(result, 'a program to try it'))
}
