import { homedir } from 'node:os'
import { join } from 'node:path'
import { type REPLServer, Recoverable, start } from 'node:repl'
import { type Compiled, compile, Unfinished } from './compile'
import { Declared } from './declared'
import { typeOf } from './type-of'

/**
 * A prompt that takes TypeScript. That of ts-node takes no statement of several lines where it checks types, and executes a
 * line that ends with a comment a second time with the next.
 */
export function startShell(): REPLServer {
  // In a context of its own, Node.js 20 has no Symbol.dispose.
  const shell = start({ prompt: '> ', useGlobal: true })
  const evaluate = shell.eval
  /** What was taken, in TypeScript. */
  const lines: string[] = []
  const declared = new Declared()
  let settle: ReturnType<Declared['expect']> | undefined
  // Not readonly in fact: it is what the shell itself looks at when it has a result.
  const settings = shell as { -readonly [K in 'eval' | 'ignoreUndefined']: REPLServer[K] }
  settings.eval = function (this: REPLServer, text, context, file, done) {
    // Node.js tells nobody of what was thrown but its domain.
    settle?.(true)
    settle = undefined
    let made: Compiled
    try {
      made = compile(text)
      settings.ignoreUndefined = made.declares
    } catch (error) {
      const failure = error as Error
      return done(error instanceof Unfinished ? new Recoverable(failure) : failure, undefined)
    }
    settle = declared.expect(made.names)
    evaluate.call(this, made.code, context, file, (error, result) => {
      settle?.(error !== null && !(error instanceof Recoverable))
      settle = undefined
      if (error === null) lines.push(text)
      done(error, result)
    })
  }
  shell.defineCommand('type', {
    help: 'Show the type of an expression: .type hits.get',
    action(expression) {
      this.output.write(`${typeOf(lines, expression)}\n`)
      this.displayPrompt()
    },
  })
  if (process.stdin.isTTY) {
    shell.setupHistory(process.env.NODE_REPL_HISTORY ?? join(homedir(), '.ebpf_ts_repl_history'), (error) => {
      if (error) console.error(`no history: ${error.message}`)
    })
  }
  return shell
}
