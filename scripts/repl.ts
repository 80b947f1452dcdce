/**
 * npm run repl: a TypeScript shell in which `import { HashMap, u32 } from 'ebpf-ts'` is this clone.
 *
 * The package refers to itself through its own `exports`, and so to dist/, which is built first where it is older than
 * the sources.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { build, DIST, ROOT } from './build'
import { startShell } from './shell/shell'

/** When the newest of the files was written, in whole folders. */
function newest(...paths: readonly string[]): number {
  let time = 0
  for (const path of paths) {
    const stat = statSync(path)
    time = Math.max(time, stat.mtimeMs)
    if (stat.isDirectory()) time = Math.max(time, newest(...readdirSync(path).map((name) => join(path, name))))
  }
  return time
}

function isStale(): boolean {
  const built = statSync(join(DIST, 'lib', 'index.d.ts'), { throwIfNoEntry: false })
  if (built === undefined) return true
  const sources = ['lib', 'syscalls', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.ts']
  return newest(...sources.map((name) => join(ROOT, name))) > built.mtimeMs
}

if (isStale()) {
  console.error('building ...')
  if (!build(false)) console.error('the sources have errors, see above: the shell goes on with what was built')
}
// Where the package finds itself by its name.
process.chdir(ROOT)
startShell()
