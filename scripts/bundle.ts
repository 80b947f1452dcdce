/** All compiled modules in one file: a process that imports the library opens four files instead of a hundred. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { decode, encode, type SourceMapMappings, type SourceMapSegment } from '@jridgewell/sourcemap-codec'
import * as ts from 'typescript'

/** The modules that package.json exports. They stay files of their own, which hand on what the bundle has. */
const ENTRIES = ['lib/index', 'lib/codec/index', 'syscalls/index']

/** What npm runs as a command: a file of its own, which takes from the bundle what it needs. */
const COMMAND = 'lib/cli/main'

/** The one that everything is imported from: what a name stands for is loaded when the name is used. */
const FRONT = 'lib/index'

const BUNDLE = 'lib/modules'

const HEAD = `"use strict";
/** Every module of ebpf-ts, as TypeScript compiled it; each runs when it is first required. */
const loaded$ = new Map();
function load$(id) {
    let exports = loaded$.get(id);
    if (exports === undefined) {
        exports = {};
        loaded$.set(id, exports);
        modules$[id].call(exports, exports);
    }
    return exports;
}
module.exports = load$;
const modules$ = {
`

/** A module's source map (ECMA-426), as TypeScript writes it. */
interface SourceMap {
  readonly sources: readonly string[]
  readonly mappings: string
}

/** Puts the modules of `dist` together, and removes the files that they were. Throws on what it cannot resolve. */
export function bundle(dist: string): void {
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -'.js'.length))
    .sort()
  const ids = files.filter((id) => id !== COMMAND)
  let text = HEAD
  const map = new JoinedMap()
  for (const id of ids) {
    text += `"${id}"(exports) {\n`
    const { body, removed } = indented(id === FRONT ? frontDoor(dist) : readFileSync(join(dist, `${id}.js`), 'utf8'))
    if (id !== FRONT) map.add(text.split('\n').length - 1, readMap(dist, id), removed)
    text += `${withoutRequires(body, id, ids, 'load$')}},\n`
  }
  // While the modules are files: Node.js tells what they export.
  const stubs = ENTRIES.map((id) => [id, stub(id, Object.keys(exportsOf(dist, id)))] as const)
  const command = withoutRequires(readFileSync(join(dist, `${COMMAND}.js`), 'utf8'), COMMAND, ids, bundleFor(COMMAND))
  for (const id of files) for (const ending of ['js', 'js.map']) rmSync(join(dist, `${id}.${ending}`))
  writeFileSync(join(dist, `${COMMAND}.js`), command)
  writeFileSync(join(dist, `${BUNDLE}.js`), `${text}};\n//# sourceMappingURL=${posix.basename(BUNDLE)}.js.map\n`)
  writeFileSync(join(dist, `${BUNDLE}.js.map`), map.toString())
  for (const [id, lines] of stubs) writeFileSync(join(dist, `${id}.js`), lines)
}

function exportsOf(dist: string, id: string): Readonly<Record<string, unknown>> {
  return require(join(dist, id)) as Readonly<Record<string, unknown>>
}

/**
 * The front door hands each name on from the module that it has it from. As TypeScript compiles it, all of them would be
 * loaded at once: programs, links and probes for who wants a map.
 */
