/** The C side: compiles raw.c, keeps it as a child process, and speaks its line protocol. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

export class RawPeer implements Disposable {
  readonly #child: ChildProcess
  readonly #stdin: Writable
  readonly #lines: Interface
  #failure: Error | undefined
  #answer: { resolve(line: string): void; reject(error: Error): void } | undefined

  constructor(binary: string) {
    const child = spawn(binary, [], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#stdin = child.stdin
    this.#lines = createInterface({ input: child.stdout satisfies Readable })
    this.#lines.on('line', (line) => this.#answer?.resolve(line))
    const fail = (error: Error) => {
      this.#failure ??= error
      this.#answer?.reject(this.#failure)
    }
    child.on('error', fail)
    child.on('exit', (code, signal) => fail(new Error(`the C peer ended: ${signal ?? `exit code ${code}`}`)))
    child.stdin.on('error', fail)
  }

  /** Sends one command, and answers the nanoseconds that the child measured. */
  async run(command: string, argument = 0): Promise<number> {
    if (this.#failure) throw this.#failure
    const line = await new Promise<string>((resolve, reject) => {
      this.#answer = { resolve, reject }
      this.#stdin.write(`${command} ${argument}\n`)
    })
    if (!line.startsWith('ok ')) throw new Error(`the C peer: ${line}`)
    return Number(line.slice(3))
  }

  /** The child ends with its stdin, also when this process is killed. */
  [Symbol.dispose](): void {
    this.#lines.close()
    this.#stdin.destroy()
    this.#child.removeAllListeners('exit')
    this.#child.kill()
  }
}

/** The C peer, or why there is none. */
export async function startRawPeer(): Promise<RawPeer | string> {
  const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-bench-'))
  try {
    const binary = join(folder, 'raw')
    const compilation = compile(binary)
    if (compilation !== undefined) return compilation
    const peer = new RawPeer(binary)
    await peer.run('set', 0) // answers once it runs: the file is not needed after that
    return peer
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function compile(binary: string): string | undefined {
  try {
    execFileSync('cc', ['-O2', '-o', binary, join(__dirname, 'raw.c')], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer }
    if (code === 'ENOENT') return 'no C compiler (Debian: apt-get install gcc libc6-dev linux-libc-dev)'
    const firstError = stderr?.toString().match(/error: .*/)?.[0] ?? String(error)
    return `cc: ${firstError} (Debian: apt-get install libc6-dev linux-libc-dev)`
  }
}
