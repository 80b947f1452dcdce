/** Network namespaces, their devices, and what is done inside of them: a network of a story's own, gone with it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { KernelError } from '../../syscalls'
import { abi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import { begun, ended } from './children'

const CLONE_NEWNET = 0x40000000

/** One end of a wire. */
export interface End {
  readonly namespace: Namespace
  /** Up to 15 characters. */
  readonly device: string
  readonly mac: string
  /** With the length of the network's prefix: 198.18.0.1/24, 2001:db8::1/64. */
  readonly addresses: readonly string[]
}

/** What the kernel has counted of a device, from /proc: another way than any program's. */
export interface DeviceCounts {
  readonly packets: number
  readonly bytes: number
}

/**
 * A network namespace, kept by a child process that does nothing but wait for its standard input to end. It ends with
 * this process, however that ends, and the namespace and all devices in it end with it.
 */
export class Namespace implements AsyncDisposable {
  readonly #keeper: ChildProcess
  /** Of the process that keeps it: /proc/PID/net tells of the namespace. */
  readonly pid: number

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper
    this.pid = keeper.pid as number
  }

  /** Makes one; the caller owns it. Needs CAP_SYS_ADMIN, and unshare of util-linux. */
  static async create(): Promise<Namespace> {
    // In a session of its own: Ctrl-C is for the story, which cleans up.
    const keeper = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo made && exec cat'], {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    await begun(keeper, 'a network namespace', keeper.stdout, 'data')
    return new Namespace(keeper)
  }

  /** A command to run in it, for spawn and execFile. */
  command(...command: readonly string[]): [file: string, args: string[]] {
    return ['nsenter', [`--net=/proc/${this.pid}/ns/net`, ...command]]
  }

  /** `ip ...` in it; what it prints. */
  ip(...args: readonly string[]): string {
    const [file, all] = this.command('ip', ...args)
    return execFileSync(file, all, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /**
   * Runs a function in it. Devices are looked up, and programs attached, in the namespace of the calling thread. It
   * must not wait for anything: other code of this process would run in the namespace too.
   */
  inside<T>(run: () => T extends PromiseLike<unknown> ? never : T): T {
    const own = openSync('/proc/thread-self/ns/net', 'r')
    try {
      const there = openSync(`/proc/${this.pid}/ns/net`, 'r')
      try {
        enter(there)
      } finally {
        closeSync(there)
      }
      try {
        return run()
      } finally {
        enter(own)
      }
    } finally {
      closeSync(own)
    }
  }

  /** The kernel's number of a device. */
  index(device: string): number {
    const [found] = JSON.parse(this.ip('-json', 'link', 'show', 'dev', device)) as { readonly ifindex: number }[]
    if (found === undefined) throw new Error(`there is no device ${device} in this namespace`)
    return found.ifindex
  }

  /** No IPv6, whose devices speak unasked: for who counts packets. Before there are any devices. */
  withoutIpv6(): void {
    const paths = ['all', 'default'].map((which) => `/proc/sys/net/ipv6/conf/${which}/disable_ipv6`)
    const [file, args] = this.command('sh', '-c', 'for f; do test ! -e $f || echo 1 > $f; done', 'sh', ...paths)
    execFileSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  }

  /** What came in at a device. */
  received(device: string): DeviceCounts {
    const line = this.#proc('dev').find((line) => line.trimStart().startsWith(`${device}:`))
    const [bytes, packets] = line?.split(':')[1]?.trim().split(/\s+/).map(Number) ?? []
    if (bytes === undefined || packets === undefined) throw new Error(`there is no device ${device} in this namespace`)
    return { bytes, packets }
  }

  /** The kernel's figures of a protocol, such as Tcp: OutSegs, RetransSegs ... (RFC 4022). */
  protocol(name: string): Readonly<Record<string, number>> {
    const [names, values] = this.#proc('snmp')
      .filter((line) => line.startsWith(`${name}:`))
      .map((line) => line.split(' ').slice(1))
    if (names === undefined || values === undefined) throw new Error(`/proc/net/snmp has no ${name}`)
    return Object.fromEntries(names.map((each, i) => [each, Number(values[i])]))
  }

  #proc(file: string): string[] {
    return readFileSync(`/proc/${this.pid}/net/${file}`, 'latin1').split('\n')
  }

  /** Ends it, and all devices in it. May be called twice. */
  async close(): Promise<void> {
    this.#keeper.stdin?.end()
    await ended(this.#keeper)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Joins two namespaces by a wire; it goes with either of them. Neither end has to ask who has an address.
 */
export function wire(one: End, other: End): void {
  lay(one, other)
  raise(one, other)
}

/** The same; what is to see the first packet is attached when the devices are there and nothing can pass yet. */
export function wireAnd<T extends Disposable>(one: End, other: End, attach: () => T): T {
  lay(one, other)
  const attached = attach()
  try {
    raise(one, other)
    return attached
  } catch (error) {
    attached[Symbol.dispose]()
    throw error
  }
}

function lay(one: End, other: End): void {
  one.namespace.ip(
    'link',
    'add',
    one.device,
    'type',
    'veth',
    'peer',
    'name',
    other.device,
    'netns',
    `${other.namespace.pid}`,
  )
  for (const { namespace, device, mac, addresses } of [one, other]) {
    namespace.ip('link', 'set', device, 'address', mac)
    // nodad: IPv6 addresses that are there at once, as nobody else can have them.
    for (const address of addresses)
      namespace.ip('address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []))
  }
}

function raise(one: End, other: End): void {
  for (const { namespace, device } of [one, other]) namespace.ip('link', 'set', device, 'up')
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    for (const address of to.addresses) {
      const bare = address.replace(/\/\d+$/, '')
      from.namespace.ip('neighbour', 'replace', bare, 'lladdr', to.mac, 'dev', from.device)
    }
  }
}

function enter(fd: number): void {
  const result = abi().syscall(NR.setns, fd, CLONE_NEWNET, 0)
  if (result < 0) throw new KernelError(-result, { syscall: 'setns', command: 'CLONE_NEWNET' })
}
