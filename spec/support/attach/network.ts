/** Devices, cgroups and packets, for programs that see the network. */
import { execFileSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { needs, pending } from '../kernel'
import type { Stage } from './stage'

/** Of a UDP packet without options. */
export const IP_AND_UDP_BYTES = 28
export const ETHERNET_BYTES = 14

/** A length that nobody else's packets have, of what is in a UDP packet. */
export const PAYLOAD_BYTES = 777

export interface Pair {
  readonly name: string
  readonly index: number
  readonly peer: string
  /** Packets to here leave through the device, and come in at its peer. */
  readonly beyond: string
}

/**
 * Two devices that are each other's wire, with a route through the first; gone at the end. Of the first type that the
 * kernel has: where they are modules, not every machine has them.
 */
export function devicePair(context: Mocha.Context, stage: Stage, ...types: readonly ('veth' | 'netkit')[]): Pair {
  needs(context, runs('ip', '-V'), 'ip (iproute2)')
  const [name, peer] = [`ets${process.pid}a`, `ets${process.pid}b`]
  // The peer is named later: iproute2 knows `peer name` for the types that it knows.
  const type = types.find((type) => runs('ip', 'link', 'add', name, 'type', type))
  if (type === undefined) pending(context, `no device of type ${types.join(' or ')} can be made: ip link add`)
  stage.later(() => ip('link', 'del', name))
  ip('link', 'set', peerOf(name), 'name', peer)
  for (const device of [name, peer]) {
    // Nothing but the spec's packets.
    const quiet = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`
    if (existsSync(quiet)) writeFileSync(quiet, '1')
  }
  // 198.18.0.0/15 is for tests of network devices (RFC 2544).
  ip('addr', 'add', '198.18.77.1/30', 'dev', name)
  for (const device of [name, peer]) ip('link', 'set', device, 'up')
  if (type === 'veth') ip('neigh', 'add', '198.18.77.2', 'lladdr', '02:00:00:00:00:02', 'dev', name)
  return { name, index: Number(statistic(name, 'ifindex')), peer, beyond: '198.18.77.2' }
}

/** The name that the kernel has given to the other end: `5: a@b: <...>`. */
function peerOf(name: string): string {
  const found = / \S+@([^:]+):/.exec(ip('-o', 'link', 'show', name))?.[1]
  if (found === undefined) throw new Error(`the other end of ${name} has no name`)
  return found
}

export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' })
}

export function runs(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function statistic(device: string, name: string): string {
  return readFileSync(`/sys/class/net/${device}/${name}`, 'latin1').trim()
}

/** How many packets the device has let in. */
export function received(device: string): number {
  return Number(statistic(device, 'statistics/rx_packets'))
}

/** Sends a packet of PAYLOAD_BYTES: '' or the code of the refusal. */
export async function sendPacket(socket: Socket, address: string, port = 9): Promise<string> {
  return new Promise((resolve) => {
    socket.send(Buffer.alloc(PAYLOAD_BYTES), port, address, (error) => {
      resolve(error === null ? '' : ((error as NodeJS.ErrnoException).code ?? error.message))
    })
  })
}

export async function udpSocket(stage: Stage, address = '0.0.0.0'): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, address)
  await once(socket, 'listening')
  stage.later(async () => {
    socket.close()
    await once(socket, 'close')
  })
  return socket
}

/** The root of the second version's hierarchy: beside those of the first, or alone. */
function cgroupRoot(context: Mocha.Context): string {
  const mounts = readFileSync('/proc/self/mounts', 'latin1')
  const root = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1]
  needs(context, root !== undefined, 'a cgroup2 mount')
  return root ?? ''
}

/** The folder of a new cgroup in which this process is, until the end. */
export function ownCgroupFolder(context: Mocha.Context, stage: Stage): string {
  const root = cgroupRoot(context)
  const before = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1] ?? '/'
  const path = join(root, `ebpf-ts-attach-${process.pid}`)
  mkdirSync(path)
  stage.later(() => rmdirSync(path))
  writeFileSync(join(path, 'cgroup.procs'), `${process.pid}`)
  stage.later(() => writeFileSync(join(root, before, 'cgroup.procs'), `${process.pid}`))
  return path
}

/** An fd of the same. */
export function ownCgroup(context: Mocha.Context, stage: Stage): number {
  const fd = openSync(ownCgroupFolder(context, stage), 'r')
  stage.later(() => closeSync(fd))
  return fd
}
