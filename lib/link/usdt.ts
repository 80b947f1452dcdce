import { findUsdt, type UsdtProbe } from '../elf-file/usdt'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { Attachment, type UpdateOptions } from './attachment'
import type { Cookie, EventLink } from './event'
import type { ProgramLike } from './program'
import { attachUprobe, checkPath } from './uprobe'

export interface UsdtOptions {
  /** The one process that is traced, by its id; else all that run the file. */
  readonly pid?: number | undefined
  /** What bpf_get_attach_cookie gives to the program: 64 bits, 0 where not given. Linux 5.15. */
  readonly cookie?: Cookie | undefined
}

const OPTIONS = optionNames<UsdtOptions>({ pid: true, cookie: true })

/**
 * Attaches a program of type `kprobe` to a USDT probe of an executable or a shared library, at each of its places: its
 * context is struct pt_regs, and `usdtProbes(path)` tells where in it the arguments are. Programs may find the probe
 * switched off before, where it has a semaphore: it is on as long as this is attached.
 *
 * Errors: ElfError (the file is no ELF file, or its code ENOENT: it has no such probe); else those of `attachUprobe`.
 * Linux 4.20.
 */
export function attachUsdt(
  program: ProgramLike,
  path: string,
  provider: string,
  name: string,
  options: UsdtOptions = {},
): UsdtAttachment {
  checkKnownOptions(options, OPTIONS)
  const { pid, cookie } = options
  checkPath(path)
  for (const [what, text] of Object.entries({ provider, name })) {
    if (typeof text !== 'string') throw new TypeError(`the ${what} of a USDT probe is a string, not ${typeof text}`)
  }
  return attachToPlaces(program, path, findUsdt(path, provider, name), { pid, cookieOf: () => cookie })
}

/** @internal The same at given places, of one probe, each with a cookie of its own. All or none. */
export function attachToPlaces(
  program: ProgramLike,
  path: string,
  places: readonly UsdtProbe[],
  { pid, cookieOf }: { pid?: number | undefined; cookieOf(place: UsdtProbe): Cookie | undefined },
): UsdtAttachment {
  const links: EventLink[] = []
  try {
    for (const place of places) {
      const { offset, semaphore } = place
      links.push(attachUprobe(program, path, offset, { pid, cookie: cookieOf(place), semaphore }))
    }
    const [{ provider, name } = { provider: '', name: '' }] = places
    return new UsdtAttachment(links, `usdt ${path}:${provider}:${name}`)
  } catch (error) {
    for (const link of links) link.close()
    throw error
  }
}

/** A program at all places of a USDT probe. It ends with the process at the latest. */
export class UsdtAttachment extends Attachment {
  readonly type = 'usdt'
  /** One a place. */
  readonly links: readonly EventLink[]
  readonly description: string

  /** @internal Takes the links over. */
  constructor(links: readonly EventLink[], description: string) {
    const [first] = links
    if (first === undefined) throw new RangeError('a probe without a place')
    super(first.handle)
    this.links = links
    this.description = description
  }

  get programId(): number {
    return this.#first.programId
  }

  info(): { readonly type: 'usdt'; readonly programId: number; readonly places: number } {
    return { type: this.type, programId: this.programId, places: this.links.length }
  }

  /** Probes keep the program that they were given: fails with EEXIST or EINVAL. */
  update(program: ProgramLike, options?: UpdateOptions): void {
    for (const link of this.links) link.update(program, options)
  }

  /** The same as `close()`: there is nothing to a probe but its end. */
  detach(): void {
    this.close()
  }

  override close(): void {
    for (const link of this.links) link.close()
  }

  get #first(): EventLink {
    return this.links[0] as EventLink
  }

  protected headline(): string {
    const { length } = this.links
    return `${this.description} at ${length} ${length === 1 ? 'place' : 'places'}`
  }
}
