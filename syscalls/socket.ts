import { abi, keepAlive } from './abi'
import { addressOfBytes, type Bytes } from './buffer'
import { type Subject, throwKernelError } from './errno'
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
