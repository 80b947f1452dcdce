import { objGet } from '../../syscalls/bpf'
import {
  type LinkCreateFields,
  linkCreate,
  linkDetach,
  linkNextId,
  linkOpenById,
  linkTryOpenById,
  linkUpdate,
} from '../../syscalls/bpf-link'
import type { Subject } from '../../syscalls/errno'
import { checkFd, checkKind } from '../../syscalls/fd'
import { BPF_F_REPLACE } from '../../syscalls/uapi-link'
import { unsupportedOr, type Words } from '../features/unsupported'
import { Handle } from '../handle/handle'
import { Pinning } from '../handle/pin'
import { checkU32 } from '../map/attributes'
import { checkKnownOptions } from '../text/known-options'
import { Attachment, UPDATE, type UpdateOptions } from './attachment'
import { type LinkInfo, readLink } from './info'
import type { LinkType } from './names'
import { checkProgram, type ProgramLike, programLabel } from './program'
import { targetOf } from './target'
import { typesAt } from './types-at'

/**
 * A program at its hook, as the kernel keeps it: attached as long as one fd or one pin of it is there, so it ends with
 * the process at the latest, unless it is pinned. Linux 5.7; kinds of links have come since.
 */
export class Link extends Attachment {
  readonly #id: number
  readonly type: LinkType | `type ${number}`
  /** What it is attached to, as it was found: "veth0". Kept, as a detached link no longer tells. */
  readonly #target: string
  readonly #pinning = new Pinning()
  readonly #subject: Subject

  /** @internal */
  protected constructor(handle: Handle, target?: string) {
    super(handle)
    const info = readLink(handle.fd, { description: handle.what })
    this.#id = info.id
    this.type = info.type
    this.#target = target ?? targetOf(info)
    handle.what = `Link#${info.id} ${this.#target}`
    const description = this.description
    this.#subject = { description }
  }

  /**
   * @internal Takes over the fd of a link. `target` is what it is attached to, in words, where its maker knows better
   * than the kernel tells; `called` is what the fd is to who gave it.
   */
  static adopt(fd: number, target?: string, called?: string): Link {
    const handle = new Handle(fd, target === undefined ? 'a link' : `a link: ${target}`)
    try {
      // The info of another kind of object has other fields in the same places.
      checkKind(fd, 'bpf_link', called)
      return new Link(handle, target)
    } catch (error) {
      handle.close()
      throw error
    }
  }

  /** Opens a link by its id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EAGAIN (it is being made), EPERM. Linux 5.8. */
  static fromId(id: number): Link {
    checkU32('id', id, 1)
    const hint = (_command: string, code: string) => (code === 'EAGAIN' ? 'the link is just being made' : undefined)
    return Link.adopt(linkOpenById(id, { description: `link#${id}`, hint }))
  }

  /** Opens the link pinned at a path. Errors: ENOENT, EACCES; TypeError where something else is pinned there. */
  static fromPin(path: string): Link {
    const link = Link.adopt(objGet(path, 0, { description: path }), undefined, path)
    link.#pinning.opened(path)
    return link
  }

  /** Takes over an fd that this process has. Where the fd is refused (TypeError, EBADFD), it stays the caller's. */
  static fromFd(fd: number): Link {
    checkFd(fd)
    checkKind(fd, 'bpf_link')
    const handle = new Handle(fd, `link of fd ${fd}`)
    try {
      return new Link(handle)
    } catch (error) {
      handle.disown()
      throw error
    }
  }

  /** The file descriptor, which stays this link's own. Throws ClosedError once it is closed. */
  get fd(): number {
    return this.handle.fd
  }

  /** The kernel's number for the link, the same in every process. */
  get id(): number {
    return this.#id
  }

  get programId(): number {
    return this.info().programId
  }

  /** What the kernel tells of the link now. Errors: none of its own. */
  info(): LinkInfo {
    return readLink(this.fd, this.#subject)
  }

  /**
   * Puts another program in place of the one that is attached, with no moment in between. Errors: EPERM (`replacing` is
   * not the program that is there), TypeError, EINVAL (another type), EINVAL, EOPNOTSUPP (links of this kind keep their
   * program), ENOLINK (detached).
   */
  update(program: ProgramLike, options: UpdateOptions = {}): void {
    checkKnownOptions(options, UPDATE)
    const { replacing } = options
    const { fd: link_fd } = this
    const { fd: new_prog_fd } = checkProgram(program, this.description, ...typesAt(this.info()))
    const old_prog_fd = replacing === undefined ? undefined : checkProgram(replacing, this.description).fd
    const flags = old_prog_fd === undefined ? undefined : BPF_F_REPLACE
    linkUpdate({ link_fd, new_prog_fd, flags, old_prog_fd }, this.#subject)
  }

  /**
   * Ends the effect for whoever holds the link, also for those who have it pinned. Detaching twice is fine. Errors:
   * EOPNOTSUPP (links of this kind end with their last fd or pin only). Linux 5.9.
   */
  detach(): void {
    linkDetach(this.fd, this.#subject)
  }

  /**
   * Gives the link a name on a bpf file system: the program then stays attached when this process is gone, and `fromPin`
   * opens it. Errors: EEXIST, ENOENT, EPERM where the path is not on a bpf file system.
   */
  pin(path: string): void {
    this.#pinning.pin(path, this.fd, this.#subject)
  }

  /**
   * Removes a pin: the one that `pin` made or `fromPin` opened last, or the one at `path`. Whether there was one. The
   * kernel lets go of the link a moment later: where nobody else holds it, the program is attached until then.
   */
  unpin(path?: string): boolean {
    return this.#pinning.unpin(path, this.#subject)
  }

  /** What messages call it: "Link#7 xdp on veth0". Never throws. */
  get description(): string {
    return `Link#${this.#id} ${this.#target}`
  }

  protected headline(): string {
    const { programId } = this.info()
    const program = programId === 0 ? '' : ` → ${programLabel(programId)}`
    return `${this.description}${program} fd ${this.fd}`
  }
}

/**
 * Every link of the system, each closed when its step ends: `Link.fromId(link.id)` gives one to keep. Links that vanish
 * meanwhile are passed over, and those that are being made. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 5.8.
 */
export function* links(): Generator<Link, void, undefined> {
  for (let id = linkNextId(0); id !== undefined; id = linkNextId(id)) {
    const fd = linkTryOpenById(id, { description: `link#${id}` })
    if (fd === undefined) continue
    const link = Link.adopt(fd)
    link.handle.lent = 'links() closes it when its step ends; Link.fromId(link.id) gives one to keep'
    try {
      yield link
    } finally {
      link.close()
    }
  }
}

/**
 * @internal Makes a link. `target` is what messages and `inspect` call the place: 'xdp on veth0'; `asked` are the
 * features that a kernel must have for it, of which one is made certain where the kernel refuses.
 */
export function createLink(
  fields: LinkCreateFields,
  target: string,
  asked: readonly Words[],
  hint?: Subject['hint'],
): Link {
  let fd: number
  try {
    fd = linkCreate(fields, { description: target, ...(hint && { hint }) })
  } catch (error) {
    throw unsupportedOr(error, () => asked)
  }
  return Link.adopt(fd, target)
}
