/** Some system calls by name, from the kernel's own tables; arm64, riscv64 and loong64 share one. */
const GENERIC = {
  getcwd: 17,
  fcntl: 25,
  ioctl: 29,
  mkdirat: 34,
  unlinkat: 35,
  chdir: 49,
  openat: 56,
  close: 57,
  pipe2: 59,
  getdents64: 61,
  read: 63,
  write: 64,
  newfstatat: 79,
  kill: 129,
  setuid: 146,
  umask: 166,
  getpid: 172,
  socket: 198,
  connect: 203,
  clone: 220,
  execve: 221,
} as const

export type SyscallName = keyof typeof GENERIC

const X64: Readonly<Record<SyscallName, number>> = {
  read: 0,
  write: 1,
  close: 3,
  ioctl: 16,
  getpid: 39,
  socket: 41,
  connect: 42,
  clone: 56,
  execve: 59,
  kill: 62,
  fcntl: 72,
  getcwd: 79,
  chdir: 80,
  umask: 95,
  setuid: 105,
  getdents64: 217,
  openat: 257,
  mkdirat: 258,
  newfstatat: 262,
  unlinkat: 263,
  pipe2: 293,
}

const TABLES: Readonly<Record<string, Readonly<Record<SyscallName, number>>>> = {
  x64: X64,
  arm64: GENERIC,
  riscv64: GENERIC,
  loong64: GENERIC,
}

/** The number of a system call on this machine. Throws RangeError where it is not known. */
export function syscallNumber(name: SyscallName): number {
  const number = TABLES[process.arch]?.[name]
  if (number === undefined) throw new RangeError(`the number of ${name} on ${process.arch} is not known here`)
  return number
}

/** 'chdir'; of a call that is not known here, its number. */
export function syscallName(number: number): string {
  const known = Object.entries(TABLES[process.arch] ?? {}).find(([, each]) => each === number)
  return known?.[0] ?? `${number}`
}
