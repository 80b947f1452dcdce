/** A spec file that leaves an fd open fails. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { relative } from 'node:path'

/** What each open fd is: 23 -> 'anon_inode:bpf-map'. Empty where there is no /proc. */
function openFds(): Map<string, string> {
  const fds = new Map<string, string>()
  let names: string[]
  try {
    names = readdirSync('/proc/self/fd')
  } catch {
    return fds
  }
  for (const fd of names) {
    try {
      fds.set(fd, readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      // The one that the folder was read through: it is closed by now.
    }
  }
  return fds
}

function opened(before: ReadonlyMap<string, string>): string[] {
  return [...openFds()].filter(([fd, what]) => before.get(fd) !== what).map(([fd, what]) => `fd ${fd} ${what}`)
}

/** What is closed asynchronously (streams, child processes) gets so long. */
const DEADLINE_MS = 30_000

async function check(file: string, before: ReadonlyMap<string, string>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS
  let leaked = opened(before)
  while (leaked.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    leaked = opened(before)
  }
  if (leaked.length > 0) throw new Error(`${file} leaves open: ${leaked.join(', ')}`)
}

/**
 * Node opens some things with their first use and never closes them: the pipe on which it hears of signals, and, with
 * the first stream, the /dev/null that libuv holds in reserve for when fds run out (uv__stream_init).
 */
async function warmUp(): Promise<void> {
  await once(spawn('true', { stdio: 'pipe' }), 'close')
}

/** The hooks in the order in which they run; private in the typings, and there is no other way to be the first. */
interface WithHooks {
  readonly _beforeAll: Mocha.Hook[]
}

function watch(suite: Mocha.Suite): void {
  let before: ReadonlyMap<string, string>
  suite.beforeAll('fds before', () => {
    before = openFds()
  })
  // In front of the suite's own, which may leak as well; afterAll goes behind the suite's own by itself.
  const hooks = (suite as unknown as WithHooks)._beforeAll
  const own = hooks.pop()
  if (own !== undefined) hooks.unshift(own)
  suite.afterAll('no fd left open', () => check(relative(process.cwd(), suite.file ?? suite.title), before))
}

export const mochaHooks = {
  async beforeAll(this: Mocha.Context) {
    await warmUp()
    for (const suite of this.test?.parent?.suites ?? []) watch(suite)
  },
}
