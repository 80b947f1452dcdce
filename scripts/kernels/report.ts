/** What a person reads at the end of a run. */
import { isGood, type KernelResult } from './result'

export function printFailures(result: KernelResult): void {
  for (const { title, error } of result.failed)
    console.log(`\n  FAILED on ${nameOf(result)}: ${title}\n    ${error.replaceAll('\n', '\n    ')}`)
  for (const { title, error } of result.retried) {
    console.log(`\n  tried again on ${nameOf(result)}: ${title}: ${error.split('\n')[0]}`)
  }
  for (const problem of result.died) console.log(`\n  ${nameOf(result)}, booted once more: ${problem}`)
  if (result.problem !== undefined) console.log(`\n  ${nameOf(result)}: ${result.problem}`)
}

/** Every reason for which specs did not run, with how many and on which kernels. */
export function printPending(results: readonly KernelResult[]): void {
  const reasons = new Map<string, Map<string, number>>()
  for (const { asked, pending } of results) {
    for (const { reason } of pending) {
      const kernels = reasons.get(reason) ?? new Map<string, number>()
      kernels.set(asked, (kernels.get(asked) ?? 0) + 1)
      reasons.set(reason, kernels)
    }
  }
  if (reasons.size === 0) return
  console.log('\nPending:')
  for (const [reason, kernels] of [...reasons].sort(([a], [b]) => a.localeCompare(b))) {
    console.log(`  ${reason}: ${[...kernels].map(([kernel, count]) => `${count} on ${kernel}`).join(', ')}`)
  }
}

export function printTable(results: readonly KernelResult[]): void {
  const head = ['kernel', 'passed', 'failed', 'pending', 'boot', 'specs', 'whole', '']
  const rows = results.map((result) => [
    nameOf(result),
    `${result.passed}`,
    `${result.failed.length}`,
    `${result.pending.length}`,
    `${result.bootSeconds} s`,
    `${result.specSeconds} s`,
    `${result.seconds} s`,
    isGood(result)
      ? `ok${timesOf(result)}`
      : result.problem === undefined
        ? 'FAILED'
        : `FAILED: ${result.problem.split('\n')[0]}`,
  ])
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) =>
        i === 0 || i === head.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
      )
      .join('  ')
  console.log(`\n${[head, ...rows].map((row) => line(row).trimEnd()).join('\n')}`)
}

function timesOf({ died }: KernelResult): string {
  return died.length === 0 ? '' : `, at boot ${died.length + 1}`
}

function nameOf({ release, asked, architecture }: KernelResult): string {
  return `Linux ${release ?? asked}${architecture === 'amd64' ? '' : ` ${architecture}`}`
}
