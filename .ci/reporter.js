// Mocha's own spec reporter, and the counts as JSON in the file named by --reporter-option result=FILE. The file is
// written after every spec: if the process is killed, what it had counted until then is known.
const { writeFileSync } = require('node:fs')
const { reporters } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    const { result } = options.reporterOptions
    const counts = { passed: 0, failed: 0, skipped: 0, complete: false }
    const write = () => writeFileSync(result, JSON.stringify(counts))
    const count = (event, name) => {
      runner.on(event, () => {
        counts[name]++
        write()
      })
    }
    count('pass', 'passed')
    count('fail', 'failed')
    count('pending', 'skipped')
    runner.once('end', () => {
      counts.complete = true
      write()
    })
    write()
  }
}
