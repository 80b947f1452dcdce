/** Where the BTF of the kernel and of its modules is: files in sysfs, and the BTF objects that bpf(2) knows. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { btfInfo, btfNextId, btfTryOpenById } from '../../syscalls/bpf-btf'
import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { BtfError } from './error'

const SYSFS = '/sys/kernel/btf'
export const VMLINUX = 'vmlinux'

/** BTF as it was read. */
export interface BtfSource {
  readonly bytes: Uint8Array
  /** 'vmlinux', the name of a module, or '' for BTF that came with programs and maps. */
  readonly name: string
  /** Of the kernel itself or of a module. */
  readonly kernel: boolean
  /** The id of the BTF object, where it was read from one. */
  readonly objectId: number | undefined
}

/** BTF of the kernel or of a module, by name: from sysfs, which takes no privilege. undefined where there is none. */
export function fromSysfs(name: string): BtfSource | undefined {
  try {
    return { bytes: readFileSync(join(SYSFS, name)), name, kernel: true, objectId: undefined }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The names of all modules with BTF, in sysfs; undefined where that is not mounted, or the kernel has no BTF. */
export function modulesInSysfs(): readonly string[] | undefined {
  try {
    return readdirSync(SYSFS)
      .filter((name) => name !== VMLINUX)
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** A BTF object by its id. Needs CAP_SYS_ADMIN. Errors: EPERM. undefined where there is none of that id (any more). */
export function fromObject(id: number): BtfSource | undefined {
  return openedObject(id, (fd, name, kernel, size) => {
    const bytes = new Uint8Array(size)
    const { btf_size } = btfInfo(fd, { btf: bytes }, { description: `BTF#${id}` })
    if (btf_size !== size) throw new BtfError(`BTF#${id}`, `the kernel says ${size} bytes, and gives ${btf_size}`)
    return { bytes, name, kernel, objectId: id }
  })
}

/** The ids of what the kernel and its modules have, with their names. Needs CAP_SYS_ADMIN. Errors: EPERM. Linux 5.11. */
export function* kernelObjects(): Generator<{ readonly id: number; readonly name: string }, void, undefined> {
  for (let id = btfNextId(0); id !== undefined; id = btfNextId(id)) {
    const found = openedObject(id, (_, name, kernel) => (kernel ? name : undefined))
    if (found !== undefined) yield { id, name: found }
  }
}

/** BTF of the kernel or of a module, by name, where sysfs is not mounted; undefined where nothing is to be learnt. */
export function fromNamedObject(name: string): BtfSource | undefined {
  try {
    for (const { id, name: its } of kernelObjects()) if (its === name) return fromObject(id)
  } catch (error) {
    // Without the privilege, and on kernels without the command (Linux 5.4), this is no place to look.
    if (!(error instanceof KernelError) || !['EPERM', 'EINVAL'].includes(error.code)) throw error
  }
  return undefined
}

function openedObject<T>(
  id: number,
  use: (fd: number, name: string, kernel: boolean, size: number) => T,
): T | undefined {
  const subject = { description: `BTF#${id}` }
  const fd = btfTryOpenById(id, undefined, subject)
  if (fd === undefined) return undefined
  try {
    const { name_len = 0, kernel_btf = 0, btf_size } = btfInfo(fd, {}, subject)
    return use(fd, name_len === 0 ? '' : nameOf(fd, name_len), kernel_btf === 1, btf_size)
  } finally {
    closeFd(fd)
  }
}

function nameOf(fd: number, length: number): string {
  const name = Buffer.alloc(length + 1)
  btfInfo(fd, { name })
  return name.toString('utf8', 0, length)
}
