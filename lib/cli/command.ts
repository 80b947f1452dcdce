import { gen } from './gen'
import { UsageError } from './usage-error'

const HELP = `Usage: ebpf-ts gen FILE [options]

  gen FILE   writes a TypeScript module with the types of a compiled BPF object; gen --help says more

  --help     shows this
  --version  shows the version
`

/** Runs what the command line asks for: 0, 1 for what failed, 2 for what was not understood. Errors are one line each. */
export function run(args: readonly string[]): number {
  try {
    const text = answer(args)
    if (text !== '') process.stdout.write(text)
    return 0
  } catch (error) {
    const usage = error instanceof UsageError
    process.stderr.write(`ebpf-ts: ${messageOf(error)}${usage ? ' (--help says more)' : ''}\n`)
    return usage ? 2 : 1
  }
}

/** What is written to stdout. */
function answer([command, ...rest]: readonly string[]): string {
  switch (command) {
    case 'gen':
      return gen(rest)
    case '--help':
    case '-h':
      return HELP
    case '--version':
      return `${(require('ebpf-ts/package.json') as { version: string }).version}\n`
    case undefined:
      throw new UsageError('what shall be done? There is: gen')
    default:
      throw new UsageError(`there is no '${command}', only gen`)
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Everything that users can cause says it in its message; what does not is a defect, and shows where.
  const expected = error instanceof UsageError || ['BtfError', 'ElfError'].includes(error.name) || 'syscall' in error
  return expected ? error.message.replaceAll(/\s*\n\s*/g, ' ') : (error.stack ?? error.message)
}
