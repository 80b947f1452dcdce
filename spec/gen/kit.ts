/** What the specs of generated modules share: a project of somebody else, which has the library and their modules in it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import type * as TypeScript from 'typescript'
import { BpfObject } from '../../lib/elf'
import { generate, nameFor } from '../../lib/gen/generate'
import { builtLibrary, ROOT } from '../support/built'
import { COMPILED } from '../support/compiled'
import { pending } from '../support/kernel'

const FOLDERS = [join(ROOT, 'spec', 'fixtures'), join(ROOT, 'progs', 'c')]

/** The paths of all compiled objects that are kept. */
export const OBJECTS: readonly string[] = FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.bpf.o'))
    .map((file) => join(folder, file)),
)

/** The module of an object, as `ebpf-ts gen` writes it. */
export function moduleOf(path: string): string {
  const file = basename(path)
  const source = { bytes: new Uint8Array(readFileSync(path)) }
  return generate(BpfObject.open(path), { file, name: nameFor(file), source, types: [] })
}

/** What a module is called in the project: './flows' of flows.bpf.o. */
export function moduleName(path: string): string {
  return basename(path).replace('.bpf.o', '')
}

/** Strictest of what TypeScript knows, and what other compilers than TypeScript's ask for. */
const STRICTEST = {
  ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noImplicitOverride: true },
  ...{ noUnusedLocals: true, noUnusedParameters: true, noPropertyAccessFromIndexSignature: true },
  ...{ isolatedModules: true, isolatedDeclarations: true, declaration: true, erasableSyntaxOnly: true },
}

export function needsTypeScript(context: Mocha.Context): void {
  if (COMPILED) pending(context, 'needs the compiler of TypeScript')
}

export class Project {
  readonly folder: string

  constructor() {
    const library = builtLibrary()
    this.folder = mkdtempSync(join(library, 'gen-'))
    const installed = join(this.folder, 'node_modules', 'ebpf-ts')
    mkdirSync(installed, { recursive: true })
    const at = (path: string) => relative(installed, join(library, path))
    const manifest = { name: 'ebpf-ts', main: at('lib/index.js'), types: at('lib/index.d.ts') }
    writeFileSync(join(installed, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(this.folder, 'package.json'), '{}')
  }

  write(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text)
    return path
  }

  /** What TypeScript finds wrong with files of the project; where it finds nothing, JavaScript is beside them. */
  compile(names: readonly string[]): string[] {
    const ts = require('typescript') as typeof TypeScript
    const { options } = ts.convertCompilerOptionsFromJson(
      { ...STRICTEST, module: 'node20', target: 'es2022', types: ['node'], skipLibCheck: true },
      this.folder,
    )
    const files = names.map((name) => join(this.folder, name))
    const program = ts.createProgram(files, { ...options, typeRoots: [join(ROOT, 'node_modules', '@types')] })
    const problems = [...ts.getPreEmitDiagnostics(program)]
    if (problems.length === 0) problems.push(...program.emit().diagnostics)
    return problems.map(({ file, start, messageText }) => {
      const line =
        file === undefined || start === undefined ? '' : `:${file.getLineAndCharacterOfPosition(start).line + 1}`
      return `${basename(file?.fileName ?? '')}${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  }

  /** A module that has been compiled. */
  load<T>(name: string): T {
    return require(join(this.folder, name)) as T
  }
}
