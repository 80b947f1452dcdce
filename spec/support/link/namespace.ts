/** A network namespace that the specs of a suite have to themselves. */
import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { runs } from '../attach/network'
import { needs, pending, requireRoot } from '../kernel'
import { libc } from './libc'

const CLONE_NEWNET = 0x40000000

/** Both ends of a cable within the namespace: what is sent to `beyond` leaves through the one, and comes in at the other. */
export interface Cable {
  readonly near: string
  readonly far: string
  readonly nearIndex: number
  readonly farIndex: number
  readonly beyond: string
}

/**
 * For a suite: the calling thread is in a network namespace of its own, in which lo is up, from before its first spec until
 * after its last. What is made there goes with it.
 */
export function useNamespace(): { readonly home: number } {
  let home: number | undefined
  before(function () {
    requireRoot(this)
    needs(this, runs('ip', '-V'), 'ip (iproute2)')
    home = openSync('/proc/thread-self/ns/net', 'r')
    libc.unshare(CLONE_NEWNET)
    ip('link', 'set', 'lo', 'up')
  })
  after(() => {
    if (home === undefined) return
    libc.setns(home, CLONE_NEWNET)
    closeSync(home)
  })
  return {
    /** An fd of the namespace that the thread comes from. */
    get home() {
      if (home === undefined) throw new Error('the namespace is there in specs and hooks only')
      return home
    },
  }
}

export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' })
}

export function tc(...args: string[]): string {
  return execFileSync('tc', args, { encoding: 'utf8', stdio: 'pipe' })
}

/** What ip tells of a device. */
export interface Device {
  readonly ifindex: number
  readonly xdp?: { readonly prog: { readonly id: number } }
}

export function device(name: string): Device {
  const [found] = JSON.parse(ip('-j', 'link', 'show', 'dev', name)) as Device[]
  if (found === undefined) throw new Error(`ip knows no ${name}`)
  return found
}

/** How many packets have come in there. */
export function received(name: string): number {
  const [found] = JSON.parse(ip('-j', '-s', 'link', 'show', 'dev', name)) as { stats64: { rx: { packets: number } } }[]
  return found?.stats64.rx.packets ?? 0
}

let cables = 0

/** A new pair of devices, of the first type that the kernel has; they end with the namespace. */
export function cable(context: Mocha.Context, ...types: readonly ('veth' | 'netkit')[]): Cable {
  const n = cables++
  const [near, far] = [`near${n}`, `far${n}`]
  const type = types.find((type) => runs('ip', 'link', 'add', near, 'type', type))
  if (type === undefined) pending(context, `no device of type ${types.join(' or ')} can be made: ip link add`)
  const other = / \S+@([^:]+):/.exec(ip('-o', 'link', 'show', near))?.[1]
  if (other === undefined) throw new Error(`the other end of ${near} has no name`)
  ip('link', 'set', other, 'name', far)
  for (const name of [near, far]) {
    // Nothing but the spec's packets.
    const quiet = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`
    if (existsSync(quiet)) writeFileSync(quiet, '1')
  }
  // 198.18.0.0/15 is for tests of network devices (RFC 2544).
  ip('addr', 'add', `198.18.${n}.1/30`, 'dev', near)
  const beyond = `198.18.${n}.2`
  for (const name of [near, far]) ip('link', 'set', name, 'up')
  if (type === 'veth') ip('neigh', 'add', beyond, 'lladdr', '02:00:00:00:00:02', 'dev', near)
  return { near, far, nearIndex: device(near).ifindex, farIndex: device(far).ifindex, beyond }
}
