import { release } from 'node:os'
import { HELPER_NUMBERS, type HelperName, type MapTypeName, type ProgramTypeName } from '../../syscalls/uapi-names'
import type { AttachName } from './attach'
import type { BtfKindName } from './btf-kinds'
import type { GeneralName, InstructionSet } from './general'

/**
 * The first Linux version with each feature: the one place in the project that knows. From the kernel's history
 * (the merge windows of the commits that added them) and from what kernels 5.10 to 7.3 were found to answer.
 */
export const SINCE = {
  mapType: {
    hash: '3.19',
    array: '3.19',
    prog_array: '4.2',
    perf_event_array: '4.3',
    percpu_hash: '4.6',
    percpu_array: '4.6',
    stack_trace: '4.6',
    cgroup_array: '4.8',
    lru_hash: '4.10',
    lru_percpu_hash: '4.10',
    lpm_trie: '4.11',
    array_of_maps: '4.12',
    hash_of_maps: '4.12',
    devmap: '4.14',
    sockmap: '4.14',
    cpumap: '4.15',
    xskmap: '4.18',
    sockhash: '4.18',
    cgroup_storage: '4.19',
    reuseport_sockarray: '4.19',
    percpu_cgroup_storage: '4.20',
    queue: '4.20',
    stack: '4.20',
    sk_storage: '5.2',
    devmap_hash: '5.4',
    struct_ops: '5.6',
    ringbuf: '5.8',
    inode_storage: '5.10',
    task_storage: '5.11',
    bloom_filter: '5.16',
    user_ringbuf: '6.1',
    cgrp_storage: '6.2',
    arena: '6.9',
    insn_array: '6.19',
    rhash: '7.2',
  },
  programType: {
    socket_filter: '3.19',
    kprobe: '4.1',
    sched_cls: '4.1',
    sched_act: '4.1',
    tracepoint: '4.7',
    xdp: '4.8',
    perf_event: '4.9',
    cgroup_skb: '4.10',
    cgroup_sock: '4.10',
    lwt_in: '4.10',
    lwt_out: '4.10',
    lwt_xmit: '4.10',
    sock_ops: '4.13',
    sk_skb: '4.14',
    cgroup_device: '4.15',
    sk_msg: '4.17',
    raw_tracepoint: '4.17',
    cgroup_sock_addr: '4.17',
    lwt_seg6local: '4.18',
    lirc_mode2: '4.18',
    sk_reuseport: '4.19',
    flow_dissector: '4.20',
    cgroup_sysctl: '5.2',
    raw_tracepoint_writable: '5.2',
    cgroup_sockopt: '5.3',
    tracing: '5.5',
    struct_ops: '5.6',
    ext: '5.6',
    lsm: '5.7',
    sk_lookup: '5.9',
    syscall: '5.14',
    netfilter: '6.4',
  },
  attach: {
    /** By a link; by netlink from 4.8 on. */
    xdp: '5.9',
    tcx: '6.6',
    netkit: '6.7',
    cgroup: '4.10',
    lsm_cgroup: '6.0',
    sk_lookup: '5.9',
    flow_dissector: '4.20',
    sockmap: '4.14',
    netfilter: '6.4',
    struct_ops: '5.6',
    tracepoint: '4.7',
    perf_event: '4.9',
    /** By perf_event_open(2); by a name written to tracefs from 4.1 on. */
    kprobe: '4.17',
    uprobe: '4.17',
    kprobe_multi: '5.18',
    kprobe_session: '6.10',
    uprobe_multi: '6.6',
    uprobe_session: '6.13',
    raw_tracepoint: '4.17',
    tp_btf: '5.5',
    fentry: '5.5',
    fexit: '5.5',
    fmod_ret: '5.7',
    lsm: '5.7',
    iter: '5.8',
    freplace: '5.6',
  },
  instructionSet: { v1: '3.18', v2: '4.14', v3: '5.1', v4: '6.6' },
  btf: {
    datasec: '5.2',
    func: '5.0',
    func_global: '5.6',
    float: '5.13',
    decl_tag: '5.16',
    type_tag: '5.17',
    enum64: '6.0',
    attribute_tag: '6.15',
    section_name: '6.9',
  },
  general: {
    batch: '5.6',
    outerMapBatch: '5.19',
    perCpuArrayBatch: '5.13',
    lookupAndDelete: '5.14',
    innerMapFlag: '5.10',
    mmap: '5.5',
    freeze: '5.2',
    ringBuffer: '5.8',
    userRingBuffer: '6.1',
    kernelBtf: '5.4',
    boundedLoops: '5.3',
    largePrograms: '5.2',
    kfuncs: '5.13',
    callbacks: '5.13',
    atomics: '5.12',
    xdpFragments: '5.18',
    logTrueSize: '6.4',
    links: '5.7',
    bpfCookie: '5.15',
    pinByFolderFd: '6.5',
    statistics: '5.8',
    tokens: '6.9',
    programStreams: '6.17',
  },
} as const satisfies {
  mapType: Record<MapTypeName, string>
  programType: Record<ProgramTypeName, string>
  attach: Record<AttachName, string>
  instructionSet: Record<InstructionSet, string>
  btf: Record<BtfKindName, string>
  general: Record<GeneralName, string>
}

/** Helpers are numbered as they came: the last number of each version that brought some. */
const LAST_HELPER: readonly (readonly [last: number, version: string])[] = [
  [3, '3.19'],
  [11, '4.1'],
  [16, '4.2'],
  [22, '4.3'],
  [25, '4.4'],
  [26, '4.5'],
  [30, '4.6'],
  [36, '4.8'],
  [41, '4.9'],
  [44, '4.10'],
  [45, '4.11'],
  [47, '4.12'],
  [50, '4.13'],
  [53, '4.14'],
  [57, '4.15'],
  [59, '4.16'],
  [64, '4.17'],
  [80, '4.18'],
  [83, '4.19'],
  [90, '4.20'],
  [92, '5.0'],
  [98, '5.1'],
  [108, '5.2'],
  [109, '5.3'],
  [110, '5.4'],
  [115, '5.5'],
  [118, '5.6'],
  [124, '5.7'],
  [135, '5.8'],
  [141, '5.9'],
  [155, '5.10'],
  [162, '5.11'],
  [163, '5.12'],
  [165, '5.13'],
  [168, '5.14'],
  [175, '5.15'],
  [179, '5.16'],
  [185, '5.17'],
  [193, '5.18'],
  [203, '5.19'],
  [207, '6.0'],
  [209, '6.1'],
  [211, '6.2'],
]

/** The first Linux version with a helper, in some program type: others may have followed. */
export function helperSince(helper: HelperName): string {
  const number = HELPER_NUMBERS[helper]
  return LAST_HELPER.find(([last]) => number <= last)?.[1] ?? ''
}

/** Whether the running kernel is at least of that version, by its own account; for words alone. */
export function isAtLeast(version: string): boolean {
  const order = (text: string) => {
    const [major = 0, minor = 0] = text.split('.').map((part) => Number.parseInt(part, 10))
    return major * 1000 + minor
  }
  return order(release()) >= order(version)
}
