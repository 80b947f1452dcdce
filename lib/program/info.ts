import { uptime } from 'node:os'
import { progInfo } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import type { ProgInfo } from '../../syscalls/info'
import { readFdInfo } from '../handle/fd-info'
import { type ProgramTypeLabel, programTypeLabel } from './names'

/** What the kernel and /proc tell of a program. */
export interface ProgramInfo {
  readonly id: number
  readonly type: ProgramTypeLabel
  /** '' for none. */
  readonly name: string
  /** The hash of its instructions, 16 hexadecimal digits: the same for the same program, whatever maps it uses. */
  readonly tag: string
  /** The user who loaded it. */
  readonly uid: number
  /** To some 10 ms: the kernel counts from its start. */
  readonly loadedAt: Date
  readonly gplCompatible: boolean
  readonly mapIds: readonly number[]
  /** Bytes of the translated instructions; 0 where the kernel does not show them (CAP_BPF, CAP_PERFMON). */
  readonly xlatedSize: number
  /** Bytes of machine code; 0 where it is not compiled, or not shown. */
  readonly jitedSize: number
  /** Instructions that the verifier looked at, each as often as it did. Linux 5.16. */
  readonly verifiedInstructions: number | undefined
  /** Id of the BTF object that it was loaded with; 0 for none. */
  readonly btfId: number
  /** What it was written for, as an id in that BTF object. Linux 6.0. */
  readonly attachBtf: { readonly objectId: number; readonly typeId: number } | undefined
  /** The network device that it was loaded for; 0 for none. */
  readonly ifindex: number
  /** Bytes of kernel memory that it is charged for. */
  readonly memlock: number | undefined
  /** How often it ran while statistics were kept (`enableStats`). */
  readonly runs: bigint
  /** Nanoseconds that these runs took together. */
  readonly nanoseconds: bigint
  /** Runs that were left out, as it was running on the same CPU already. Linux 5.12. */
  readonly recursionMisses: bigint | undefined
}

/** What a program did while somebody held statistics open. */
export interface ProgramStats {
  readonly runs: bigint
  /** Of all runs together. */
  readonly nanoseconds: bigint
  /** Linux 5.12. */
  readonly recursionMisses: bigint | undefined
}

export function programInfo(fd: number, subject: Subject): ProgramInfo {
  const info = progInfo(fd, {}, subject)
  const { attach_btf_id: typeId = 0, attach_btf_obj_id: objectId = 0 } = info
  return {
    id: info.id,
    type: programTypeLabel(info.type),
    name: info.name,
    tag: info.tag,
    uid: info.created_by_uid,
    loadedAt: timeOf(info.load_time),
    gplCompatible: info.gpl_compatible,
    mapIds: info.nr_map_ids === 0 ? [] : programMapIds(fd, info, subject),
    xlatedSize: info.xlated_prog_len,
    jitedSize: info.jited_prog_len,
    verifiedInstructions: info.verified_insns,
    btfId: info.btf_id,
    attachBtf: typeId === 0 ? undefined : { objectId, typeId },
    ifindex: info.ifindex,
    memlock: readFdInfo(fd)?.memlock,
    ...statsOf(info),
  }
}

export function statsOf({ run_cnt, run_time_ns, recursion_misses }: ProgInfo): ProgramStats {
  return { runs: run_cnt, nanoseconds: run_time_ns, recursionMisses: recursion_misses }
}

/** Another map may be bound meanwhile: as many as there was room for. */
function programMapIds(fd: number, { nr_map_ids }: ProgInfo, subject: Subject): number[] {
  const map_ids = new Uint32Array(nr_map_ids)
  const { nr_map_ids: now } = progInfo(fd, { map_ids }, subject)
  return [...map_ids.subarray(0, now)]
}

/** The instructions as the kernel has rewritten them; empty where it does not show them. */
export function translated(fd: number, subject: Subject): Uint8Array {
  const xlated_prog_insns = roomFor(progInfo(fd, {}, subject).xlated_prog_len)
  if (xlated_prog_insns !== undefined) progInfo(fd, { xlated_prog_insns }, subject)
  return xlated_prog_insns ?? new Uint8Array(0)
}

/** The machine code; empty where there is none, or it is not shown. */
export function compiled(fd: number, subject: Subject): Uint8Array {
  const jited_prog_insns = roomFor(progInfo(fd, {}, subject).jited_prog_len)
  if (jited_prog_insns !== undefined) progInfo(fd, { jited_prog_insns }, subject)
  return jited_prog_insns ?? new Uint8Array(0)
}

function roomFor(bytes: number): Uint8Array | undefined {
  return bytes === 0 ? undefined : new Uint8Array(bytes)
}

/** A time in nanoseconds since the start of the machine, sleep counted (ktime_get_boottime_ns). */
function timeOf(sinceStart: bigint): Date {
  return new Date(Date.now() - uptime() * 1000 + Number(sinceStart / 1000n) / 1000)
}
