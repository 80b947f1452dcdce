import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { isOnBpffs } from '../handle/pin'
import type { Undo } from './undo'

/** The folders that are missing on the way to one, the outermost first; and the one that is there. */
function missingOf(folder: string): { readonly there: string; readonly missing: readonly string[] } {
  const missing: string[] = []
  let there = resolve(folder)
  while (!existsSync(there) && dirname(there) !== there) {
    missing.unshift(there)
    there = dirname(there)
  }
  return { there, missing }
}

/** Refuses a folder that pins cannot be in, before anything is made. Throws RangeError. */
export function checkPinFolder(folder: string): void {
  const { there, missing } = missingOf(folder)
  if (!isOnBpffs(there)) {
    const what = missing.length === 0 ? folder : `${folder} cannot be made: ${there}`
    throw new RangeError(`pins: ${what} is not on a bpf file system (mount -t bpf bpf /sys/fs/bpf makes one)`)
  }
  const dotted = missing.find((path) => basename(path).includes('.'))
  // bpf_lookup in kernel/bpf/inode.c
  if (dotted !== undefined) throw new RangeError(`pins: ${dotted} cannot be made: names there may not hold a dot`)
}

/**
 * Makes a folder and all that are missing on the way to it; what is made is remembered to be taken back. Not by Node's
 * recursive mkdir, which goes round in circles on file systems of the kernel, and does not tell what it has made.
 */
export function makePinFolder(folder: string, undo: Undo): void {
  for (const path of missingOf(folder).missing) {
    try {
      mkdirSync(path)
    } catch (error) {
      // Somebody else has just made it: it is theirs.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      continue
    }
    undo.add(() => removeFolder(path))
  }
}

/** Where somebody else has put something into it meanwhile, it stays. */
function removeFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
