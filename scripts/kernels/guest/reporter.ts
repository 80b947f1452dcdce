/** A mocha reporter that sends each spec's end as a record. */
import type { MochaOptions, Runner, Test } from 'mocha'
import { send } from './records'

class RecordReporter {
  constructor(runner: Runner, _options: MochaOptions) {
    const counts = { passed: 0, failed: 0, pending: 0 }
    runner.on('pass', (test: Test) => {
      counts.passed++
      send({ kind: 'passed', title: test.fullTitle(), ms: test.duration ?? 0 })
    })
    runner.on('pending', (test: Test) => {
      counts.pending++
      const [, title = '', reason = 'no reason given'] = /^(.*?)(?: \(pending: (.*)\))?$/s.exec(test.fullTitle()) ?? []
      send({ kind: 'pending', title, reason })
    })
    runner.on('fail', (test: Test, error: Error) => {
      counts.failed++
      send({ kind: 'failed', title: test.fullTitle(), error: told(error) })
    })
    runner.on('retry', (test: Test, error: Error) =>
      send({ kind: 'retried', title: test.fullTitle(), error: told(error) }),
    )
    runner.once('end', () => send({ kind: 'end', ...counts }))
  }
}

function told(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by: ${told(error.cause)}` : ''
  return `${error.stack ?? error.message ?? String(error)}${cause}`
}

module.exports = RecordReporter
