/** All compiled modules in one file: a process that imports the library opens four files instead of a hundred. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/** The modules that package.json exports. They stay files of their own, which hand on what the bundle has. */
const ENTRIES = ['lib/index', 'lib/codec/index', 'syscalls/index']

const BUNDLE = 'lib/modules'

const HEAD = `"use strict";
/** Every module of ebpf-ts, as TypeScript compiled it; each runs when it is first required. */
const loaded = new Map();
function load(id) {
    let exports = loaded.get(id);
    if (exports === undefined) {
        exports = {};
        loaded.set(id, exports);
        modules[id].call(exports, exports);
    }
    return exports;
}
module.exports = load;
const modules = {
`

/** Puts the modules of `dist` together, and removes the files that they were. Throws on what it cannot resolve. */
export function bundle(dist: string): void {
  const ids = readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -'.js'.length))
    .sort()
  const parts = ids.map(
    (id) => `"${id}"(exports) {\n${withoutRequires(readFileSync(join(dist, `${id}.js`), 'utf8'), id, ids)}},\n`,
  )
  // While the modules are files: Node.js tells what they export.
  const stubs = ENTRIES.map((id) => [id, stub(id, Object.keys(require(join(dist, id)) as object))] as const)
  for (const id of ids) rmSync(join(dist, `${id}.js`))
  writeFileSync(join(dist, `${BUNDLE}.js`), `${HEAD}${parts.join('')}};\n`)
  for (const [id, text] of stubs) writeFileSync(join(dist, `${id}.js`), text)
}

/** A module's text, which loads other modules of the bundle from the bundle, and packages as before. */
function withoutRequires(text: string, id: string, ids: readonly string[]): string {
  return text.replace(/^"use strict";\n/, '').replace(/\brequire\((["'])(\.[^"']*)\1\)/g, (_, __, path: string) => {
    const target = posix.join(posix.dirname(id), path)
    const found = [target, posix.join(target, 'index')].find((candidate) => ids.includes(candidate))
    if (found === undefined) throw new Error(`${id}.js requires ${path}, which is not in the bundle`)
    return `load("${found}")`
  })
}

/** The last line is never executed: it is how Node.js learns, without running it, which names an ES module can import. */
function stub(id: string, names: readonly string[]): string {
  const path = posix.relative(posix.dirname(id), BUNDLE)
  return `"use strict";
module.exports = require("${path.startsWith('.') ? path : `./${path}`}")("${id}");
0 && (module.exports = { ${names.join(', ')} });
`
}
