import { types } from 'node:util'
import type { ProgLoadFields } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import { BPF_F_TOKEN_FD } from '../../syscalls/uapi-map'
import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import { fdOf, type HasFd } from '../handle/fd-of'
import { checkU32 } from '../map/attributes'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { type AttachTarget, placeOf } from './attach-to'
import { bitsOf, PROGRAM_FLAGS, type ProgramFlag, programTypeNumber } from './names'

/** A line of the source that an instruction was made from. */
export interface SourceLine {
  /** The instruction, counted in slots of 8 bytes. */
  readonly slot: number
  readonly line: number
  readonly column: number
  readonly text: string
}

/** An instruction that needs what this kernel has not got: the verifier refuses what stands in its place, if it is reached. */
export interface MissingInKernel {
  /** Counted in slots of 8 bytes. */
  readonly slot: number
  /** What it needs: 'struct task_struct.pid', 'function bpf_task_acquire'. */
  readonly what: string
  /** Why it is not there: 'struct task_struct of vmlinux has no pid'. */
  readonly reason: string
}

/** Instructions that know more of themselves than their bytes: what `bpf` and `assemble` make. */
export interface ProgramCode {
  /** As BPF_PROG_LOAD takes them, with the fds that maps have now. */
  bytes(): Uint8Array
  /** For messages. */
  readonly lines?: readonly SourceLine[]
  /** For messages: what compiled code asks of the kernel's types and functions in vain. */
  readonly missing?: readonly MissingInKernel[]
  readonly maps?: readonly HasFd[]
  /** The BTFs of modules whose functions are called: the first is at place 1 of the fd_array. */
  readonly modules?: readonly HasFd[]
  /** All whose fds are among the bytes, beside those: what has to stay open until the program is loaded. */
  readonly objects?: readonly HasFd[]
}

/** The types of a program, by a BTF object that is loaded. Records are those of include/uapi/linux/bpf.h. */
export interface ProgramBtf {
  readonly fd: HasFd
  /** struct bpf_func_info, 8 bytes each: which function begins at which instruction. Linux 5.0. */
  readonly functions?: Uint8Array
  /** struct bpf_line_info, 16 bytes each: which line of the source an instruction is from. Linux 5.0. */
  readonly lines?: Uint8Array
  /** struct bpf_core_relo, 16 bytes each: what the kernel is to relocate. Linux 5.17. */
  readonly relocations?: Uint8Array
}

/** What a program is loaded with. */
export interface ProgramOptions {
  /** 'xdp', 'sched_cls', 'tracepoint' ... */
  readonly type: ProgramTypeName
  /** What `bpf` or `assemble` made, or instructions of 8 bytes each. */
  readonly code: ProgramCode | Uint8Array
  /** Up to 15 of A-Z a-z 0-9 _ and dot. Linux 4.15. */
  readonly name?: string
  /** 'GPL' where not given: helpers that are for GPL-compatible programs alone are many. */
  readonly license?: string
  /**
   * Where it will be attached: 'cgroup_inet4_connect', 'trace_fentry', 'xdp_devmap' ... Some types need it; `sk_lookup`,
   * `netfilter` and `lsm` have their own. Linux 4.17.
   */
  readonly expectedAttachType?: AttachTypeName
  /** What `tracing`, `lsm`, `ext` and `struct_ops` programs are written for. Linux 5.5. */
  readonly attachTo?: AttachTarget
  /** Under the kernel's names: ['SLEEPABLE', 'XDP_HAS_FRAGS']. `syscall` programs are SLEEPABLE unasked. */
  readonly flags?: readonly ProgramFlag[]
  readonly btf?: ProgramBtf
  /** The network device that the program is to be loaded for (offload, or XDP_DEV_BOUND_ONLY). Linux 4.16. */
  readonly ifindex?: number
  /** The fds that instructions name by their place (BPF_PSEUDO_MAP_IDX). Linux 5.14. */
  readonly fdArray?: readonly HasFd[]
  /** A token that gives the right to load it. Linux 6.9. */
  readonly token?: HasFd
  /**
   * The verifier's log also of a program that it accepts, as `program.log`: 1 for how much there was to look at, 2 for
   * every instruction and what is known of registers there, 4 for more figures; these add up. Without it there is a log
   * only of what is refused.
   * The program then carries the lines of its source as well, for `bpftool prog dump xlated linum`: loading takes several
   * times as long with them, which is why no other program does.
   */
  readonly logLevel?: number
}

const OPTIONS = optionNames<ProgramOptions>({
  ...{ type: true, code: true, name: true, license: true, expectedAttachType: true, attachTo: true, flags: true },
  ...{ btf: true, ifindex: true, fdArray: true, token: true, logLevel: true },
})

const INSTRUCTION_BYTES = 8
const FUNC_INFO_BYTES = 8
const LINE_INFO_BYTES = 16
const CORE_RELO_BYTES = 16
/** BPF_COMPLEXITY_LIMIT_INSNS: what CAP_BPF may load; everybody else 4096. */
const MOST_INSTRUCTIONS = 1_000_000
const MOST_LOG_LEVEL = 15

/** What BPF_PROG_LOAD is given. */
export interface Loading {
  readonly type: ProgramTypeName
  readonly expectedAttachType: AttachTypeName | undefined
  readonly fields: ProgLoadFields
  readonly code: ProgramCode | undefined
  readonly logLevel: number
  readonly subject: Subject
}

