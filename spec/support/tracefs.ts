/** tracefs, mounted for specs where it is not, and away for those that see what is said without it. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { needs, requireRoot } from './kernel'

const WHERE = '/sys/kernel/tracing'

function mounted(): boolean {
  return / (tracefs|debugfs) /.test(readFileSync('/proc/self/mounts', 'latin1'))
}

/** For a suite: tracefs from before its first spec until after its last. */
export function useTracefs(): void {
  let undo = false
  before(function () {
    requireRoot(this)
    if (mounted()) return
    needs(this, existsSync(WHERE), 'a kernel with tracefs')
    execFileSync('mount', ['-t', 'tracefs', 'tracefs', WHERE])
    undo = true
  })
  after(() => {
    // Lazily: whoever else looks into it meanwhile does not keep it.
    if (undo) execFileSync('umount', ['-l', WHERE])
  })
}

/** The command, run where nothing of the kind is mounted, whatever is outside. */
export function withoutTracefs(command: readonly string[]): readonly string[] {
  const script = `umount -l -a -t tracefs,debugfs; ! grep -qE ' (tracefs|debugfs) ' /proc/self/mounts && exec "$@"`
  return ['unshare', '-m', 'sh', '-c', script, 'sh', ...command]
}
