import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { memlockHint } from './memlock'
import { type Capability, hasCapability, missingCapabilities } from './privilege'
import { PROGRAM_TYPES } from './uapi-names'
import * as progs from './uapi-prog'

/**
 * The one place where an errno becomes a likely cause. What depends on an object (a frozen map, a template that does
 * not fit) is added by whoever holds the object, through `About.hint`; here is what command and errno alone tell.
 * Each entry follows kernel/bpf/syscall.c.
 */

type Hint = string | (() => string | undefined)

const BY_COMMAND: Readonly<Record<string, Readonly<Record<string, Hint>>>> = {
  BPF_MAP_CREATE: {
    EPERM: () => charged('CAP_BPF (or CAP_SYS_ADMIN)'),
    E2BIG:
      'the map would be too large: max_entries times the sizes of key and value (in Linux 5.10 also: a key of more than 512 bytes)',
    ENOMEM: 'no memory for the map',
    EINVAL: () => `the kernel (Linux ${release()}) does not know this map type, or not this combination of attributes`,
    ENOTSUPP: 'this map type does not go with one of the flags, or may not be an inner map',
    EBADF: 'one of the fds given (inner map, BTF, token) is not open',
  },
  BPF_MAP_LOOKUP_ELEM: {
    EPERM: 'the handle was opened write-only (BPF_F_WRONLY)',
    ENOTSUPP: 'maps of this type cannot be read by key from user space',
    EOPNOTSUPP: 'maps of this type cannot be read from user space',
  },
  BPF_MAP_UPDATE_ELEM: {
    E2BIG: 'the map is full, or the index is past its end',
    EEXIST: "an entry with this key exists, and only: 'create' was asked for",
    ENOENT: "there is no entry with this key, and only: 'replace' was asked for",
    EPERM: 'the map is frozen, or the handle was opened read-only (BPF_F_RDONLY)',
    EBADF: 'the value must be an open file descriptor; an id is not one',
    ENOMEM: 'no memory for a new element',
  },
  BPF_MAP_DELETE_ELEM: {
    EPERM: 'the map is frozen, or the handle was opened read-only (BPF_F_RDONLY)',
    EINVAL: 'entries of an array always exist: they can be overwritten, not deleted',
    E2BIG: 'the index is past the end of the array',
  },
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: {
    ENOTSUPP: 'this map type has no atomic look-up-and-delete in this kernel',
  },
  BPF_MAP_GET_NEXT_KEY: {
    EPERM: 'the handle was opened write-only (BPF_F_WRONLY)',
    ENOTSUPP: 'keys of this map type cannot be listed',
  },
  BPF_MAP_UPDATE_BATCH: {
    E2BIG: 'the map is full',
    EPERM: 'the map is frozen, or the handle was opened read-only (BPF_F_RDONLY)',
  },
  BPF_MAP_GET_FD_BY_ID: {
    EPERM: () => needs('CAP_SYS_ADMIN, which every opening by id does; a pinned path or an inherited fd does not'),
    ENOENT: 'no map has this id: its last reference is gone, or it never was',
  },
  BPF_MAP_GET_NEXT_ID: { EPERM: () => needs('CAP_SYS_ADMIN, to list the ids of the system') },
  BPF_PROG_GET_NEXT_ID: { EPERM: () => needs('CAP_SYS_ADMIN, to list the ids of the system') },
  BPF_LINK_GET_NEXT_ID: { EPERM: () => needs('CAP_SYS_ADMIN, to list the ids of the system') },
  BPF_BTF_GET_NEXT_ID: { EPERM: () => needs('CAP_SYS_ADMIN, to list the ids of the system') },
  BPF_PROG_GET_FD_BY_ID: {
    EPERM: () => needs('CAP_SYS_ADMIN, which every opening by id does'),
    ENOENT: 'no program has this id: its last reference is gone, or it never was',
  },
  BPF_LINK_GET_FD_BY_ID: {
    EPERM: () => needs('CAP_SYS_ADMIN, which every opening by id does'),
    ENOENT: 'no link has this id: its last reference is gone, or it never was',
  },
  BPF_BTF_GET_FD_BY_ID: {
    EPERM: () => needs('CAP_SYS_ADMIN, which every opening by id does'),
    ENOENT: 'no BTF object has this id: its last reference is gone, or it never was',
  },
  BPF_PROG_ATTACH: {
    EPERM:
      'something is attached there already and does not admit another (BPF_F_ALLOW_MULTI), or a capability is missing',
    EEXIST: 'the program is attached there already',
    EBUSY: 'something is attached there already',
    ESTALE: 'what is attached there has changed since it was asked for (expected_revision)',
    ENOMEM: memlockHint,
  },
  BPF_PROG_DETACH: { ENOENT: 'the program is not attached there' },
  BPF_PROG_TEST_RUN: { ENOTSUPP: 'the kernel cannot run programs of this type by itself' },
  BPF_LINK_CREATE: {
    EBUSY: 'something is attached there already',
    ENOMEM: memlockHint,
    EEXIST: 'the program is attached there already',
    EPERM: () => needs('CAP_BPF, with CAP_NET_ADMIN or CAP_PERFMON for many attach types'),
    EOPNOTSUPP: 'this kernel, or this network device, has no such attachment',
    ENODEV: 'there is no network device of this index',
  },
  BPF_LINK_UPDATE: {
    EPERM: 'old_prog_fd is not the program of this link',
    EINVAL: 'links of this kind keep the program that they were made with, or the new one is of another type',
    EOPNOTSUPP: 'links of this kind keep the program that they were made with',
    ENOLINK: 'the link is detached, or what it was attached to is gone',
  },
  BPF_LINK_DETACH: { EOPNOTSUPP: 'links of this kind end when they are closed; they cannot be detached before' },
  BPF_ITER_CREATE: { EINVAL: 'the link is not that of an iterator program' },
  BPF_RAW_TRACEPOINT_OPEN: {
    ENOENT: 'the kernel has no raw tracepoint of this name (the folders below events/ in tracefs name them)',
  },
  BPF_TOKEN_CREATE: {
    EOPNOTSUPP: 'tokens are for user namespaces: this bpf file system belongs to the initial one',
    ENOENT: 'this bpf file system delegates nothing (mount options delegate_cmds, delegate_maps ...)',
    EINVAL: 'the file descriptor is not that of the root folder of a bpf file system',
  },
  BPF_PROG_LOAD: {
    EACCES: 'the verifier does not accept the program: its log (log_level, log_buf) says why',
    E2BIG: 'there are no instructions, or more than the kernel takes: 4096 without CAP_BPF, a million with it',
    ENOSPC: 'the log did not fit into log_buf',
    EPERM: () => charged('CAP_BPF, with CAP_NET_ADMIN or CAP_PERFMON for many program types'),
  },
  BPF_BTF_LOAD: { EPERM: () => charged('CAP_BPF (or CAP_SYS_ADMIN)') },
  BPF_ENABLE_STATS: { EPERM: () => needs('CAP_SYS_ADMIN') },
  BPF_OBJ_PIN: {
    EPERM:
      'the path is not on a bpf file system: mount one with  mount -t bpf bpf /sys/fs/bpf  (or the name has a dot: pins must not)',
    ENOENT:
      'a folder of the path does not exist, or no bpf file system is mounted there:  mount -t bpf bpf /sys/fs/bpf  mounts one',
    EEXIST: 'something is pinned at this path already',
    EACCES: 'no permission to write in that folder',
    EINVAL: 'the file descriptor is no map, program or link, and nothing else can be pinned',
  },
  BPF_OBJ_GET: {
    ENOENT: 'nothing is pinned at this path',
    EACCES: 'the path is no pin, or its permissions do not allow it: open it read-only, or chmod the pin',
    EPERM: 'the permissions of the pin do not allow it',
  },
  BPF_OBJ_GET_INFO_BY_FD: {
    EBADFD: 'the file descriptor is not open, or is no BPF object',
    EINVAL: 'the file descriptor is no BPF object',
  },
  BPF_MAP_FREEZE: {
    EBUSY: 'the map is mapped writable into memory: close that mapping first',
    EPERM: 'the map is frozen already, or the handle was opened read-only',
    ENOTSUPP: 'maps of this type cannot be frozen',
  },
  perf_event_open: {
    EACCES: paranoid,
    EPERM: paranoid,
    ENOENT: 'this machine has no such event',
    ENODEV: 'the CPU is offline, or there is none of this number',
    ESRCH: 'there is no such process',
    EOPNOTSUPP: 'events of this kind cannot be sampled here, or the kernel was built without this kind of probe',
    ENOSYS: 'the kernel was built without perf events (CONFIG_PERF_EVENTS)',
  },
  PERF_EVENT_IOC_SET_BPF: {
    EEXIST: 'the event has a program already, and keeps it',
    EINVAL: 'the program is not of the type that events of this kind run, or takes a larger context than they have',
    E2BIG: 'there are 64 programs at this event already, and the kernel runs no more',
  },
  epoll_ctl: { EPERM: 'what this fd belongs to is always ready, like a regular file: there is nothing to wait for' },
}

