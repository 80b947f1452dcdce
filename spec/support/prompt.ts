import { type ChildProcess, spawn } from 'node:child_process'

/** What a line comes to: what was printed, and whether the statement is to go on. */
export interface Answer {
  readonly text: string
  readonly goesOn: boolean
}

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
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async type(line: string): Promise<Answer> {
    this.#child.stdin?.write(`${line}\n`)
    return this.answer()
  }

  [Symbol.dispose](): void {
    this.#child.kill()
  }
}
