/** The C sides that use libbpf: each compiled, and kept as a child process. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawPeer } from './raw'

/** The peer for BTF, or why there is none. */
export function startBtfPeer(): Promise<RawPeer | string> {
  return start('btf', 'btf_open', 1)
}

/** The peer for compiled objects, or why there is none. */
export function startObjectsPeer(): Promise<RawPeer | string> {
  return start('objects', 'ready', 0)
}

async function start(name: string, command: string, argument: number): Promise<RawPeer | string> {
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-bench-'))
  try {
    const binary = join(folder, name)
    execFileSync('cc', ['-O2', '-o', binary, join(__dirname, `${name}.c`), '-lbpf'], { stdio: 'pipe' })
    const peer = new RawPeer(binary)
    await peer.run(command, argument) // answers once it runs: the file is not needed after that
    return peer
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string }
    const reason = stderr?.toString().match(/error: .*/)?.[0] ?? message
    return `no C with libbpf: ${reason} (Debian: apt-get install gcc libc6-dev libbpf-dev)`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
