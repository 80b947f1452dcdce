import { type ProgLoadFields, tryProgLoad } from '../../syscalls/bpf-prog'
import { textOf } from '../../syscalls/buffer'
import { errnoName } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { hintFor, programHint } from '../../syscalls/hints'
import * as attach from '../../syscalls/uapi-attach-type'
import { PROGRAM_TYPES, type ProgramTypeName } from '../../syscalls/uapi-names'
import { BPF_F_SLEEPABLE, BPF_LOG_LEVEL1 } from '../../syscalls/uapi-prog'
import { type Answer, cannotTell, no, YES } from './answer'
import { encode, type Instruction, trivial } from './instructions'

/** What a program type is loaded with besides its instructions. */
export type Loading = Partial<Omit<ProgLoadFields, 'insns' | 'license' | 'log_buf' | 'log_level'>> & {
  /** Whether the verifier shall not be asked for its log: for programs whose log would be long. */
  readonly quiet?: boolean
}

/**
 * The least with which the verifier begins to look at a program of the type. Those that belong to a kernel function or
 * struct are given the BTF id 1, which is neither: the verifier then says so, and that it speaks at all is the answer.
 */
export const LOADING: { readonly [Type in ProgramTypeName]?: Loading } = {
  cgroup_sock_addr: { expected_attach_type: attach.BPF_CGROUP_INET4_CONNECT },
  cgroup_sockopt: { expected_attach_type: attach.BPF_CGROUP_GETSOCKOPT },
  lirc_mode2: { expected_attach_type: attach.BPF_LIRC_MODE2 },
  sk_lookup: { expected_attach_type: attach.BPF_SK_LOOKUP },
  netfilter: { expected_attach_type: attach.BPF_NETFILTER },
  syscall: { prog_flags: BPF_F_SLEEPABLE },
  tracing: { expected_attach_type: attach.BPF_TRACE_RAW_TP, attach_btf_id: 1 },
  lsm: { expected_attach_type: attach.BPF_LSM_MAC, attach_btf_id: 1 },
  struct_ops: { attach_btf_id: 1 },
  ext: { attach_btf_id: 1 },
}

/** What loading a program came to. */
export interface Loaded {
  readonly type: ProgramTypeName
  /** '' for success. */
  readonly code: string
  /** What the verifier said. */
  readonly log: string
  /** Of a log that was longer; 0 where the kernel does not tell. */
  readonly logTrueSize: number
}

const LOG_BYTES = 16384

/** Loads a program and hands its fd to `use`, if any, before it is closed. */
export function load(
  type: ProgramTypeName,
  program: readonly Instruction[],
  { quiet = false, ...more }: Loading = LOADING[type] ?? {},
  use?: (fd: number) => void,
): Loaded {
  const log_buf = new ArrayBuffer(LOG_BYTES)
  const fields = { prog_type: PROGRAM_TYPES[type], insns: encode(program), license: 'GPL', ...more }
  const { fd, errno, logTrueSize } = tryProgLoad(quiet ? fields : { ...fields, log_level: BPF_LOG_LEVEL1, log_buf })
  if (fd >= 0) {
    try {
      use?.(fd)
    } finally {
      closeFd(fd)
    }
  }
  return { type, code: errno === 0 ? '' : errnoName(errno), log: textOf(log_buf), logTrueSize }
}

/**
 * Loads the shortest program of the type. A type that the kernel does not have is EINVAL before the verifier has said a
 * word (find_prog_type in kernel/bpf/syscall.c); whatever comes after is about the program.
 */
export function probeProgramType(type: ProgramTypeName): Answer {
  const loaded = load(type, trivial)
  if (loaded.code === '' || loaded.log !== '') return YES
  const why = inWords(loaded, `a program of type ${type}`)
  return loaded.code === 'EINVAL' ? no(why) : cannotTell(why)
}

/** What was refused, and the verifier's last words on it. */
export function inWords({ type, code, log }: Loaded, what: string): string {
  const said = log.split('\n').filter((line) => line !== '' && !/^(processed|verification time) /.test(line))
  const why = said.at(-1) ?? (code === 'EPERM' ? programHint(PROGRAM_TYPES[type]) : hintFor('BPF_PROG_LOAD', code))
  return `${code}: BPF_PROG_LOAD of ${what}${why === undefined ? '' : `: ${why}`}`
}