function frontDoor(dist: string): string {
  const text = readFileSync(join(dist, `${FRONT}.js`), 'utf8')
  const paths = [...text.matchAll(/\brequire\("(\.[^"]*)"\)/g)].map(([, path = '']) => path)
  const own = exportsOf(dist, FRONT)
  const getters = Object.keys(own).map((name) => {
    const path = paths.find((path) => name in exportsOf(dist, posix.join(posix.dirname(FRONT), path)))
    if (path === undefined) throw new Error(`${FRONT}.js has ${name} from none of the modules that it requires`)
    return `Object.defineProperty(exports, "${name}", { enumerable: true, get() { return require("${path}").${name}; } });`
  })
  return `${getters.join('\n')}\n`
}

/** A module's own map, whose sources are then those of the bundle's folder. */
function readMap(dist: string, id: string): SourceMap {
  const map = JSON.parse(readFileSync(join(dist, `${id}.js.map`), 'utf8')) as SourceMap
  const from = (source: string) => posix.relative(posix.dirname(BUNDLE), posix.join(posix.dirname(id), source))
  return { ...map, sources: map.sources.map(from) }
}

/**
 * The modules' maps as one: for each line of the bundle the file and line that it comes from, which is what a stack
 * shows; columns would make it five times as large. Node.js knows no index maps, which would have been the concatenation.
 */
class JoinedMap {
  readonly #sources: string[] = []
  readonly #lines: SourceMapMappings = []

  /** What another map says of the lines from `line` on, each of which has lost so many columns in front. */
  add(line: number, { sources, mappings }: SourceMap, removed: readonly number[]): void {
    while (this.#lines.length < line) this.#lines.push([])
    const first = this.#sources.length
    for (const [i, segments] of decode(mappings).entries()) {
      const kept: SourceMapSegment[] = []
      let last = -1
      for (const segment of segments) {
        if (segment.length === 1) continue
        const [column, source, sourceLine, sourceColumn] = segment
        if (sourceLine === last) continue
        kept.push([Math.max(0, column - (removed[i] ?? 0)), first + source, sourceLine, sourceColumn])
        last = sourceLine
      }
      this.#lines.push(kept)
    }
    this.#sources.push(...sources)
  }

  toString(): string {
    return JSON.stringify({ version: 3, sources: this.#sources, names: [], mappings: encode(this.#lines) })
  }
}

/** A module with a tab for every four blanks in front of a line, which are a sixth of what TypeScript writes. */
function indented(text: string): { body: string; removed: number[] } {
  const inside = linesInTemplates(text)
  const removed: number[] = []
  const lines = text.split('\n').map((line, i) => {
    const levels = inside.has(i) ? 0 : Math.floor((line.length - line.trimStart().length) / 4)
    removed.push(levels * 3)
    return '\t'.repeat(levels) + line.slice(levels * 4)
  })
  return { body: lines.join('\n'), removed }
}

/** Lines that begin within a string: their blanks are text. */
function linesInTemplates(text: string): Set<number> {
  const source = ts.createSourceFile('module.js', text, ts.ScriptTarget.ES2022, false, ts.ScriptKind.JS)
  const lines = new Set<number>()
  const visit = (node: ts.Node) => {
    if (ts.isTemplateLiteralToken(node)) {
      const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line
      const last = source.getLineAndCharacterOfPosition(node.end).line
      for (let line = first + 1; line <= last; line++) lines.add(line)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return lines
}

/** A module's text, which loads other modules of the bundle from the bundle, and packages as before. */
function withoutRequires(text: string, id: string, ids: readonly string[], load: string): string {
  // As many lines as before: the source map counts them.
  if (/\b(load|loaded|modules)\$(?!\{)/.test(text)) throw new Error(`${id}.js has a name that is the bundle's own`)
  const body = text.replace(/^"use strict";/, '').replace(/^\/\/# sourceMappingURL=.*$/m, '')
  return body.replace(/\brequire\((["'])(\.[^"']*)\1\)/g, (_, __, path: string) => {
    const target = posix.join(posix.dirname(id), path)
    const found = [target, posix.join(target, 'index')].find((candidate) => ids.includes(candidate))
    if (found === undefined) throw new Error(`${id}.js requires ${path}, which is not in the bundle`)
    return `${load}("${found}")`
  })
}

/** The last line is never executed: it is how Node.js learns, without running it, which names an ES module can import. */
function stub(id: string, names: readonly string[]): string {
  return `"use strict";
module.exports = ${bundleFor(id)}("${id}");
0 && (module.exports = { ${names.join(', ')} });
`
}

/** The bundle's own `load$`, for a file outside of it. */
function bundleFor(id: string): string {
  const path = posix.relative(posix.dirname(id), BUNDLE)
  return `require("${path.startsWith('.') ? path : `./${path}`}")`
}
