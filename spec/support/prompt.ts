import { type ChildProcess, spawn } from 'node:child_process'

/** What a line comes to: what was printed, and whether the statement is to go on. */
export interface Answer {
  readonly text: string
  readonly goesOn: boolean
}

/** How long one answer may take: only for a shell that hangs. The first waits for TypeScript to be compiled. */
const LIMIT_MS = 180_000

/** Types at a prompt as people do: a line, and the next when it has answered. */
export class Prompt implements Disposable {
  readonly #child: ChildProcess
  #output = ''
  #wake: (() => void) | undefined

  constructor(command: readonly [string, ...string[]], cwd: string, env: Readonly<Record<string, string>> = {}) {
    const [file, ...args] = command
    this.#child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#wake?.()
      })
    }
    this.#child.on('exit', () => this.#wake?.())
  }

  /** What it prints until it asks for more. */
  async answer(): Promise<Answer> {
    for (;;) {
      const [, text = '', prompt] = /^([\s\S]*?)(> |\.\.\. |\| )$/.exec(this.#output) ?? []
      if (prompt !== undefined) {
        this.#output = ''
        return { text: text.trimEnd(), goesOn: prompt !== '> ' }
      }
      if (this.#child.exitCode !== null) throw new Error(`the shell ended: ${this.#output}`)
      await this.#more()
    }
  }

  /** What a terminal has shown when it contains the text, with all that moves the cursor. */
  async shows(text: string): Promise<string> {
    while (!this.#output.includes(text)) {
      if (this.#child.exitCode !== null) throw new Error(`the shell ended: ${this.#output}`)
      await this.#more()
    }
    const shown = this.#output
    this.#output = ''
    return shown
  }

  /** Waits until there is more to be read, or the shell has ended. */
  async #more(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL')
        reject(new Error(`the shell says no more than: ${this.#output}`))
      }, LIMIT_MS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async type(line: string): Promise<Answer> {
    this.send(`${line}\n`)
    return this.answer()
  }

  send(text: string): void {
    this.#child.stdin?.write(text)
  }

  [Symbol.dispose](): void {
    this.#child.kill()
  }
}
