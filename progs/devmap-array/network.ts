import { attachXdp, type DevMap, type Link, type Program } from '../../lib'
import { Agent } from '../support/agents'
import { Namespace, wire } from '../support/namespaces'
import { FIRST_PORT, ROUTES } from './program'

/** Both receivers have this address (RFC 2544: for tests of devices), and this MAC: a packet is good for either. */
const ADDRESS = '198.18.0.2'
const MAC = '02:00:00:00:00:02'

/** The device at which packets come to the switch, and that of each receiver. */
const IN = 'in'
const RECEIVER = 'end'

const PAYLOAD = 100

export const SIDES = ['left', 'right'] as const
export type Side = (typeof SIDES)[number]

/** What has come out of either side. */
export type Out = Readonly<Record<Side, number>>

interface Place {
  readonly namespace: Namespace
  readonly agent: Agent
}

/**
 * Four network namespaces: a sender, a switch, and behind two of the switch's devices, left and right, a receiver each.
 *
 *     sender ── in [switch] left ── end
 *                           right ── end
 */
export class Network implements AsyncDisposable {
  readonly #namespaces: Namespace[]
  readonly #agents: Agent[] = []
  readonly #open: Disposable[] = []
  readonly #between: Namespace
  readonly #passing: Program
  #sender: Agent | undefined
  #receivers: Readonly<Record<Side, Place>> | undefined

  private constructor(between: Namespace, passing: Program) {
    this.#between = between
    this.#passing = passing
    this.#namespaces = [between]
  }

  /** Makes it, with a program that lets packets pass at the devices that receive; the caller owns it. */
  static async create(passing: Program): Promise<Network> {
    const network = new Network(await Namespace.create(), passing)
    try {
      await network.#build()
      return network
    } catch (error) {
      await network.close()
      throw error
    }
  }

  async #build(): Promise<void> {
    this.#between.withoutIpv6()
    const sending = await this.#namespace()
    const wired = { namespace: sending, device: 'out', mac: '02:00:00:00:00:01', addresses: ['198.18.0.1/24'] }
    wire(wired, { namespace: this.#between, device: IN, mac: '02:00:00:00:01:00', addresses: [] })
    sending.ip('neighbour', 'replace', ADDRESS, 'lladdr', MAC, 'dev', 'out')
    const left = await this.#receiver('left', '02:00:00:00:01:01')
    const right = await this.#receiver('right', '02:00:00:00:01:02')
    const agents = await Promise.all([sending, left, right].map((namespace) => this.#agent(namespace)))
    const [sender, atLeft, atRight] = agents as [Agent, Agent, Agent]
    const udp = Array.from({ length: ROUTES }, (_, route) => FIRST_PORT + route)
    for (const agent of [atLeft, atRight]) await agent.do({ do: 'serve', udp, tcp: [] })
    this.#sender = sender
    this.#receivers = { left: { namespace: left, agent: atLeft }, right: { namespace: right, agent: atRight } }
  }

  async #namespace(): Promise<Namespace> {
    const namespace = await Namespace.create()
    this.#namespaces.push(namespace)
    namespace.withoutIpv6()
    return namespace
  }

  async #agent(namespace: Namespace): Promise<Agent> {
    const agent = await Agent.start(namespace)
    this.#agents.push(agent)
    return agent
  }

  async #receiver(side: Side, mac: string): Promise<Namespace> {
    const namespace = await this.#namespace()
    const end = { namespace, device: RECEIVER, mac: MAC, addresses: [`${ADDRESS}/24`] }
    wire({ namespace: this.#between, device: side, mac, addresses: [] }, end)
    this.#open.push(namespace.inside(() => attachXdp(this.#passing, RECEIVER, { mode: 'native' })))
    return namespace
  }

  /** Puts a program where the sender's packets come in; the caller owns the link. */
  attach(program: Program): Link {
    return this.#between.inside(() => attachXdp(program, IN, { mode: 'native' }))
  }

  /** A DEVMAP that names the device of one side; the caller owns it. The kernel looks devices up when it is written. */
  devices(spec: { create(): DevMap }, side: Side): DevMap {
    const index = this.#between.index(side)
    const devices = spec.create()
    try {
      this.#between.inside(() => void devices.set(0, index))
      return devices
    } catch (error) {
      devices.close()
      throw error
    }
  }

  /** Sends packets of a route. */
  async send(route: number, packets: number): Promise<void> {
    await this.#sender?.do({ do: 'udp', address: ADDRESS, port: FIRST_PORT + route, packets, bytes: PAYLOAD })
  }

  /** Packets that have come to the switch. */
  switched(): number {
    return this.#between.received(IN).packets
  }

  /** Packets that the receivers' devices have let in, as the kernel counts them. */
  arrived(): Out {
    return this.#each(({ namespace }) => namespace.received(RECEIVER).packets)
  }

  /** Datagrams that the receivers' sockets were given. */
  async delivered(): Promise<Out> {
    const told = await Promise.all(SIDES.map((side) => this.#receivers?.[side].agent.do({ do: 'received' })))
    const [left = 0, right = 0] = told.map((ports) =>
      Object.values(ports ?? {}).reduce((all, { packets }) => all + packets, 0),
    )
    return { left, right }
  }

  #each(ask: (place: Place) => number): Out {
    if (this.#receivers === undefined) return { left: 0, right: 0 }
    return { left: ask(this.#receivers.left), right: ask(this.#receivers.right) }
  }

  /** Ends everything. May be called twice. */
  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.close()))
    for (const each of this.#open.splice(0).reverse()) each[Symbol.dispose]()
    await Promise.all(this.#namespaces.map((namespace) => namespace.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
