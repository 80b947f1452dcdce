import { progAttach, progDetach, progQuery } from '../../syscalls/bpf-attach'
import { duplicateFd } from '../../syscalls/fd'
import { BPF_F_ALLOW_OVERRIDE } from '../../syscalls/uapi-link'
import { ATTACH_TYPES } from '../../syscalls/uapi-names'
import { Handle } from '../handle/handle'
import type { Attachment } from './attachment'
import { CGROUP_HOOKS, type CgroupHook } from './cgroup-hooks'
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

  private constructor(program: KnownProgram, cgroup: Handle, hook: CgroupHook, where: string, mode: Mode) {
    super(program, cgroup)
    this.#hook = hook
    this.#where = where
    this.#mode = mode
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
    // The kernel would replace a program that is there alone.
    if (first && there !== undefined) {
      throw refusal('EBUSY', 'BPF_PROG_ATTACH', this.#where, `${programLabel(there)} is attached there already`)
    }
    const fields = {
      target_fd: this.handle.fd,
      attach_bpf_fd: program.fd,
      attach_type: ATTACH_TYPES[this.#hook],
      attach_flags: this.#mode === 'override' ? BPF_F_ALLOW_OVERRIDE : 0,
    }
    progAttach(fields, { description: this.#where })
  }

  protected undo(): void {
    // Where there is one alone, the kernel would detach any, whichever is named (find_detach_entry in cgroup.c).
    if (this.#there() !== this.programId) return
    const fields = { target_fd: this.handle.fd, attach_bpf_fd: this.programFd, attach_type: ATTACH_TYPES[this.#hook] }
    progDetach(fields, { description: this.#where })
  }

  protected check(program: ProgramLike): KnownProgram {
    return checkProgram(program, this.#where, CGROUP_HOOKS[this.#hook])
  }

  #there(): number | undefined {
    const prog_ids = new Uint32Array(1)
    const query = { target_fd: this.handle.fd, attach_type: ATTACH_TYPES[this.#hook], prog_ids }
    return progQuery(query, { description: this.#where }).count === 0 ? undefined : prog_ids[0]
  }
}
