import type { ChildProcess } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import { StoryError } from './story'

/** How long a child process may take to begin, and to end by itself. */
const PATIENCE_MS = 60_000

/** Waits for the event by which a child says that it has begun; one that does not is ended. Throws StoryError. */
export async function begun(child: ChildProcess, what: string, emitter: EventEmitter, event: string): Promise<void> {
  let complaint = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    complaint += text
  })
  const waiting = new AbortController()
  const { signal } = waiting
  const refused = (why: string) => new StoryError(`there is no ${what}: ${complaint.trim() || why}`)
  const timer = setTimeout(() => waiting.abort(), PATIENCE_MS)
  try {
    const first = await Promise.race([
      once(emitter, event, { signal }).then(() => 'begun'),
      once(child, 'close', { signal }).then(([code]) => `${child.spawnfile} ended with ${code}`),
    ])
    if (first !== 'begun') throw refused(first)
  } catch (error) {
    await ended(child, 'now')
    if (error instanceof StoryError) throw error
    throw refused(signal.aborted ? `${child.spawnfile} does not begin` : (error as Error).message)
  } finally {
    clearTimeout(timer)
    waiting.abort()
  }
}

/** Waits until a child that has been told to end has done so; one that takes too long is killed. */
export async function ended(child: ChildProcess, when: 'soon' | 'now' = 'soon'): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  // Not 'close': Node does not emit it of a child from whose channel this side has disconnected.
  const exited = once(child, 'exit')
  if (when === 'now') child.kill('SIGKILL')
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  try {
    await exited
  } finally {
    clearTimeout(timer)
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
  }
}
