import { existsSync, readFileSync } from 'node:fs'
import { Agent, type Order } from '../support/agents'
import { type End, Namespace, wireAnd } from '../support/namespaces'

/** The device at which the packets come in. */
export const DEVICE = 'watched'

/** The sender's address and the watched device's: for tests of devices (RFC 2544), and for documentation (RFC 3849). */
const V4 = ['198.18.0.1', '198.18.0.2'] as const
const V6 = ['2001:db8::1', '2001:db8::2'] as const

/** What is sent over and over. */
export interface Flow {
  readonly protocol: 'UDP' | 'TCP'
  readonly port: number
  readonly version: 4 | 6
  /** Datagrams a round, or 1: a connection. */
  readonly packets: number
  /** Of payload: in a datagram, or on a connection. */
  readonly bytes: number
}

const FLOWS: readonly Flow[] = [
  { protocol: 'UDP', port: 53, version: 4, packets: 20, bytes: 48 },
  { protocol: 'UDP', port: 443, version: 6, packets: 30, bytes: 1200 },
  { protocol: 'UDP', port: 4789, version: 4, packets: 8, bytes: 400 },
  { protocol: 'TCP', port: 80, version: 4, packets: 1, bytes: 600 },
  { protocol: 'TCP', port: 5432, version: 4, packets: 1, bytes: 20_000 },
]

/** A round of all flows, on each sender, takes so long at least. */
const ROUND_MS = 50

/** The most processes that send. */
const MOST_SENDERS = 4

/** What has been sent to a port. */
export interface Sent extends Flow {
  /** Datagrams, or connections. */
  readonly times: number
  /** Of payload, in all. */
  readonly payload: number
}

/**
 * Two network namespaces joined by a wire: a process for each of some CPUs sends from one, another listens at the
 * other end. `attach` is run when the watched device is there and nothing can pass yet, inside of its namespace; what
 * it gives ends with the traffic.
 */
export class Traffic implements AsyncDisposable {
  readonly from: Namespace
  readonly to: Namespace
  readonly flows: readonly Flow[]
  readonly #agents: Agent[] = []
  readonly #sent = new Map<Flow, { times: number }>()
  #stopping = false
  #rounds: Promise<unknown> = Promise.resolve()
  readonly #attached: Disposable

  private constructor(from: Namespace, to: Namespace, attach: () => Disposable) {
    this.from = from
    this.to = to
    const six = existsSync(`/proc/${from.pid}/net/if_inet6`)
    this.flows = FLOWS.map((flow) => (six ? flow : { ...flow, version: 4 }))
    const addresses = (side: 0 | 1) => [`${V4[side]}/24`, ...(six ? [`${V6[side]}/64`] : [])]
    const sender: End = { namespace: from, device: 'sender', mac: '02:00:00:00:00:01', addresses: addresses(0) }
    const watched: End = { namespace: to, device: DEVICE, mac: '02:00:00:00:00:02', addresses: addresses(1) }
    this.#attached = wireAnd(sender, watched, () => to.inside(attach))
  }

  /** Makes it; nothing is sent yet. The caller owns it. */
  static async create(attach: () => Disposable): Promise<Traffic> {
    const from = await Namespace.create()
    let to: Namespace | undefined
    try {
      to = await Namespace.create()
      return new Traffic(from, to, attach)
    } catch (error) {
      await Promise.all([from.close(), to?.close()])
      throw error
    }
  }

  /** Starts the processes; from then on they send. */
  async start(): Promise<void> {
    const listener = await this.#agent(this.to)
    const ports = (protocol: Flow['protocol']) =>
      this.flows.filter((flow) => flow.protocol === protocol).map(({ port }) => port)
    await listener.do({ do: 'serve', udp: ports('UDP'), tcp: ports('TCP') })
    const cpus = allowedCpus().slice(0, MOST_SENDERS)
    const senders = await Promise.all(cpus.map((cpu) => this.#agent(this.from, cpu)))
    this.#rounds = Promise.all(senders.map((sender) => this.#send(sender)))
    // Looked at by stop() alone, which may come much later.
    this.#rounds.catch(() => {})
  }

  async #agent(namespace: Namespace, cpu?: number): Promise<Agent> {
    const agent = await Agent.start(namespace, cpu)
    this.#agents.push(agent)
    return agent
  }

  async #send(sender: Agent): Promise<void> {
    while (!this.#stopping) {
      const pause = new Promise((resolve) => setTimeout(resolve, ROUND_MS))
      await Promise.all([pause, ...this.flows.map((flow) => this.#sendFlow(sender, flow))])
    }
  }

  async #sendFlow(sender: Agent, flow: Flow): Promise<void> {
    await sender.do(orderFor(flow))
    const sent = this.#sent.get(flow) ?? { times: 0 }
    sent.times += flow.packets
    this.#sent.set(flow, sent)
  }

  /** Sends no more, and tells what was sent in all. Throws StoryError where something could not be. */
  async stop(): Promise<readonly Sent[]> {
    this.#stopping = true
    await this.#rounds
    return this.flows.map((flow) => {
      const times = this.#sent.get(flow)?.times ?? 0
      return { ...flow, times, payload: times * flow.bytes }
    })
  }

  /** Segments that the sending side's TCP has sent, as its kernel counts them: what came first, and what came again. */
  tcpSegments(): { readonly sent: number; readonly again: number } {
    const { OutSegs = 0, RetransSegs = 0 } = this.from.protocol('Tcp')
    return { sent: OutSegs, again: RetransSegs }
  }

  /** Ends everything. May be called twice. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#agents.map((agent) => agent.close()))
    this.#attached[Symbol.dispose]()
    await Promise.all([this.from.close(), this.to.close()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function orderFor({ protocol, port, version, packets, bytes }: Flow): Order {
  const address = (version === 4 ? V4 : V6)[1]
  return protocol === 'UDP' ? { do: 'udp', address, port, packets, bytes } : { do: 'tcp', address, port, bytes }
}

/** The CPUs that this process may run on. */
function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
}