/** What most likely is wrong when a command fails with a code; undefined where the code says it all. */
export function hintFor(command: string, code: string): string | undefined {
  const hint = BY_COMMAND[command]?.[code]
  return typeof hint === 'function' ? hint() : hint
}

/** What most likely is wrong where BPF_MAP_CREATE answers EPERM for a type that is about the network. */
export function networkMapHint(): string {
  return charged('CAP_BPF and CAP_NET_ADMIN, for maps of this type', 'CAP_BPF', 'CAP_SYS_ADMIN', 'CAP_NET_ADMIN')
}

/** is_net_admin_prog_type in kernel/bpf/syscall.c; `lirc_mode2` was one of them until Linux 6.4. */
const NETWORK_PROGRAMS: ReadonlySet<number> = new Set([
  ...[progs.BPF_PROG_TYPE_SCHED_CLS, progs.BPF_PROG_TYPE_SCHED_ACT, progs.BPF_PROG_TYPE_XDP],
  ...[progs.BPF_PROG_TYPE_LWT_IN, progs.BPF_PROG_TYPE_LWT_OUT, progs.BPF_PROG_TYPE_LWT_XMIT],
  ...[progs.BPF_PROG_TYPE_LWT_SEG6LOCAL, progs.BPF_PROG_TYPE_SK_SKB, progs.BPF_PROG_TYPE_SK_MSG],
  ...[progs.BPF_PROG_TYPE_FLOW_DISSECTOR, progs.BPF_PROG_TYPE_CGROUP_DEVICE, progs.BPF_PROG_TYPE_CGROUP_SOCK],
  ...[progs.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, progs.BPF_PROG_TYPE_CGROUP_SOCKOPT, progs.BPF_PROG_TYPE_CGROUP_SYSCTL],
  ...[progs.BPF_PROG_TYPE_SOCK_OPS, progs.BPF_PROG_TYPE_EXT, progs.BPF_PROG_TYPE_NETFILTER],
])
/** is_perfmon_prog_type, in the same file. */
const TRACING_PROGRAMS: ReadonlySet<number> = new Set([
  ...[progs.BPF_PROG_TYPE_KPROBE, progs.BPF_PROG_TYPE_TRACEPOINT, progs.BPF_PROG_TYPE_PERF_EVENT],
  ...[progs.BPF_PROG_TYPE_RAW_TRACEPOINT, progs.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, progs.BPF_PROG_TYPE_TRACING],
  ...[progs.BPF_PROG_TYPE_LSM, progs.BPF_PROG_TYPE_STRUCT_OPS, progs.BPF_PROG_TYPE_EXT],
])

