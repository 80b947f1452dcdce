import { lstatSync, statfsSync, unlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { objPin } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'

/** `pin` and `unpin` of an object, and which of its pins was the last. */
export class Pinning {
  /** Absolute: the working directory may be another one by the time of `unpin`. */
  #last: string | undefined

  /** BPF_OBJ_PIN. Errors: EEXIST, ENOENT, EPERM where the path is not on a bpf file system. */
  pin(path: string, fd: number, object: Subject): void {
    const subject: Subject = {
      get description() {
        return `${object.description} at ${path}`
      },
      hint: (command, code) => pinHint(path, code) ?? object.hint?.(command, code),
    }
    objPin(path, fd, subject)
    this.#last = resolve(path)
  }

  /** The object was opened by this pin. */
  opened(path: string): void {
    this.#last = resolve(path)
  }

  /** Removes the pin at a path, or the one that `pin` made or that was opened last. Whether there was one. */
  unpin(path: string | undefined, object: Subject): boolean {
    const at = path ?? this.#last
    if (at === undefined) throw new TypeError(`${object.description} was not pinned by this object: say the path`)
    const was = removePin(at)
    if (resolve(at) === this.#last) this.#last = undefined
    return was
  }
}

/** statfs(2) f_type of a bpf file system (include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11n

/** bpf_lookup in kernel/bpf/inode.c: names with a dot are the file system's own. */
export function pinHint(path: string, code: string): string | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return code === 'EPERM' && name.includes('.') ? "a pin's name may not hold a dot" : undefined
}

/** Whether a path that exists is on a bpf file system. Errors: Node's own (ENOENT, EACCES). */
export function isOnBpffs(path: string): boolean {
  // f_type is a signed int on 32-bit machines, and arrives sign-extended.
  return BigInt.asUintN(32, statfsSync(path, { bigint: true }).type) === BPF_FS_MAGIC
}

/** Unlinks a pin; false where there was none. Refuses a path that is not on a bpf file system. */
export function removePin(path: string): boolean {
  if (path === '') throw new RangeError('path must not be empty')
  try {
    // statfs follows it, and unlink does not: the link would be gone, and the pin still there.
    if (lstatSync(path).isSymbolicLink()) throw new RangeError(`${path} is a symbolic link: no pin`)
    if (!isOnBpffs(path)) throw new RangeError(`${path} is not on a bpf file system: no pin`)
    unlinkSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
