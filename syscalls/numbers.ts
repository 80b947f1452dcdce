/** System call numbers by `process.arch`, from the kernel's own tables (arch/.../syscall*.tbl, scripts/syscall.tbl). */
export interface SyscallNumbers {
  readonly bpf: number
  readonly close: number
  /** `fcntl64` on 32-bit machines. */
  readonly fcntl: number
  /** `mmap2`, whose offset counts pages of 4096 bytes, on 32-bit machines. */
  readonly mmap: number
  readonly munmap: number
  readonly epoll_create1: number
  readonly epoll_ctl: number
  readonly epoll_pwait: number
  readonly perf_event_open: number
  readonly prlimit64: number
  readonly ioctl: number
  readonly socket: number
  readonly sendto: number
  readonly recvfrom: number
  readonly setsockopt: number
  readonly getsockopt: number
  readonly setns: number
}

/** arm64, riscv64 and loong64 share the kernel's generic table. */
const generic: SyscallNumbers = {
  bpf: 280,
  close: 57,
  fcntl: 25,
  mmap: 222,
  munmap: 215,
  epoll_create1: 20,
  epoll_ctl: 21,
  epoll_pwait: 22,
  perf_event_open: 241,
  prlimit64: 261,
  ioctl: 29,
  socket: 198,
  sendto: 206,
  recvfrom: 207,
  setsockopt: 208,
  getsockopt: 209,
  setns: 268,
}

export const SYSCALLS: Readonly<Record<string, SyscallNumbers>> = {
  x64: {
    bpf: 321,
    close: 3,
    fcntl: 72,
    mmap: 9,
    munmap: 11,
    epoll_create1: 291,
    epoll_ctl: 233,
    epoll_pwait: 281,
    perf_event_open: 298,
    prlimit64: 302,
    ioctl: 16,
    socket: 41,
    sendto: 44,
    recvfrom: 45,
    setsockopt: 54,
    getsockopt: 55,
    setns: 308,
  },
  arm64: generic,
  riscv64: generic,
  loong64: generic,
  ppc64: {
    bpf: 361,
    close: 6,
    fcntl: 55,
    mmap: 90,
    munmap: 91,
    epoll_create1: 315,
    epoll_ctl: 237,
    epoll_pwait: 303,
    perf_event_open: 319,
    prlimit64: 325,
    ioctl: 54,
    socket: 326,
    sendto: 335,
    recvfrom: 337,
    setsockopt: 339,
    getsockopt: 340,
    setns: 350,
  },
  arm: {
    bpf: 386,
    close: 6,
    fcntl: 221,
    mmap: 192,
    munmap: 91,
    epoll_create1: 357,
    epoll_ctl: 251,
    epoll_pwait: 346,
    perf_event_open: 364,
    prlimit64: 369,
    ioctl: 54,
    socket: 281,
    sendto: 290,
    recvfrom: 292,
    setsockopt: 294,
    getsockopt: 295,
    setns: 375,
  },
  ia32: {
    bpf: 357,
    close: 6,
    fcntl: 221,
    mmap: 192,
    munmap: 91,
    epoll_create1: 329,
    epoll_ctl: 255,
    epoll_pwait: 319,
    perf_event_open: 336,
    prlimit64: 340,
    ioctl: 54,
    socket: 359,
    sendto: 369,
    recvfrom: 371,
    setsockopt: 366,
    getsockopt: 365,
    setns: 346,
  },
}

/** Machines whose pointers and `long` have 32 bits. */
export const IS_32_BIT = process.arch === 'arm' || process.arch === 'ia32'

const unknown: SyscallNumbers = {
  bpf: -1,
  close: -1,
  fcntl: -1,
  mmap: -1,
  munmap: -1,
  epoll_create1: -1,
  epoll_ctl: -1,
  epoll_pwait: -1,
  perf_event_open: -1,
  prlimit64: -1,
  ioctl: -1,
  socket: -1,
  sendto: -1,
  recvfrom: -1,
  setsockopt: -1,
  getsockopt: -1,
  setns: -1,
}

/** The numbers of this machine; -1 where it is not known, which `libc.ts` refuses before any call. */
export const NR: SyscallNumbers = SYSCALLS[process.arch] ?? unknown
