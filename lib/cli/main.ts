#!/usr/bin/env node
/** The command `ebpf-ts`, as npm installs it. */
import { run } from './command'

// `ebpf-ts gen ... | head` has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = run(process.argv.slice(2))
