/** The C side of BTF: compiles btf.c with libbpf, and keeps it as a child process. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawPeer } from './raw'

/** The peer, or why there is none. */
export async function startBtfPeer(): Promise<RawPeer | string> {
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-bench-'))
  try {
    const binary = join(folder, 'btf')
    execFileSync('cc', ['-O2', '-o', binary, join(__dirname, 'btf.c'), '-lbpf'], { stdio: 'pipe' })
    const peer = new RawPeer(binary)
    await peer.run('btf_open', 1) // answers once it runs: the file is not needed after that
    return peer
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string }
    const reason = stderr?.toString().match(/error: .*/)?.[0] ?? message
    return `no C with libbpf: ${reason} (Debian: apt-get install gcc libc6-dev libbpf-dev)`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
