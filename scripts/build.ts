/** npm run build [-- --release]: lib/ and syscalls/ into dist/, as CommonJS with declarations. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
 * time, and has no source maps, which would double its size.
 */
export function build(release: boolean): boolean {
  rmSync(DIST, { recursive: true, force: true })
  const options = release ? ['--sourceMap', 'false', '--inlineSources', 'false'] : []
  const compiler = require.resolve('typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', ...options], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  for (const entry of ['lib/index.d.ts', 'syscalls/index.d.ts']) {
    const path = join(DIST, entry)
    if (existsSync(path)) writeFileSync(path, REFERENCES + readFileSync(path, 'utf8'))
  }
  if (release && status === 0) bundle(DIST)
  return status === 0
}

if (require.main === module) process.exitCode = build(process.argv.includes('--release')) ? 0 : 1