/** What most likely is wrong where BPF_PROG_LOAD answers EPERM for a program of this type. */
export function programHint(type: number): string {
  const wanted: Capability[] = ['CAP_BPF']
  if (NETWORK_PROGRAMS.has(type)) wanted.push('CAP_NET_ADMIN')
  if (TRACING_PROGRAMS.has(type)) wanted.push('CAP_PERFMON')
  const name = Object.entries(PROGRAM_TYPES).find(([, number]) => number === type)?.[0] ?? `${type}`
  const other = wanted.length === 1 ? 'or CAP_SYS_ADMIN' : 'or CAP_SYS_ADMIN, which stands for them'
  const what = `${wanted.join(' and ')} for programs of type ${name} (${other})`
  // bpf_token_capable: who has that one lacks none of the others.
  return hasCapability('CAP_SYS_ADMIN') === true ? charged(what, 'CAP_SYS_ADMIN') : charged(what, ...wanted)
}

function needs(what: string, ...wanted: readonly Capability[]): string {
  const asked: readonly Capability[] = wanted.length === 0 ? ['CAP_BPF', 'CAP_SYS_ADMIN'] : wanted
  const missing = missingCapabilities(...asked)
  if (missing.length === 0)
    return `needs ${what}; this process has ${asked.join(' and ')}, so a security module or lockdown may forbid it`
  return `needs ${what}; this process lacks ${missing.join(' and ')} (run it as root, or give node the capability)`
}

/** perf_event_open(2) asks for other rights than bpf(2) does, the more the higher this setting is. */
function paranoid(): string {
  let level = ''
  try {
    level = ` (${readFileSync('/proc/sys/kernel/perf_event_paranoid', 'latin1').trim()})`
  } catch {
    // No /proc: the setting is named all the same.
  }
  const missing = missingCapabilities('CAP_PERFMON', 'CAP_SYS_ADMIN')
  const has =
    missing.length === 0 ? 'a security module or lockdown may forbid it' : `this process lacks ${missing.join(' and ')}`
  return `kernel.perf_event_paranoid${level} leaves events to CAP_PERFMON (or CAP_SYS_ADMIN); ${has}`
}

/** The same for what counts against RLIMIT_MEMLOCK in kernels that count. */
function charged(what: string, ...wanted: readonly Capability[]): string {
  const limit = memlockHint()
  return limit === undefined ? needs(what, ...wanted) : `${limit}; or ${needs(what, ...wanted)}`
}
