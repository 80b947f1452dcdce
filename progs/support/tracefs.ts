import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoryError } from './story'

/**
 * Sees to it that tracefs, which has the numbers of tracepoints, is mounted somewhere: in a folder of its own where it was
 * not. Disposing of the result undoes that.
 */
export function mountedTracefs(): Disposable {
  if (/ (tracefs|debugfs) /.test(readFileSync('/proc/self/mounts', 'latin1'))) return { [Symbol.dispose]() {} }
  const path = mkdtempSync(join(tmpdir(), 'ebpf-ts-tracefs-'))
  try {
    execFileSync('mount', ['-t', 'tracefs', 'tracefs', path], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    rmdirSync(path)
    throw new StoryError(`tracefs, by which tracepoints are found, cannot be mounted: ${(error as Error).message}`)
  }
  return {
    [Symbol.dispose]() {
      // Lazily: whoever looks into it meanwhile does not keep it.
      execFileSync('umount', ['-l', path])
      rmdirSync(path)
    },
  }
}
