import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder that is there while it is used. */
export function withFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-btf-'))
  try {
    return use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
