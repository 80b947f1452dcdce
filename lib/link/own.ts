import { constants } from 'node:os'
import { KernelError } from '../../syscalls/errno'
import { duplicateFd } from '../../syscalls/fd'
import { Handle } from '../handle/handle'
import { checkKnownOptions } from '../text/known-options'
import { Attachment, UPDATE, type UpdateOptions } from './attachment'
import { checkProgram, type KnownProgram, type ProgramLike, programLabel } from './program'

/**
 * An attachment for which the kernel has no link: it is undone by whoever made it. It holds the program, so that what is
 * undone is certain to be what was done, and not what somebody else has put there since.
 */
export abstract class OwnAttachment extends Attachment {
  #detached = false
  #program: Handle
  #programId: number

  /** @internal Takes `handle` over: what the undoing needs beside the program. */
  protected constructor(program: KnownProgram, handle?: Handle) {
    let held: Handle
    try {
      held = new Handle(duplicateFd(program.fd), program.description)
    } catch (error) {
      handle?.close()
      throw error
    }
    super(handle ?? held)
    this.#program = held
    this.#programId = program.id
  }

  /** @internal Attaches it, or lets go of all that it holds. */
  protected static begin<T extends OwnAttachment>(made: T, program: KnownProgram): T {
    try {
      made.set(program, true)
      // What is said of one that is collected open.
      made.handle.what = made.description
      return made
    } catch (error) {
      made.#detached = true
      made.close()
      throw error
    }
  }

  get programId(): number {
    return this.#programId
  }

  /** @internal An fd of the program that was attached last. */
  protected get programFd(): number {
    return this.#program.fd
  }

  /** @internal Puts the program there, or in the place of the one before. */
  protected abstract set(program: KnownProgram, first: boolean): void

  /** @internal Removes the program, if it is still this one that is there. */
  protected abstract undo(): void

  /** @internal Refuses a program that cannot be attached here. */
  protected abstract check(program: ProgramLike): KnownProgram

  update(program: ProgramLike, options: UpdateOptions = {}): void {
    checkKnownOptions(options, UPDATE)
    const { replacing } = options
    void this.handle.fd
    const next = this.check(program)
    if (this.#detached) throw refusal('ENOLINK', 'update', this.description, 'it is detached')
    if (replacing !== undefined && checkProgram(replacing, this.description).id !== this.programId) {
      throw refusal('EPERM', 'update', this.description, `it is ${programLabel(this.programId)} that is attached`)
    }
    const held = new Handle(duplicateFd(next.fd), next.description)
    try {
      this.set(next, false)
    } catch (error) {
      held.close()
      throw error
    }
    const before = this.#program
    this.#program = held
    this.#programId = next.id
    // Where the program is all that is held, the handle is that of the first, and stays until the end.
    if (before !== this.handle) before.close()
  }

  detach(): void {
    if (this.#detached) return
    void this.handle.fd
    this.undo()
    this.#detached = true
  }

  override close(): void {
    if (this.closed) return
    try {
      this.detach()
    } finally {
      this.#program.close()
      this.handle.close()
    }
  }

  info(): { readonly type: string; readonly programId: number } {
    void this.handle.fd
    return { type: this.type, programId: this.programId }
  }

  protected headline(): string {
    return `${this.description}${this.#detached ? ', detached' : ` → ${programLabel(this.programId)}`}`
  }
}

/** What the kernel would say if it knew of links there; said before it is asked, as it would do it in silence. */
export function refusal(
  code: 'EBUSY' | 'ENOLINK' | 'EPERM',
  command: string,
  description: string,
  why: string,
  syscall?: string,
) {
  const subject = { description, hint: () => why }
  return new KernelError(constants.errno[code], { command, subject, syscall })
}
