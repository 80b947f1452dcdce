/**
 * What runs in a network namespace: sends and receives as it is told by the process that started it, and ends with it.
 * The other side of agents.ts.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, isIPv6 } from 'node:net'
import type { Order, Reply } from './agents'

/** Sends datagrams, and tells when the kernel has taken all of them. */
async function sendUdp({ address, port, packets, bytes }: Order<'udp'>): Promise<Reply<'udp'>> {
  const socket = udpSocket(isIPv6(address))
  const payload = Buffer.alloc(bytes, 'ebpf-ts ')
  for (let i = 0; i < packets; i++) {
    await new Promise<void>((resolve, reject) => {
      socket.send(payload, port, address, (error) => (error === null ? resolve() : reject(error)))
    })
  }
  return {}
}

const sockets = new Map<boolean, Socket>()

/** One for each family, for all that is sent. */
function udpSocket(six: boolean): Socket {
  const known = sockets.get(six)
  if (known !== undefined) return known
  const socket = createSocket(six ? 'udp6' : 'udp4')
  sockets.set(six, socket)
  return socket
}

/** A connection on which so many bytes are sent; it is closed once the other side has read all of them. */
async function sendTcp({ address, port, bytes }: Order<'tcp'>): Promise<Reply<'tcp'>> {
  const socket = connect(port, address)
  socket.resume().end(Buffer.alloc(bytes, 'ebpf-ts '))
  await once(socket, 'close')
  return {}
}

/** What has been received so far, by port. */
const received: Record<number, { packets: number; bytes: number }> = {}

function count(port: number, bytes: number): void {
  received[port] ??= { packets: 0, bytes: 0 }
  received[port].packets++
  received[port].bytes += bytes
}

/** Takes whatever comes to these ports, by IPv4 and IPv6. */
async function serve({ udp, tcp }: Order<'serve'>): Promise<Reply<'serve'>> {
  for (const port of udp) {
    for (const type of ['udp4', 'udp6'] as const) {
      const socket = createSocket({ type, ipv6Only: type === 'udp6', recvBufferSize: 1 << 22 })
      socket.on('message', (message) => count(port, message.length)).bind(port)
      await once(socket, 'listening')
    }
  }
  for (const port of tcp) {
    const server = createServer((socket) => socket.on('data', (data) => count(port, data.length)).on('error', () => {}))
    await once(server.listen(port), 'listening')
  }
  return {}
}

const DEEDS = { udp: sendUdp, tcp: sendTcp, serve, received: async () => received }

process.on('message', ({ id, order }: { id: number; order: Order }) => {
  const deed = DEEDS[order.do] as (order: Order) => Promise<unknown>
  deed(order).then(
    (reply) => process.send?.({ id, reply }),
    (error: Error) => process.send?.({ id, error: error.message }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.({ id: 0, reply: {} })
