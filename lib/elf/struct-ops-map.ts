import { ElementCalls } from '../../syscalls/element'
import { BPF_ANY, BPF_F_LINK } from '../../syscalls/uapi-map'
import { LITTLE } from '../asm/decode'
import { type Attachment, attachStructOps, type StructOpsLink } from '../link'
import { BpfMap } from '../map/bpf-map'
import type { MapCore } from '../map/spec'
import type { Program } from '../program'
import { KEY_BYTES, StructOpsRegistration } from './struct-ops-registration'

/** What the map's one value is made from. */
export interface StructOpsValue {
  /** The kernel's struct. */
  readonly struct: string
  /** As the kernel lays it out, without the functions. */
  readonly bytes: Uint8Array
  /** The programs that its functions are, and where their pointers stand; known once they are loaded. */
  functions: readonly { readonly program: Program; readonly at: number }[]
}

/**
 * A struct of the kernel's whose functions are programs (BPF_MAP_TYPE_STRUCT_OPS): a TCP congestion control, a
 * scheduler, a queueing discipline. It comes from a compiled object; `attach` puts it to work. Linux 5.6; with the flag
 * LINK, which section `.struct_ops.link` is for, 6.4.
 */
export class StructOpsMap extends BpfMap {
  declare protected readonly family: 'StructOpsMap'
  readonly #value: StructOpsValue
  /** What it is at work by: it ends with the map. */
  readonly #attached: Attachment[] = []

  /** @internal */
  constructor(core: MapCore, value: StructOpsValue) {
    super(core)
    this.#value = value
  }

  /** The kernel's struct: 'tcp_congestion_ops'. */
  get struct(): string {
    return this.#value.struct
  }

  /** Whether a link puts it to work, which ends with its last fd; else it is registered, until that is undone. */
  get linked(): boolean {
    return (this.attributes.flags & BPF_F_LINK) !== 0
  }

  /**
   * Puts the struct to work, until the attachment or the map is closed: by a link, where the map has the flag LINK,
   * else by registering it. That outlives a process which ends without closing either; and the kernel does not take the
   * same map a second time. A link that shall outlive the map comes from `attachStructOps`.
   *
   * Errors: EEXIST (one of this name is there), EINVAL (the kernel does not take the struct as it is), EBUSY (it was
   * registered before), EOPNOTSUPP (nothing takes this kind of struct), EPERM.
   */
  attach(): StructOpsLink | StructOpsRegistration {
    const attachment = this.linked ? attachStructOps(this) : this.#register()
    this.#attached.push(attachment)
    return attachment
  }

  #register(): StructOpsRegistration {
    this.fill()
    return StructOpsRegistration.of(this)
  }

  /** @internal Writes the value: with a link it is ready then, without it is registered. */
  fill(): void {
    const { bytes, functions } = this.#value
    const subject = { description: this.description, hint: (_command: string, code: string) => this.#why(code) }
    const calls = new ElementCalls(this.fd, KEY_BYTES, bytes.length, subject)
    try {
      const { view, keyAt, valueAt } = calls
      view.setUint32(keyAt, 0, LITTLE)
      new Uint8Array(view.buffer, view.byteOffset + valueAt, bytes.length).set(bytes)
      // An unsigned long, of 64 bits wherever there are struct_ops (they need the JIT's trampolines).
      for (const { program, at } of functions) view.setBigUint64(valueAt + at, BigInt(program.fd), LITTLE)
      calls.update(BPF_ANY)
    } finally {
      calls.close()
    }
  }

  /** @internal What the functions are, once the programs are there. */
  implement(functions: StructOpsValue['functions']): void {
    this.#value.functions = functions
  }

  override close(): void {
    try {
      for (const attachment of this.#attached.splice(0)) attachment.close()
    } finally {
      super.close()
    }
  }

  #why(code: string): string | undefined {
    switch (code) {
      case 'EEXIST':
        return `one of the same name is there already, of whomever`
      case 'EBUSY':
        return 'it was put to work before, and a map without LINK is so once: load the object again'
      case 'EOPNOTSUPP':
      case 'ENOTSUPP':
        return `this kernel lets nobody put a ${this.struct} to work, or not with these members`
      case 'EINVAL':
        return `the kernel does not take this ${this.struct}: a function that it needs has no program, or a value cannot be`
      default:
        return undefined
    }
  }
}
