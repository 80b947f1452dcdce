/** TCP congestion controls, as the kernel tells and sockets use them. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { setSocketOption } from '../../syscalls/socket'
import { eventually } from './kernel'

const IPPROTO_TCP = 6
const TCP_CONGESTION = 13

/** Those that sockets can ask for. */
export function congestionControls(): string[] {
  return readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'latin1').trim().split(' ')
}

/** Opens a TCP connection to this machine that uses one, for as long as `use` takes. */
export async function withConnection(name: string, use: (send: Sending) => Promise<void>): Promise<void> {
  const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const socket = createConnection(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    choose(socket, name)
    await use(async (until, what) => {
      await eventually(() => {
        socket.write(Buffer.alloc(4096))
        return until()
      }, what)
    })
  } finally {
    socket.destroy()
    server.close()
    await once(server, 'close')
  }
}

/** Sends until something is so. */
export type Sending = (until: () => boolean, what: string) => Promise<void>

function choose(socket: Socket, name: string): void {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle
  setSocketOption(fd, IPPROTO_TCP, TCP_CONGESTION, Buffer.from(name), { command: 'TCP_CONGESTION' })
}
