/**
 * What `require` costs a fresh process. The library is measured as it is published: compiled, and put into one file, in a
 * folder that git ignores.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from '../../scripts/bundle'
import { type Benchmark, peerSide, type Round } from '../harness'
import { installNpmBpf } from '../peers/npm-bpf'
import type { Suite } from './suite'

const ROOT = join(__dirname, '..', '..')
const DISTRIBUTION = join(ROOT, 'bench', '.cache', 'dist')

const FIRST_MAP =
  'const { HashMap, u32, u64 } = library; HashMap.create({ key: u32, value: u64, maxEntries: 1 }).close()'

export const startup: Suite = { names: ['import'], benchmarks }

async function* benchmarks(): AsyncGenerator<Benchmark> {
  const library = compileLibrary()
  const npmBpf = installNpmBpf()
  yield {
    name: 'import',
    what: 'one require in a fresh process; with the first map where it says so',
    rounds: 15,
    warmUp: 1,
    sides: [
      peerSide('ebpf-ts', library, 1, ({ path }) => required(path)),
      peerSide('ebpf-ts and a map', library, 1, ({ path }) => required(path, FIRST_MAP)),
      { name: 'koffi alone', operations: 1, round: required(join(ROOT, 'node_modules', 'koffi')) },
      peerSide('bpf', 'absent' in npmBpf ? npmBpf.absent : npmBpf, 1, ({ path }) => required(path)),
    ],
  }
}

function required(path: string, then = ''): Round {
  const code = `
    const start = process.hrtime.bigint()
    const library = require(${JSON.stringify(path)})
    ${then}
    console.log(String(process.hrtime.bigint() - start))`
  return () => Number(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }))
}

let compiled: { path: string } | string | undefined

/** The library as it is published, compiled once for all benchmarks; or why it cannot be. */
export function compileLibrary(): { path: string } | string {
  compiled ??= compile()
  return compiled
}

function compile(): { path: string } | string {
  const options = ['--noCheck', '--declaration', 'false', '--removeComments', '--inlineSources', 'false']
  rmSync(DISTRIBUTION, { recursive: true, force: true })
  try {
    const compiler = require.resolve('typescript/bin/tsc')
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', DISTRIBUTION, ...options], {
      cwd: ROOT,
      stdio: 'pipe',
    })
    bundle(DISTRIBUTION)
  } catch (error) {
    return `it does not compile: ${(error as { stdout?: Buffer }).stdout?.toString().split('\n', 1)[0] ?? error}`
  }
  const path = join(DISTRIBUTION, 'lib', 'index.js')
  return existsSync(path) ? { path } : 'it has no lib/index.ts yet'
}
