import { btfLoad, tryBtfLoad } from '../../syscalls/bpf-btf'
import { errnoName } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import type { Btf } from '../btf'
import { kernelBtf } from './kernel-btf'
import type { ObjectFile } from './object-file'
import { taken } from './older-btf'

/** Enough for what the kernel says of some ten thousand types; from Linux 6.4 on it keeps the end of what is longer. */
const LOG_BYTES = 2 ** 20

/**
 * The types of an object: as they are, or, where the kernel refuses them, in words that it knows. Which these are it is
 * asked only then, as to ask takes longer than to load. The caller owns the fd. Throws KernelError.
 */
export function loadObjectBtf(file: ObjectFile, btf: Btf, description: string): number {
  const newest = kernelBtf(file, btf)
  const { fd, errno } = tryBtfLoad({ btf: newest })
  if (errno === 0) return fd
  // What it answers to types that it does not know.
  return loadBtf(errnoName(errno) === 'EINVAL' ? kernelBtf(file, btf, taken) : newest, description)
}

/** BPF_BTF_LOAD, whose refusal says in the kernel's words what is wrong. The caller owns the fd. Throws KernelError. */
export function loadBtf(btf: Uint8Array, description: string): number {
  return btfLoad({ btf }, { description, hint: (_command, code) => (code === 'EPERM' ? undefined : reasonOf(btf)) })
}

/** The last line of the log, which only those get who ask for all of it. */
function reasonOf(btf: Uint8Array): string | undefined {
  const log = new Uint8Array(LOG_BYTES)
  const { fd, errno } = tryBtfLoad({ btf, btf_log_level: 1, btf_log_buf: log })
  if (fd >= 0) closeFd(fd)
  // ENOSPC: of a log that did not fit, the end is what is missing.
  if (errno === 0 || errnoName(errno) === 'ENOSPC') return undefined
  const text = Buffer.from(log.buffer).toString('latin1', 0, log.indexOf(0))
  const last = text.trimEnd().split('\n').at(-1)?.trim() ?? ''
  return last === '' ? undefined : `the kernel says of its types: ${last}`
}
