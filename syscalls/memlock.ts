import { endianness, release } from 'node:os'
import { type Abi, abi, keepAlive } from './abi'
import { NR } from './numbers'
import * as commands from './uapi-cmd'

/**
 * Before Linux 5.11 the memory of maps and programs counted against RLIMIT_MEMLOCK of the process, 64 KiB as a rule, and
 * whoever had used it up was told EPERM (bpf_charge_memlock in kernel/bpf/syscall.c of 5.10). From then on the memory
 * cgroup pays, and nobody is told so any more.
 *
 * A kernel that does not count never sees the limit touched: it is raised only after a refusal, and put back where that
 * was not the cause.
 */

const LE = endianness() === 'LE'

/** The same number on every machine that numbers.ts knows (include/uapi/asm-generic/resource.h). */
const RLIMIT_MEMLOCK = 8

/** RLIM64_INFINITY */
const INFINITE = 2n ** 64n - 1n

/** struct rlimit64, in bytes. */
export interface MemlockLimit {
  /** What is enforced. */
  readonly soft: bigint
  /** How far anybody may raise it; above that takes CAP_SYS_RESOURCE. */
  readonly hard: bigint
}

const EPERM = 1
const ENOMEM = 12

/** What the commands that are charged say when the limit is used up. */
const REFUSALS: Readonly<Record<number, number>> = {
  [commands.BPF_MAP_CREATE]: EPERM,
  [commands.BPF_PROG_LOAD]: EPERM,
  [commands.BPF_BTF_LOAD]: EPERM,
  // Storage of a cgroup is made when a program is attached to it (bpf_cgroup_storages_alloc in include/linux/bpf-cgroup.h).
  [commands.BPF_PROG_ATTACH]: ENOMEM,
  [commands.BPF_LINK_CREATE]: ENOMEM,
}

/** The limit that kept the last refused call from being tried again; undefined where it was not at fault. */
let stuckAt: bigint | undefined

/**
 * The result of a command that was refused, once more with a higher limit where that may have been the cause. A limit
 * that helped stays raised: the memory goes on counting.
 */
export function tryWithMemlock(seam: Abi, command: number, result: number, again: () => number): number {
  stuckAt = undefined
  if (result >= 0 || REFUSALS[command] !== -result) return result
  const before = prlimit(seam)
  if (before === undefined || before.soft === INFINITE) return result
  const wanted = [{ soft: INFINITE, hard: INFINITE }]
  if (before.hard > before.soft) wanted.push({ soft: before.hard, hard: before.hard })
  if (!wanted.some((limit) => prlimit(seam, limit) !== undefined)) {
    stuckAt = before.soft
    return result
  }
  const second = again()
  if (second >= 0) return second
  const reached = prlimit(seam, before)
  // As far as this process may go, which may still not be far enough.
  if (second === result && reached?.soft !== INFINITE) stuckAt = before.hard
  return second
}

/** What there is to say about a refusal that the limit may be the cause of; undefined where it cannot be. */
export function memlockHint(): string | undefined {
  if (stuckAt === undefined || !mayCount()) return undefined
  const size = stuckAt < 2n ** 20n ? `${stuckAt / 1024n} KiB` : `${stuckAt / 2n ** 20n} MiB`
  return `RLIMIT_MEMLOCK (\`ulimit -l\`: ${size}) is too low for what this process has, and raising it needs CAP_SYS_RESOURCE`
}

/** Whether the kernel is from before Linux 5.11, by its own account: it decides on words alone. */
function mayCount(): boolean {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10))
  return major * 1000 + minor < 5011
}

/** RLIMIT_MEMLOCK of this process. Errors: none of its own; undefined where the kernel does not tell. */
export function memlockLimit(): MemlockLimit | undefined {
  return prlimit(abi())
}

/** prlimit64(2): the limit as it was, and another one in its place where given; undefined where it is refused. */
function prlimit(seam: Abi, next?: MemlockLimit): MemlockLimit | undefined {
  const block = new ArrayBuffer(32)
  const view = new DataView(block)
  const address = seam.addressOf(block)
  if (next !== undefined) {
    view.setBigUint64(0, next.soft, LE)
    view.setBigUint64(8, next.hard, LE)
  }
  const result = seam.syscall(NR.prlimit64, 0, RLIMIT_MEMLOCK, next === undefined ? 0 : address, address + 16)
  keepAlive(block)
  if (result < 0) return undefined
  return { soft: view.getBigUint64(16, LE), hard: view.getBigUint64(24, LE) }
}
