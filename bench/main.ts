/** npm run bench -- [filter ...] [--quick] [--json FILE] [--markdown] */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { describe, environment } from './environment'
import { type Result, run } from './harness'
import { loadNpmBpf } from './peers/npm-bpf'
import { startRawPeer } from './peers/raw'
import { markdownTable, textReport } from './report'
import { allocation } from './suites/allocation'
import { asm } from './suites/asm'
import { btf } from './suites/btf'
import { bulk } from './suites/bulk'
import { elements } from './suites/elements'
import { mapInMap } from './suites/map-in-map'
import { objects } from './suites/objects'
import { programs } from './suites/programs'
import { startup } from './suites/startup'
import type { Peers, Suite } from './suites/suite'

const SUITES: readonly Suite[] = [elements, bulk, mapInMap, allocation, asm, programs, btf, objects, startup]

const USAGE = `npm run bench -- [filter ...] [options]

Runs the benchmarks whose name contains a filter; all of them without one. Needs CAP_BPF and CAP_SYS_ADMIN.

  --quick       five rounds of each: a first impression
  --json FILE   environment, figures and all samples, as JSON
  --markdown    prints the table of the README instead
  --list        prints the names
`

const options = {
  quick: { type: 'boolean', default: false },
  json: { type: 'string' },
  markdown: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const

async function main(): Promise<void> {
  const { values: flags, positionals: filters } = parseArgs({ options, allowPositionals: true })
  const wanted = (name: string): boolean => filters.length === 0 || filters.some((filter) => name.includes(filter))
  const suites = SUITES.filter((suite) => suite.names.some(wanted))
  if (flags.help) return print(USAGE)
  if (flags.list) return print(`${suites.flatMap((suite) => suite.names.filter(wanted)).join('\n')}\n`)
  if (suites.length === 0) throw new Error(`no benchmark has ${filters.join(' or ')} in its name; --list prints them`)

  const where = describe(environment())
  const results: Result[] = []
  if (!flags.markdown) print(`${where}\n\n`)
  for await (const result of measure(suites, wanted, flags.quick)) {
    results.push(result)
    if (!flags.markdown) print(`${textReport(result)}\n`)
  }
  if (flags.markdown) print(markdownTable(results, where))
  if (flags.json !== undefined) {
    writeFileSync(
      flags.json,
      `${JSON.stringify({ environment: environment(), quick: flags.quick, results }, null, 2)}\n`,
    )
  }
}

async function* measure(suites: readonly Suite[], wanted: (name: string) => boolean, quick: boolean) {
  const peers: Peers = { raw: await startRawPeer(), npmBpf: loadNpmBpf() }
  try {
    for (const suite of suites) {
      for await (const benchmark of suite.benchmarks(peers)) {
        if (wanted(benchmark.name)) yield await run(benchmark, quick)
      }
    }
  } finally {
    if (typeof peers.raw !== 'string') peers.raw[Symbol.dispose]()
  }
}

const print = (text: string): void => {
  process.stdout.write(text)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
