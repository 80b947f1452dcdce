import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { begun, ended } from '../support/children'
import { Namespace, wire } from '../support/namespaces'

/** 198.18.0.0/15 is for tests of network devices (RFC 2544). */
const HERE = '198.18.0.1'
const THERE = '198.18.0.2'

/** Where the packets come in. */
export const DEVICE = 'config0'

/** Stories run from their TypeScript, or from what tsc has made of it. */
const TYPESCRIPT = __filename.endsWith('.ts')
const SENDER = [
  ...(TYPESCRIPT ? ['-r', require.resolve('ts-node/register/transpile-only')] : []),
  join(__dirname, `sender${TYPESCRIPT ? '.ts' : '.js'}`),
]

/** A process that sends packets, as many as it can; the caller owns it. */
export class Flood implements AsyncDisposable {
  readonly #sender: ChildProcess

  /** Takes over a process that sends. */
  constructor(sender: ChildProcess) {
    this.#sender = sender
  }

  /** Ends it, and waits for that. May be called twice. */
  async close(): Promise<void> {
    if (this.#sender.connected) this.#sender.disconnect()
    await ended(this.#sender)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Two network namespaces joined by a wire, for packets from one to the other; the caller owns it. */
export class Traffic implements AsyncDisposable {
  readonly #from: Namespace
  /** Where the packets come to. */
  readonly to: Namespace

  private constructor(from: Namespace, to: Namespace) {
    this.#from = from
    this.to = to
  }

  /** Makes them; nothing is sent yet. Needs unshare and nsenter of util-linux, and ip of iproute2. */
  static async create(): Promise<Traffic> {
    const from = await Namespace.create()
    let to: Namespace | undefined
    try {
      to = await Namespace.create()
      wire(
        { namespace: from, device: 'traffic0', mac: '02:00:00:00:00:01', addresses: [`${HERE}/24`] },
        { namespace: to, device: DEVICE, mac: '02:00:00:00:00:02', addresses: [`${THERE}/24`] },
      )
      return new Traffic(from, to)
    } catch (error) {
      await Promise.all([from.close(), to?.close()])
      throw error
    }
  }

  /** Datagrams that were sent here, by the kernel's own account. */
  sent(): number {
    return this.#from.protocol('Udp').OutDatagrams ?? 0
  }

  /** Returns once packets are sent. */
  async flood(): Promise<Flood> {
    const [file, args] = this.#from.command(process.execPath, ...SENDER, THERE)
    // In a session of its own: Ctrl-C is for the story, which cleans up.
    const child = spawn(file, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    await begun(child, 'process that sends packets', child, 'message')
    return new Flood(child)
  }

  async close(): Promise<void> {
    await Promise.all([this.#from.close(), this.to.close()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