/** Checks the options, and packs them. Throws TypeError, RangeError; AssemblyError, ClosedError of the code's. */
export function loadingOf(options: ProgramOptions): Loading {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("a program is loaded by { type: 'xdp', code: bpf`...` }")
  }
  checkKnownOptions(options, OPTIONS)
  const { type, name = '', license = 'GPL', logLevel = 0, ifindex, btf, token } = options
  const prog_type = programTypeNumber(type)
  checkProgramName(name)
  if (ifindex !== undefined) checkU32('ifindex', ifindex, 1)
  checkU32('logLevel', logLevel)
  if (logLevel > MOST_LOG_LEVEL) throw new RangeError(`${logLevel} cannot be logLevel: 0 to ${MOST_LOG_LEVEL} can`)
  const subject: Subject = { description: programLabel(name) }
  const code = types.isUint8Array(options.code) ? undefined : options.code
  const flags = bitsOf('program flag', PROGRAM_FLAGS, options.flags)
  // bpf_prog_load refuses them without.
  const sleepable = type === 'syscall' ? PROGRAM_FLAGS.SLEEPABLE : 0
  const insns = instructionsOf(options.code)
  const fields: ProgLoadFields = {
    prog_type,
    insns,
    license: licenseOf(license),
    prog_name: name === '' ? undefined : name,
    prog_flags: flags | sleepable | (token === undefined ? 0 : BPF_F_TOKEN_FD),
    prog_ifindex: ifindex,
    prog_token_fd: token === undefined ? undefined : fdOf(token, 'token'),
    fd_array: fdArrayOf(options.fdArray, code?.modules),
    ...(btf === undefined ? {} : btfFields(btf)),
    ...placeOf(type, options.expectedAttachType, options.attachTo, subject),
  }
  return { type, expectedAttachType: options.expectedAttachType, fields, code, logLevel, subject }
}

/** What messages call a program: "Program#12 'count'". */
export function programLabel(name: string, id?: number): string {
  return `Program${id === undefined ? '' : `#${id}`}${name === '' ? '' : ` '${name}'`}`
}

function instructionsOf(code: ProgramCode | Uint8Array): Uint8Array {
  const bytes: unknown = types.isUint8Array(code) ? code : typeof code?.bytes === 'function' ? code.bytes() : undefined
  if (!types.isUint8Array(bytes)) {
    throw new TypeError('code is what the bpf template or assemble() makes, or a Uint8Array of instructions')
  }
  if (!types.isArrayBuffer(bytes.buffer)) throw new TypeError('code must not be shared between threads')
  if (bytes.length === 0) throw new RangeError('code is empty: the least program is  r0 = 0; exit')
  if (bytes.length % INSTRUCTION_BYTES !== 0) {
    throw new RangeError(`code has ${bytes.length} bytes: that is no whole number of instructions of 8`)
  }
  const count = bytes.length / INSTRUCTION_BYTES
  if (count > MOST_INSTRUCTIONS) {
    throw new RangeError(`code has ${count} instructions: the kernel takes up to ${MOST_INSTRUCTIONS}`)
  }
  return bytes
}

const NAME = /^[A-Za-z0-9_.]{0,15}$/

function checkProgramName(name: string): void {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, not ${typeof name}`)
  if (!NAME.test(name)) {
    throw new RangeError(`${JSON.stringify(name)} cannot be a program's name: up to 15 of A-Z a-z 0-9 _ . can`)
  }
}

/** strncpy_from_bpfptr in bpf_prog_load takes so many, with the NUL. */
const LICENSE_BYTES = 128

function licenseOf(license: string): string {
  if (typeof license !== 'string') throw new TypeError(`license must be a string, not ${typeof license}`)
  if (license === 'GPL') return license
  if (license === '' || license.includes('\0') || Buffer.byteLength(license) >= LICENSE_BYTES) {
    throw new RangeError(`${JSON.stringify(license)} cannot be a license: text of 1 to ${LICENSE_BYTES - 1} bytes can`)
  }
  return license
}

function fdArrayOf(given: readonly HasFd[] | undefined, modules: readonly HasFd[] = []): Int32Array | undefined {
  if (given !== undefined) {
    if (!Array.isArray(given)) throw new TypeError('fdArray is a list of what has an fd')
    if (modules.length > 0) throw new TypeError('code that calls functions of modules has an fd array of its own')
    return given.length === 0 ? undefined : Int32Array.from(given, (each, i) => fdOf(each as HasFd, `fdArray[${i}]`))
  }
  if (modules.length === 0) return undefined
  // Place 0 stands for vmlinux.
  return Int32Array.from([0, ...modules.map((module) => fdOf(module, "a module's BTF"))])
}

function btfFields(btf: ProgramBtf): Partial<ProgLoadFields> {
  if (typeof btf !== 'object' || btf === null) throw new TypeError('btf is { fd, functions, lines, relocations }')
  const { fd, functions, lines, relocations } = btf
  checkRecords('btf.functions', functions, FUNC_INFO_BYTES)
  checkRecords('btf.lines', lines, LINE_INFO_BYTES)
  checkRecords('btf.relocations', relocations, CORE_RELO_BYTES)
  return {
    prog_btf_fd: fdOf(fd, 'btf.fd'),
    ...(functions && { func_info: functions, func_info_rec_size: FUNC_INFO_BYTES }),
    ...(lines && { line_info: lines, line_info_rec_size: LINE_INFO_BYTES }),
    ...(relocations && { core_relos: relocations, core_relo_rec_size: CORE_RELO_BYTES }),
  }
}

function checkRecords(what: string, records: Uint8Array | undefined, size: number): void {
  if (records === undefined) return
  if (!types.isUint8Array(records)) throw new TypeError(`${what} must be a Uint8Array`)
  if (records.length > 0 && records.length % size === 0) return
  throw new RangeError(`${what} has ${records.length} bytes: records are ${size} bytes each, and one at least`)
}
