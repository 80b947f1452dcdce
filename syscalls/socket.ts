import { abi, keepAlive } from './abi'
import { addressOfBytes, type Bytes } from './buffer'
import { errnoName, type Subject, throwKernelError } from './errno'
import { checkFd, settleFd } from './fd'
import { NR } from './numbers'

/** socket(2) and what is said to sockets, as far as programs are attached by it. All throw KernelError. */

export const AF_INET = 2
export const AF_NETLINK = 16
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000

/** socket(2): an fd, close-on-exec, which the caller owns; of the calling thread's network namespace for good. */
export function openSocket(family: number, type: number, protocol: number, command: string): number {
  const result = abi().syscall(NR.socket, family, type | SOCK_CLOEXEC, protocol)
  if (result < 0) throwKernelError(-result, { syscall: 'socket', command })
  return settleFd(result)
}

/** What a call on an fd is called in errors, and what it was for. */
export interface Named {
  readonly command: string
  readonly subject?: Subject | undefined
}

/** ioctl(2) with a struct that the kernel reads and writes: >= 0, or -errno. */
export function tryIoctl(fd: number, request: number, argument: Bytes): number {
  checkFd(fd)
  const result = abi().syscall(NR.ioctl, fd, request, addressOfBytes(argument, 'argument'))
  keepAlive(argument)
  return result
}

/** setsockopt(2). */
export function setSocketOption(fd: number, level: number, option: number, value: Bytes, named: Named): void {
  checkFd(fd)
  const address = addressOfBytes(value, 'value')
  const result = abi().syscall(NR.setsockopt, fd, level, option, address, value.byteLength)
  keepAlive(value)
  if (result < 0) throwKernelError(-result, { syscall: 'setsockopt', ...named })
}

// include/uapi/asm-generic/socket.h, which all of NR's machines share for these.
const SOL_SOCKET = 1
const SO_DETACH_BPF = 27
const SO_ATTACH_BPF = 50
const SO_ATTACH_REUSEPORT_EBPF = 52
const SO_COOKIE = 57
const SO_DETACH_REUSEPORT_BPF = 68

/** What a program is asked at a socket: which packets it gets, or which socket of its group does. */
const SOCKET_PROGRAMS = {
  filter: { attach: [SO_ATTACH_BPF, 'SO_ATTACH_BPF'], detach: [SO_DETACH_BPF, 'SO_DETACH_BPF'] },
  reuseport: {
    attach: [SO_ATTACH_REUSEPORT_EBPF, 'SO_ATTACH_REUSEPORT_EBPF'],
    detach: [SO_DETACH_REUSEPORT_BPF, 'SO_DETACH_REUSEPORT_BPF'],
  },
} as const
export type SocketProgramKind = keyof typeof SOCKET_PROGRAMS

/** SO_ATTACH_BPF (Linux 3.19) or SO_ATTACH_REUSEPORT_EBPF (4.5): in the place of a program that is there. */
export function attachToSocket(fd: number, kind: SocketProgramKind, prog_fd: number, subject?: Subject): void {
  checkFd(prog_fd, 'prog_fd')
  const [option, command] = SOCKET_PROGRAMS[kind].attach
  setSocketOption(fd, SOL_SOCKET, option, Int32Array.of(prog_fd), { command, subject })
}

/** SO_DETACH_BPF, or SO_DETACH_REUSEPORT_BPF (5.3). Errors: ENOENT (none is attached). */
export function detachFromSocket(fd: number, kind: SocketProgramKind, subject?: Subject): void {
  const [option, command] = SOCKET_PROGRAMS[kind].detach
  setSocketOption(fd, SOL_SOCKET, option, Int32Array.of(0), { command, subject })
}

/** SO_COOKIE: a number that no other socket will have; undefined where the fd is none of a socket. Linux 4.12. */
export function socketCookie(fd: number): bigint | undefined {
  checkFd(fd)
  const cookie = new BigUint64Array(1)
  const length = Uint32Array.of(cookie.byteLength)
  const [value, size] = [addressOfBytes(cookie, 'cookie'), addressOfBytes(length, 'length')]
  const result = abi().syscall(NR.getsockopt, fd, SOL_SOCKET, SO_COOKIE, value, size)
  keepAlive([cookie, length])
  if (result >= 0) return cookie[0]
  const code = errnoName(-result)
  if (code === 'EBADF' || code === 'ENOTSOCK') return undefined
  throwKernelError(-result, { syscall: 'getsockopt', command: 'SO_COOKIE' })
}
