import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { ElfError } from './error'

/** The bytes of an ELF file: read as they are asked for, as executables may have hundreds of megabytes. */
export interface ElfSource {
  /** What messages call it. */
  readonly path: string
  readonly size: number
  /** A copy of bytes that are within the size. */
  read(offset: number, length: number): Uint8Array
}

export function memorySource(bytes: Uint8Array, path = 'the ELF file'): ElfSource {
  return { path, size: bytes.length, read: (offset, length) => bytes.slice(offset, offset + length) }
}

/** Opens a file for as long as `use` runs. Errors: Node's own (ENOENT, EACCES); ElfError where it is no regular file. */
export function withElfFile<T>(path: string, use: (source: ElfSource) => T): T {
  const fd = openFile(path)
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new ElfError(path, 'it is no regular file')
    return use({ path, size: stat.size, read: (offset, length) => readWhole(fd, path, offset, length) })
  } finally {
    closeSync(fd)
  }
}

function openFile(path: string): number {
  try {
    // A FIFO would else be waited for.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const failure = error as NodeJS.ErrnoException
    if (failure.code !== 'ENOENT' || isAbsolute(path)) throw error
    // Where a process runs is often not where its author thinks.
    const { message, stack = '' } = failure
    failure.message = `${message}: there is no ${resolve(path)}`
    failure.stack = stack.replace(message, () => failure.message)
    throw failure
  }
}

function readWhole(fd: number, path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, offset + done)
    if (count === 0) throw new ElfError(path, 'the file has become shorter while it was read', offset + done)
    done += count
  }
  return bytes
}
