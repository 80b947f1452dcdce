import { readlinkSync } from 'node:fs'
import { KernelError, type Subject } from '../../syscalls/errno'
import { addClsact, type Direction, hasClsact, hasFilters, removeClsact } from '../../syscalls/route'
import { UnsupportedError } from '../features/unsupported'
import { OWN_NAMESPACE } from './netns'
import { refusal } from './own'

/** How many filters of this thread are in a clsact that was made for the first of them: by namespace and device. */
const made = new Map<string, number>()

/** The queueing discipline that a filter needs, which goes when the last filter leaves that it was made for. */
export class Clsact {
  readonly #key: string
  #inside = false

  /** Of a device in the network namespace of the calling thread. */
  constructor(readonly ifindex: number) {
    this.#key = `${readlinkSync(OWN_NAMESPACE)} ${ifindex}`
  }

  /** Sees to it that there is one. `socket` is one of the namespace, from now on. */
  enter(socket: number, direction: Direction, subject: Subject): void {
    const isNew = !hasClsact(socket, this.ifindex, subject) && this.#add(socket, direction, subject)
    // One that is new takes the place of one that somebody else has removed, with all filters that were in it.
    const users = isNew ? 0 : made.get(this.#key)
    if (users !== undefined) made.set(this.#key, users + 1)
    this.#inside = users !== undefined
  }

  leave(socket: number, subject: Subject): void {
    if (!this.#inside) return
    this.#inside = false
    const users = (made.get(this.#key) ?? 1) - 1
    if (users > 0) {
      made.set(this.#key, users)
      return
    }
    made.delete(this.#key)
    this.#remove(socket, subject)
  }

  /** False where there is one already, made meanwhile, or the older one. */
  #add(socket: number, direction: Direction, subject: Subject): boolean {
    let isNew: boolean
    try {
      isNew = addClsact(socket, this.ifindex, subject)
    } catch (error) {
      // There was none before: whether there is one now, the answer would have told, which is lost.
      if (error instanceof KernelError && error.syscall === 'recvfrom') this.#remove(socket, subject)
      throw lacking(error, 'queueing disciplines of type clsact (CONFIG_NET_SCH_INGRESS)', '4.5', subject)
    }
    // The older one takes filters of either direction, and asks them all of what comes in (ingress_find).
    if (!isNew && direction === 'egress' && !hasClsact(socket, this.ifindex, subject)) {
      const why = "the device has the queueing discipline 'ingress', which has no egress, and keeps clsact away"
      throw refusal('EBUSY', 'RTM_NEWQDISC', subject.description, why, 'sendto')
    }
    return isNew
  }

  /** Others may have come to use it. */
  #remove(socket: number, subject: Subject): void {
    const isUsed = (['ingress', 'egress'] as const).some((each) => hasFilters(socket, this.ifindex, each, subject))
    if (!isUsed) removeClsact(socket, this.ifindex, subject)
  }
}

/** ENOENT of what is to be created: the kernel does not know its kind. */
export function lacking(error: unknown, feature: string, since: string, subject: Subject): unknown {
  if (!(error instanceof KernelError) || error.code !== 'ENOENT') return error
  const { errno, syscall, command } = error
  const hint = () => `this kernel has no ${feature}, or may not load the module`
  const about = { syscall, command, subject: { description: subject.description, hint } }
  return new UnsupportedError(-errno, about, feature, since)
}
