/** What runs in a guest: mocha with the compiled specs, then the question what this kernel has. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { release, uptime } from 'node:os'
import { send } from './records'

/** Options for mocha that came with the guest: which specs to run. */
const OPTIONS = 'scripts/kernels/guest/options.json'

send({ kind: 'start', release: release(), node: process.version, seconds: Math.round(uptime() * 10) / 10 })
const options: string[] = existsSync(OPTIONS) ? JSON.parse(readFileSync(OPTIONS, 'utf8')) : []
/**
 * Up to Linux 6.18 each write to an outer map waits for an RCU grace period, up to 6.1 each lookup too: minutes in all.
 * What a kernel makes its users wait is measured afterwards, as it is by default.
 */
const setExpedited = (on: boolean) => writeFileSync('/sys/kernel/rcu_expedited', on ? '1' : '0')

const began = Date.now()
setExpedited(true)
const { status, error } = spawnSync(
  process.execPath,
  [
    '--expose-gc',
    'node_modules/mocha/bin/mocha.js',
    '--no-config',
    '--reporter',
    'scripts/kernels/guest/reporter.js',
    ...options,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
)
if (error !== undefined) console.log(error)
setExpedited(false)
const seconds = Math.round((Date.now() - began) / 100) / 10
try {
  const { features } = require('../../../lib') as typeof import('../../../lib')
  send({ kind: 'features', report: features.report() })
  const { outerCosts } = require('./costs') as typeof import('./costs')
  send({ kind: 'costs', costs: outerCosts() })
} catch (error) {
  console.log(error)
}
send({ kind: 'done', code: status, seconds })
