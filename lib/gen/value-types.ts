import type { Btf } from '../btf'
import { BtfError, type CodecOfOptions, codecOf } from '../btf'
import { openEnded } from '../btf/codec/open-end'
import { type TypeScriptParts, typeScriptParts, usesName, type WantedType } from '../btf/print'

/** What is read as bytes, as nothing more is known of it. */
export const BYTES = 'Uint8Array'

/** A type that was asked for; what it is called is known when all have been. */
export type TypeOf = () => string

/** How to read a type of that name, or of that id: `openEnd` tells that it ends in an array of open length. */
export type Otherwise = (type: string | number, size: number, align: number, openEnd: boolean) => string

/** A record is as long as it is: it may go on where a struct ends. */
const EVENT: CodecOfOptions = { openEnd: true }

/** The types of keys, values, variables and events: asked for one by one, and written together, as they share structs. */
export class ValueTypes {
  readonly #btf: Btf | undefined
  readonly #wanted: WantedType[] = []
  #parts: TypeScriptParts | undefined

  constructor(btf: Btf | undefined) {
    this.#btf = btf
  }

  /**
   * The type of so many bytes; `name` and `about` are for what has no name of its own. Decided as loading does
   * (elf/codecs.ts): bytes, where the types say nothing of them, or something else.
   */
  want(type: number, size: number, name: string, about: string): TypeOf {
    return this.#look(type).size === size ? this.#want(type, name, about) : () => BYTES
  }

  /** A type as such, but for the array of open length that it may end in; undefined where no codec reads it. */
  event(type: number, name: string, about: string): TypeOf | undefined {
    return this.#look(type, EVENT).size === undefined ? undefined : this.#want(type, name, about)
  }

  /** Why nothing reads keys, values and variables of a type: 'struct event.path is ...'; undefined where that is not it. */
  refusal(type: number): string | undefined {
    return this.#look(type).reason
  }

  /** The same of events. */
  eventRefusal(type: number): string | undefined {
    return this.#look(type, EVENT).reason
  }

  /** Writes them. `otherwise` says how to read what the library's own codecs do not. */
  settle(taken: Iterable<string>, otherwise: Otherwise): void {
    const btf = this.#btf
    if (btf === undefined) return
    this.#parts = typeScriptParts(btf, this.#wanted, {
      taken,
      otherwise: ({ id, size }, name, align) => {
        return otherwise(nameOrId(btf, name, id), size, align, openEnded(btf, btf.resolve(id)) !== undefined)
      },
      // What has one is asked for as an event, or not at all.
      openEnds: true,
    })
  }

  get declarations(): readonly string[] {
    return this.#parts?.declarations ?? []
  }

  get imports(): readonly string[] {
    // Those of single keys and values stand in types alone.
    return (this.#parts?.imports ?? []).filter((name) => {
      return this.declarations.some((text) => usesName(text, name.replace('type ', '')))
    })
  }

  #want(type: number, name: string, about: string): TypeOf {
    const index = this.#wanted.push({ type, hint: { name, about } }) - 1
    return () => this.#parts?.values[index]?.type ?? BYTES
  }

  /** Bytes of what codecOf reads, or why it does not; neither where no type is told. */
  #look(type: number, options: CodecOfOptions = {}): { readonly size?: number; readonly reason?: string } {
    if (this.#btf === undefined || type === 0) return {}
    try {
      return { size: codecOf(this.#btf, type, options).size }
    } catch (error) {
      if (error instanceof BtfError) return { reason: error.reason }
      throw error
    }
  }
}

/** A name says more, and stays when the object is compiled again; but it has to mean just this type. */
function nameOrId(btf: Btf, name: string, id: number): string | number {
  try {
    const found = btf.find(name, 'typedef') ?? btf.find(name, 'struct') ?? btf.find(name, 'union')
    return found !== undefined && btf.resolve(found.id).id === id ? name : id
  } catch (error) {
    if (error instanceof BtfError) return id
    throw error
  }
}
