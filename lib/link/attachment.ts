import { inspect } from 'node:util'
import { Handle } from '../handle/handle'
import { optionNames } from '../text/known-options'
import type { ProgramLike } from './program'

export interface UpdateOptions {
  /** Only if this is the program that is there: EPERM else. */
  readonly replacing?: ProgramLike | undefined
}

/** @internal */
export const UPDATE = optionNames<UpdateOptions>({ replacing: true })

/**
 * A program at its hook. `close()` ends it, or `using`.
 *
 * Most are a `Link`, which the kernel itself ends with the last fd, and which can be pinned. Where the kernel has no link
 * for a hook, by its age or by nature, the object undoes what it did: then an end of the process without `close()` leaves
 * the program where it is, as long as what it is attached to is there.
 */
export abstract class Attachment implements Disposable {
  /** @internal The owner of the fd that the attachment hangs on. */
  readonly handle: Handle

  /** @internal */
  protected constructor(handle: Handle) {
    if (!(handle instanceof Handle)) {
      throw new TypeError(`${new.target.name} has no public constructor: attachXdp(...) and others make one`)
    }
    this.handle = handle
  }

  /** The hook: 'xdp', 'tcx', 'cgroup', 'tc', 'socket' ... */
  abstract readonly type: string

  /** The kernel's number of the program that is attached now. */
  abstract get programId(): number

  /** What the kernel tells of it now. */
  abstract info(): { readonly type: string; readonly programId: number }

  /** Puts another program of the same type in its place, with no moment in between. */
  abstract update(program: ProgramLike, options?: UpdateOptions): void

  /** Ends the effect, and keeps the object: nothing more happens at `close()`. Detaching twice is fine. */
  abstract detach(): void

  /** What messages call it: "xdp on veth0". Never throws. */
  abstract get description(): string

  get closed(): boolean {
    return this.handle.closed
  }

  /** Ends the attachment. May be called twice. */
  close(): void {
    this.handle.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  toString(): string {
    return this.description
  }

  /** What `info()` tells, for logs (bigints as text); of a closed one its type. */
  toJSON(): object {
    return this.closed ? { type: this.type, closed: true } : (withoutBigints(this.info()) as object)
  }

  [inspect.custom](): string {
    return this.closed ? `${this.description} closed` : this.headline()
  }

  /** @internal What `inspect` shows of one that is open. */
  protected abstract headline(): string
}

/** JSON has no bigints: ids of cgroups, cookies, offsets. */
function withoutBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`
  if (Array.isArray(value)) return value.map(withoutBigints)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withoutBigints(each)]))
}
