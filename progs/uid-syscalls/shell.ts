import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { StoryError } from '../support/story'
import type { SyscallName } from './syscalls'

/** What makes a shell make each of these calls once, and none of the others. */
export const COMMANDS = {
  chdir: 'cd /',
  openat: ': >/dev/null',
  kill: 'kill -0 $$',
} as const satisfies Partial<Record<SyscallName, string>>

export type Call = keyof typeof COMMANDS

/** Says that it has done what it was told before. */
const DONE = 'echo done'

/** A shell that runs as another user and does what it is told; the caller owns it. */
export class Shell implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #closed: Promise<unknown>

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child
    this.#closed = new Promise((resolve) => child.once('close', resolve))
  }

  /** Gives it once it is at its prompt, so that what it does to begin is over. Errors: EPERM (CAP_SETUID). */
  static async as(uid: number): Promise<Shell> {
    const child = spawn('/bin/sh', [], {
      uid,
      gid: uid,
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['pipe', 'pipe', 'inherit'],
      // In a group of its own: Ctrl-C is for the story, which ends the shell.
      detached: true,
    })
    await once(child, 'spawn')
    // Of a shell that has ended: that is told by the end of what it says.
    child.stdin.on('error', () => {})
    const shell = new Shell(child)
    try {
      await shell.tell([])
      return shell
    } catch (error) {
      await shell.close()
      throw error
    }
  }

  /** Has it do all of this, and waits until it is done. Throws StoryError where the shell has ended. */
  async tell(commands: readonly string[]): Promise<void> {
    const listening = new AbortController()
    const said = once(this.#child.stdout, 'data', { signal: listening.signal })
    const over = this.#closed.then(() => {
      throw new StoryError('the shell has ended')
    })
    this.#child.stdin.write([...commands, DONE, ''].join('\n'))
    try {
      await Promise.race([said, over])
    } catch (error) {
      listening.abort()
      await said.catch(() => {})
      throw error
    }
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    await this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
