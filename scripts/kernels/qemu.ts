/** Boots a guest and listens to its console. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { type Architecture, MissingError } from './debian'
import { type GuestRecord, SEPARATOR } from './guest/records'

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
  readonly timeoutMs: number
  hear(record: GuestRecord): void
}

/** Runs a guest until it ends; 'timeout' where it had to be ended. */
export async function boot({
  architecture,
  vmlinuz,
  initrd,
  log,
  timeoutMs,
  hear,
}: Boot): Promise<'ended' | 'timeout'> {
  const { command, options, console } = MACHINES[architecture]
  const args = [
    ...options,
    // Not KVM: machines that are virtual themselves offer it and then end the guest in its first instructions.
    ...['-accel', 'tcg,thread=multi'],
    ...['-smp', '2', '-m', '2G', '-nographic', '-no-reboot', '-nic', 'none'],
    ...['-kernel', vmlinuz, '-initrd', initrd, '-append', `console=${console} quiet panic=-1 lsm=${LSM}`],
  ]
  const qemu = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const written = createWriteStream(log)
  qemu.stderr.on('data', (bytes) => written.write(bytes))
  let outcome: 'ended' | 'timeout' = 'ended'
  const timer = setTimeout(() => {
    outcome = 'timeout'
    qemu.kill('SIGKILL')
  }, timeoutMs)
  const kill = () => qemu.kill('SIGKILL')
  process.once('exit', kill)
  const lines = createInterface({ input: qemu.stdout })
  lines.on('line', (line) => {
    written.write(`${line}\n`)
    const record = parse(line)
    if (record !== undefined) hear(record)
  })
  const [ended] = await Promise.all([once(qemu, 'close'), once(lines, 'close')])
  clearTimeout(timer)
  process.off('exit', kill)
  written.end()
  await once(written, 'close')
  if (outcome === 'ended' && ended[0] !== 0)
    throw new Error(`${command} ended with ${ended[0] ?? ended[1]}; its output is in ${log}`)
  return outcome
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
