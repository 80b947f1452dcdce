/** Boots a guest and listens to its console. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { type Architecture, MissingError } from './debian'
import { type GuestRecord, SEPARATOR } from './guest/records'
import { LastWords } from './last-words'

const MACHINES = {
  amd64: { command: 'qemu-system-x86_64', package: 'qemu-system-x86', options: ['-cpu', 'max'], console: 'ttyS0' },
  arm64: {
    command: 'qemu-system-aarch64',
    package: 'qemu-system-arm',
    options: ['-machine', 'virt', '-cpu', 'cortex-a72'],
    console: 'ttyAMA0',
  },
} as const

/** Debian's up to Linux 5.10 loads LSM programs and never asks them: bpf is not in its CONFIG_LSM. */
const LSM = 'lockdown,yama,landlock,bpf'

/** Throws where qemu is not installed, and says how to come by it. */
export function requireQemu(architecture: Architecture): void {
  const { command, package: name } = MACHINES[architecture]
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
  } catch {
    throw new MissingError(`${command} is not installed; on Debian: apt-get install --no-install-recommends ${name}`)
  }
}

export interface Boot {
  readonly architecture: Architecture
  readonly vmlinuz: string
  readonly initrd: string
  /** Where all that the console says goes. */
  readonly log: string
  /** After how long a guest is ended, and after how long of saying nothing. */
  readonly timeoutMs: number
  readonly silenceMs: number
  hear(record: GuestRecord): void
}

export interface Ending {
  /** Why it had to be ended. */
  readonly stopped: 'timeout' | 'silence' | undefined
  /** The console's last lines, from the kernel's panic on where it told of one. */
  readonly lastWords: readonly string[]
}

/** Runs a guest until it ends, or has to be ended. */
export async function boot({ architecture, vmlinuz, initrd, log, timeoutMs, silenceMs, hear }: Boot): Promise<Ending> {
  const { command, options, console: port } = MACHINES[architecture]
  const args = [
    ...options,
    // Not KVM: machines that are virtual themselves offer it and then end the guest in its first instructions.
    // One thread for all its processors: where each has its own, they run what the kernel patches while another writes
    // it, and panic now and then. Two guests side by side are faster so, too.
    ...['-accel', 'tcg,thread=single'],
    ...['-smp', '2', '-m', '2G', '-nographic', '-no-reboot', '-nic', 'none'],
    ...['-kernel', vmlinuz, '-initrd', initrd, '-append', `console=${port} quiet panic=-1 lsm=${LSM}`],
  ]
  const qemu = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const written = createWriteStream(log)
  const console = new LastWords()
  qemu.stderr.on('data', (bytes) => {
    written.write(bytes)
    for (const line of String(bytes).split('\n')) console.take(line)
  })
  let stopped: Ending['stopped']
  const stop = (why: Ending['stopped']) => {
    stopped ??= why
    qemu.kill('SIGKILL')
  }
  const timer = setTimeout(stop, timeoutMs, 'timeout')
  const silence = setTimeout(stop, silenceMs, 'silence')
  const kill = () => qemu.kill('SIGKILL')
  process.once('exit', kill)
  const lines = createInterface({ input: qemu.stdout })
  lines.on('line', (line) => {
    silence.refresh()
    written.write(`${line}\n`)
    const record = parse(line)
    if (record !== undefined) hear(record)
    else console.take(line)
  })
  const [ended] = await Promise.all([once(qemu, 'close'), once(lines, 'close')])
  clearTimeout(timer)
  clearTimeout(silence)
  process.off('exit', kill)
  written.end()
  await once(written, 'close')
  // An emulator may crash by itself: what it said is in the log, and the records that have not come are missed.
  if (stopped === undefined && ended[0] !== 0) console.take(`${command} ended with ${ended[0] ?? ended[1]}`)
  return { stopped, lastWords: console.lines }
}

/** A record, where a line is one: what the kernel says may stand in front of it, or break it. */
function parse(line: string): GuestRecord | undefined {
  const at = line.lastIndexOf(SEPARATOR)
  if (at < 0) return undefined
  try {
    return JSON.parse(line.slice(at + 1)) as GuestRecord
  } catch {
    return undefined // It is missed in the count at the end, and that fails the run.
  }
}
