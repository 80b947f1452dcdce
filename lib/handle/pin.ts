import { statfsSync, unlinkSync } from 'node:fs'

/** statfs(2) f_type of a bpf file system (include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11n

/** bpf_lookup in kernel/bpf/inode.c: names with a dot are the file system's own. */
export function pinHint(path: string, code: string): string | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return code === 'EPERM' && name.includes('.') ? "a pin's name may not hold a dot" : undefined
}

/** Unlinks a pin; false where there was none. Refuses a path that is not on a bpf file system. */
export function removePin(path: string): boolean {
  try {
    // f_type is a signed int on 32-bit machines, and arrives sign-extended.
    const { type } = statfsSync(path, { bigint: true })
    if (BigInt.asUintN(32, type) !== BPF_FS_MAGIC) throw new RangeError(`${path} is not on a bpf file system: no pin`)
    unlinkSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
