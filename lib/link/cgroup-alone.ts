import { progAttach, progDetach, progQuery } from '../../syscalls/bpf-attach'
import { KernelError, type Subject } from '../../syscalls/errno'
import { duplicateFd } from '../../syscalls/fd'
import { BPF_F_ALLOW_OVERRIDE } from '../../syscalls/uapi-link'
import { ATTACH_TYPES } from '../../syscalls/uapi-names'
import { Handle } from '../handle/handle'
import type { Attachment } from './attachment'
import { CGROUP_HINTS, CGROUP_HOOKS, type CgroupHook, OTHER_HOOK } from './cgroup-hooks'
import { OwnAttachment, refusal } from './own'
import { checkProgram, type KnownProgram, type ProgramLike, programLabel } from './program'

/** Whether a cgroup below may have a program of its own in the place of this one. */
type Mode = 'override' | 'exclusive'

/** A program alone at a cgroup, by BPF_PROG_ATTACH; `cgroup` stays the caller's. */
export function attachAlone(
  program: KnownProgram,
  cgroup: number,
  hook: CgroupHook,
  where: string,
  mode: Mode,
): Attachment {
  return CgroupAttachment.make(program, cgroup, hook, where, mode)
}

class CgroupAttachment extends OwnAttachment {
  readonly type = 'cgroup'
  readonly #hook: CgroupHook
  readonly #where: string
  readonly #mode: Mode
  readonly #subject: Subject

  private constructor(program: KnownProgram, cgroup: Handle, hook: CgroupHook, where: string, mode: Mode) {
    super(program, cgroup)
    this.#hook = hook
    this.#where = where
    this.#mode = mode
    this.#subject = {
      description: where,
      hint: (_command, code) => (code === 'EINVAL' ? OTHER_HOOK : CGROUP_HINTS[code]),
    }
  }

  static make(program: KnownProgram, cgroup: number, hook: CgroupHook, where: string, mode: Mode) {
    const handle = new Handle(duplicateFd(cgroup), where)
    return OwnAttachment.begin(new CgroupAttachment(program, handle, hook, where, mode), program)
  }

  get description(): string {
    return this.#where
  }

  protected set(program: KnownProgram, first: boolean): void {
    const there = this.#there()
    // The kernel would replace whichever program is there alone.
    if (first && there !== undefined) {
      throw refusal('EBUSY', 'BPF_PROG_ATTACH', this.#where, `${programLabel(there)} is attached there already`)
    }
    if (!first && there !== this.programId) {
      const why = 'the program was detached, or replaced by somebody else, or the cgroup is gone'
      throw refusal('ENOLINK', 'BPF_PROG_ATTACH', this.#where, why)
    }
    const fields = {
      target_fd: this.handle.fd,
      attach_bpf_fd: program.fd,
      attach_type: ATTACH_TYPES[this.#hook],
      attach_flags: this.#mode === 'override' ? BPF_F_ALLOW_OVERRIDE : 0,
    }
    progAttach(fields, this.#subject)
  }

  protected undo(): void {
    // Where there is one alone, the kernel would detach any, whichever is named (find_detach_entry in cgroup.c).
    if (this.#there() !== this.programId) return
    const fields = { target_fd: this.handle.fd, attach_bpf_fd: this.programFd, attach_type: ATTACH_TYPES[this.#hook] }
    try {
      progDetach(fields, this.#subject)
    } catch (error) {
      // Gone in between.
      if (!isGone(error)) throw error
    }
  }

  protected check(program: ProgramLike): KnownProgram {
    return checkProgram(program, this.#where, CGROUP_HOOKS[this.#hook])
  }

  /** undefined where no program is there, or the cgroup is no more. */
  #there(): number | undefined {
    const prog_ids = new Uint32Array(1)
    const query = { target_fd: this.handle.fd, attach_type: ATTACH_TYPES[this.#hook], prog_ids }
    try {
      return progQuery(query, this.#subject).count === 0 ? undefined : prog_ids[0]
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    }
  }
}

/** ENOENT: of a program that is not there, and of a cgroup that is removed, whose folder is still open. */
function isGone(error: unknown): boolean {
  return error instanceof KernelError && error.code === 'ENOENT'
}
