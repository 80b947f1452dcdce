import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { begun, ended } from './children'
import type { Namespace } from './namespaces'
import { StoryError } from './story'

/** What an agent can be told to do, and what it tells when that is done. */
interface Orders {
  /** Sends datagrams of so many bytes of payload. */
  udp: { order: { address: string; port: number; packets: number; bytes: number }; reply: object }
  /** Sends so many bytes on a connection of their own. */
  tcp: { order: { address: string; port: number; bytes: number }; reply: object }
  /** Takes what comes to these ports. */
  serve: { order: { udp: readonly number[]; tcp: readonly number[] }; reply: object }
  /** What has come so far, by port: datagrams, or pieces of streams, and their payload. */
  received: { order: object; reply: Readonly<Record<number, { packets: number; bytes: number }>> }
}

export type Deed = keyof Orders
export type Order<D extends Deed = Deed> = { [K in D]: Readonly<{ do: K } & Orders[K]['order']> }[D]
export type Reply<D extends Deed = Deed> = Orders[D]['reply']

interface Answer {
  readonly id: number
  readonly reply?: Reply
  readonly error?: string
}

interface Waiting {
  resolve(reply: Reply): void
  reject(error: Error): void
}

/** Stories run from their TypeScript, or from what tsc has made of it. */
const TYPESCRIPT = __filename.endsWith('.ts')
const PROGRAM = [
  ...(TYPESCRIPT ? ['-r', require.resolve('ts-node/register/transpile-only')] : []),
  join(__dirname, `agent${TYPESCRIPT ? '.ts' : '.js'}`),
]

/** A process in a network namespace that sends and receives there. It ends with this one, however that ends. */
export class Agent implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #last = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (answer: Answer) => this.#take(answer))
    child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new StoryError('a process that makes traffic has ended'))
      this.#waiting.clear()
    })
  }

  /** Starts one, on one CPU alone where that is given; the caller owns it. Needs nsenter and taskset of util-linux. */
  static async start(namespace: Namespace, cpu?: number): Promise<Agent> {
    const pinned = cpu === undefined ? [] : ['taskset', `0x${(1n << BigInt(cpu)).toString(16)}`]
    const [file, args] = namespace.command(...pinned, process.execPath, ...PROGRAM)
    // In a session of its own: Ctrl-C is for the story, which cleans up.
    const child = spawn(file, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    await begun(child, 'process in a network namespace', child, 'message')
    return new Agent(child)
  }

  /** Has something done. Throws StoryError where it cannot be. */
  do<D extends Deed>(order: Order<D> & { readonly do: D }): Promise<Reply<D>> {
    const id = ++this.#last
    return new Promise<Reply<D>>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      this.#child.send({ id, order }, (error) => {
        if (error !== null) this.#take({ id, error: error.message })
      })
    })
  }

  #take({ id, reply, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (reply !== undefined) waiting?.resolve(reply)
    else waiting?.reject(new StoryError(`traffic cannot be made: ${error}`))
  }

  /** Ends it. May be called twice. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await ended(this.#child)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
