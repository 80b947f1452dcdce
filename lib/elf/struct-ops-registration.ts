import { ElementCalls } from '../../syscalls/element'
import { KernelError } from '../../syscalls/errno'
import { duplicateFd } from '../../syscalls/fd'
import { LITTLE } from '../asm/decode'
import { Handle } from '../handle/handle'
import { Attachment } from '../link'
import type { BpfMap } from '../map'

/** Bytes of the one key of a map of type STRUCT_OPS, which is 0. */
export const KEY_BYTES = 4

/**
 * A struct of functions at work without a link (Linux 5.6). An end of the process without `close()` leaves it there:
 * `bpftool struct_ops unregister` ends that.
 */
export class StructOpsRegistration extends Attachment {
  readonly type = 'struct_ops'
  readonly #mapId: number
  readonly #description: string
  readonly #bytes: number
  #detached = false

  private constructor(map: BpfMap, handle: Handle) {
    super(handle)
    this.#mapId = map.id
    this.#bytes = map.attributes.valueSize
    this.#description = `struct_ops ${map.description}`
    handle.what = this.#description
  }

  /** @internal Of a map that has just been registered; where there is no fd left for it, it is no longer. */
  static of(map: BpfMap): StructOpsRegistration {
    try {
      return new StructOpsRegistration(map, new Handle(duplicateFd(map.fd), 'a registered struct'))
    } catch (error) {
      unregister(map.fd, map.attributes.valueSize, map.description)
      throw error
    }
  }

  /** 0: its functions have one each. */
  get programId(): number {
    void this.handle.fd
    return 0
  }

  info(): { readonly type: 'struct_ops'; readonly programId: 0; readonly mapId: number } {
    void this.handle.fd
    return { type: this.type, programId: 0, mapId: this.#mapId }
  }

  /** Cannot be: only a link takes another map in place of the one that is there. Throws TypeError. */
  update(): never {
    throw new TypeError(`${this.#description} stays what it is: what is in section .struct_ops.link can be replaced`)
  }

  /** Nothing new takes it; whoever uses it keeps it until they are done. Detaching twice is fine. */
  detach(): void {
    if (this.#detached) return
    unregister(this.handle.fd, this.#bytes, this.#description)
    this.#detached = true
  }

  override close(): void {
    if (this.closed) return
    try {
      this.detach()
    } finally {
      this.handle.close()
    }
  }

  get description(): string {
    return this.#description
  }

  protected headline(): string {
    return `${this.#description}${this.#detached ? ', detached' : ''}`
  }
}

/** Deleting the one entry is what unregisters it (bpf_struct_ops_map_delete_elem). */
function unregister(fd: number, valueBytes: number, description: string): void {
  const calls = new ElementCalls(fd, KEY_BYTES, valueBytes, { description })
  try {
    calls.view.setUint32(calls.keyAt, 0, LITTLE)
    calls.delete()
  } catch (error) {
    // Somebody else has done so.
    if (!(error instanceof KernelError && error.code === 'EINPROGRESS')) throw error
  } finally {
    calls.close()
  }
}
