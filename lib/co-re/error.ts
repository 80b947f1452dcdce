import type { CoreKind } from './kinds'

/** What an error tells of the relocation that it is about. */
export interface AboutRelocation {
  /** 'struct task_struct.pid', 'enum bpf_map_type::BPF_MAP_TYPE_ARENA'; as far as it could be read. */
  readonly what: string
  /** undefined where its number stands for no kind that is known. */
  readonly kind: CoreKind | undefined
  /** The instruction, counted in slots of 8 bytes from the start of those that were given. */
  readonly slot: number
  /** Which of the relocations it is, from 0. */
  readonly index: number
}

/**
 * A CO-RE relocation that says what cannot be, that does not fit its instruction, or that several types of the kernel
 * answer differently. What the kernel merely has not got is no error: see {@link PoisonedInstruction}.
 */
export class CoreError extends Error implements AboutRelocation {
  override readonly name: string = 'CoreError'
  readonly code = 'ERR_EBPF_CORE'
  readonly what: string
  readonly kind: CoreKind | undefined
  readonly slot: number
  readonly index: number
  /** Why, without the relocation. */
  readonly reason: string

  constructor(about: AboutRelocation, wanted: string, reason: string, options?: ErrorOptions) {
    super(`relocation ${about.index} (${wanted}, at instruction ${about.slot}): ${reason}`, options)
    this.what = about.what
    this.kind = about.kind
    this.slot = about.slot
    this.index = about.index
    this.reason = reason
  }
}

/** @internal Why a relocation cannot be; `relocate` says which one it is. */
export class Refusal extends Error {}
