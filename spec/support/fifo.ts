/** A named pipe, for something that can be waited for and costs no privilege. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Fifo {
  readonly reader: number
  readonly writer: number
  write(text: string): void
  read(): string
  close(): void
}

export function openFifo(): Fifo {
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-fifo-'))
  const path = join(folder, 'fifo')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, constants.O_WRONLY)
  // Both ends are open: the name is not needed any longer.
  rmSync(folder, { recursive: true })
  return {
    reader,
    writer,
    write: (text) => void writeSync(writer, text),
    read: () => {
      const bytes = Buffer.alloc(4096)
      return bytes.toString('latin1', 0, readSync(reader, bytes))
    },
    close: () => {
      closeSync(reader)
      closeSync(writer)
    },
  }
}
