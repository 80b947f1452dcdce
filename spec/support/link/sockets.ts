/** Sockets by their fds, and what is sent between them. */
import { endianness } from 'node:os'
import { closeFd } from '../../../syscalls/fd'
import type { Stage } from '../attach/stage'
import { eventually } from '../kernel'
import { libc } from './libc'

const LE = endianness() === 'LE'

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const SOL_SOCKET = 1
const SO_REUSEPORT = 15
const ADDRESS_BYTES = 128

/** An IPv4 address or ::1 with a port, or the path of a socket, as a struct sockaddr. */
export function sockaddr(address: string, port = 0): Uint8Array {
  const bytes = new Uint8Array(address.startsWith('/') ? 110 : address.includes(':') ? 28 : 16)
  const view = new DataView(bytes.buffer)
  if (address.startsWith('/')) {
    view.setUint16(0, AF_UNIX, LE)
    bytes.set(Buffer.from(address), 2)
    return bytes
  }
  view.setUint16(2, port)
  if (address.includes(':')) {
    view.setUint16(0, AF_INET6, LE)
    if (address !== '::1' && address !== '::') throw new Error(`no ${address} here`)
    bytes[23] = address === '::1' ? 1 : 0
  } else {
    view.setUint16(0, AF_INET, LE)
    bytes.set(address.split('.').map(Number), 4)
  }
  return bytes
}

export function familyOf(address: string): number {
  return address.startsWith('/') ? AF_UNIX : address.includes(':') ? AF_INET6 : AF_INET
}

/** A socket of UDP or of TCP, or of datagrams between processes; the stage closes it. */
export function open(stage: Stage, family: number, kind: 'udp' | 'tcp' = 'udp'): number {
  return stage.own(libc.socket(family, (kind === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0))
}

/** A bound socket, and the port that the kernel has chosen. */
export function bound(stage: Stage, address = '127.0.0.1', kind: 'udp' | 'tcp' = 'udp', port = 0) {
  const fd = open(stage, familyOf(address), kind)
  bind(fd, address, port)
  return { fd, port: portOf(fd) }
}

export function bind(fd: number, address: string, port = 0): void {
  const bytes = sockaddr(address, port)
  libc.bind(fd, bytes, bytes.length)
}

export function connect(fd: number, address: string, port = 0): void {
  const bytes = sockaddr(address, port)
  libc.connect(fd, bytes, bytes.length)
}

function named(get: (...args: unknown[]) => number, fd: number): DataView {
  const bytes = new Uint8Array(ADDRESS_BYTES)
  get(fd, bytes, Uint32Array.of(ADDRESS_BYTES))
  return new DataView(bytes.buffer)
}

export const portOf = (fd: number): number => named(libc.getsockname, fd).getUint16(2)
export const peerPortOf = (fd: number): number => named(libc.getpeername, fd).getUint16(2)

/** Sends bytes: to the peer of a connected socket where no address is given. Throws what the kernel says, by its code. */
export function send(fd: number, bytes: number, address?: string, port = 0): void {
  const to = address === undefined ? null : sockaddr(address, port)
  libc.sendto(fd, new Uint8Array(bytes), bytes, MSG_DONTWAIT, to, to === null ? 0 : to.length)
}

/** How many bytes the packet has that waits there; undefined where none does. */
export function receive(fd: number, from = false): number | undefined {
  const [buffer, address, length] = [new Uint8Array(2048), new Uint8Array(ADDRESS_BYTES), Uint32Array.of(ADDRESS_BYTES)]
  try {
    return libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, from ? address : null, from ? length : null)
  } catch (error) {
    if ((error as { code?: string }).code === 'EAGAIN') return undefined
    throw error
  }
}

/** The same of one that has been sent: the network stack may be behind. */
export async function received(fd: number, from = false): Promise<number> {
  let bytes: number | undefined
  await eventually(() => {
    bytes = receive(fd, from)
    return bytes !== undefined
  }, 'what was sent has arrived')
  return bytes ?? 0
}

/** A connection through lo. */
export function connection(stage: Stage, address = '127.0.0.1'): { readonly client: number; readonly server: number } {
  const listener = bound(stage, address, 'tcp')
  libc.listen(listener.fd, 1)
  const client = open(stage, familyOf(address), 'tcp')
  connect(client, address, listener.port)
  const server = stage.own(libc.accept(listener.fd, null, null))
  stage.close(listener.fd)
  return { client, server }
}

/** Lets more than one socket have its port, when it is bound after this. */
export function sharePort(fd: number): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, Int32Array.of(1), 4)
}

/** Opens a socket and closes it. */
export function openAndClose(family: number): void {
  closeFd(libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0))
}
