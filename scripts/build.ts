/** npm run build [-- --release]: lib/ and syscalls/ into dist/, as CommonJS with declarations. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from './bundle'

export const ROOT = join(__dirname, '..')
export const DIST = join(ROOT, 'dist')

/**
 * What the declarations need of a consumer's compiler: `Disposable`, which no `lib` has before esnext, and Node's types,
 * which TypeScript 6 no longer looks for by itself. Written here because a consumer would else have to name both in a
 * tsconfig; TypeScript drops such lines from what it emits.
 */
const REFERENCES = '/// <reference types="node" />\n/// <reference lib="esnext.disposable" />\n'

/**
 * Compiles; true where TypeScript found no error. A release is one file of JavaScript, which is imported in half the
 * time; its comments are in the declarations alone, and its source map names the sources without holding them.
 */
export function build(release: boolean): boolean {
  rmSync(DIST, { recursive: true, force: true })
  if (!compile(release ? ['--emitDeclarationOnly'] : [])) return false
  for (const entry of ['lib/index.d.ts', 'syscalls/index.d.ts']) {
    const path = join(DIST, entry)
    writeFileSync(path, REFERENCES + readFileSync(path, 'utf8'))
  }
  if (!release) return true
  if (!compile(['--noCheck', '--declaration', 'false', '--removeComments', '--inlineSources', 'false'])) return false
  bundle(DIST)
  return true
}

function compile(options: readonly string[]): boolean {
  const compiler = require.resolve('typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', ...options], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  return status === 0
}

if (require.main === module) process.exitCode = build(process.argv.includes('--release')) ? 0 : 1
