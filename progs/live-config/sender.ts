/** Sends packets to the address that it is given, of one tenant after the other, until whoever started it ends. */
import { createSocket } from 'node:dgram'
import { PORT, TENANTS } from './packets'

/** Packets between two looks at the rest of the world. */
const BURST = 256

const packets = Array.from({ length: TENANTS }, (_, tenant) => {
  const packet = Buffer.alloc(18)
  packet.writeUInt32BE(tenant)
  return packet
})

const socket = createSocket('udp4')
// That nobody takes them is told to a socket that is connected, and does not matter here.
socket.on('error', () => {})
let next = 0

function burst(): void {
  for (let i = 0; i < BURST; i++) {
    socket.send(packets[next] as Buffer)
    next = (next + 1) % TENANTS
  }
  setImmediate(burst)
}

socket.connect(PORT, process.argv[2], () => {
  process.send?.('sending')
  burst()
})
process.on('disconnect', () => process.exit())
