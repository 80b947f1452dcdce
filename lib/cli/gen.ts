import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { type BtfKind, codecOf } from '../btf'
import { BpfObject } from '../elf'
import { generate, isTaken, nameFor, type ObjectSource } from '../gen/generate'
import { withoutDebugging } from '../gen/strip'
import { UsageError } from './usage-error'

const HELP = `Usage: ebpf-ts gen FILE [-o OUT] [--name NAME] [--type TYPE]... [--no-embed]

Writes a TypeScript module from a compiled BPF object (clang -g -target bpf): interfaces and codecs of its keys, values,
variables and events, and what loads it, with its maps, programs and variables typed. The kernel is not asked.

  -o, --output OUT  the file to be written; stdout where not given
  --name NAME       what is exported: Flows of flows.bpf.o where not given
  --type TYPE       a further struct, union or enum of the object's BTF; may be given several times
  --no-embed        read the object, when it is opened, from where it is now in relation to the module (as import does where
                    OUT ends in .mts or the nearest package.json says "type": "module", as require else). Without this
                    option the module holds the object, less its debug information
  --help            shows this
`

const OPTIONS = {
  output: { type: 'string', short: 'o' },
  name: { type: 'string' },
  type: { type: 'string', multiple: true },
  embed: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** `ebpf-ts gen`: what is to be written to stdout. */
export function gen(args: readonly string[]): string {
  const { values, positionals } = parsed(args)
  if (values.help === true) return HELP
  const [file, ...more] = positionals
  if (file === undefined) throw new UsageError('gen wants a compiled object: ebpf-ts gen flows.bpf.o')
  if (more.length > 0) throw new UsageError(`gen takes one object, and then there is '${more[0]}'`)
  const output = values.output === undefined || values.output === '-' ? undefined : values.output
  const object = BpfObject.open(file)
  const name = values.name ?? nameFor(basename(file))
  checkName(name)
  const text = generate(object, {
    file: basename(file),
    name,
    source: values.embed === false ? besides(file, output) : { bytes: withoutDebugging(readFileSync(file), file) },
    types: (values.type ?? []).map((type) => typeCalled(object, type)),
  })
  if (output === undefined) return text
  writeFileSync(output, text)
  return ''
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, allowNegative: true })
  } catch (error) {
    // Their messages are written for whoever types; some go on to explain how to type an option that is none.
    throw error instanceof Error ? new UsageError(error.message.replace(/\. To specify .*$/s, '')) : error
  }
}

function checkName(name: string): void {
  if (!/^[A-Z]\w*$/.test(name)) throw new UsageError(`--name: '${name}' is no name of a type: Flows would be one`)
  if (isTaken(name)) throw new UsageError(`--name: ${name} is something else in the module`)
}

const KINDS: readonly BtfKind[] = ['typedef', 'struct', 'union', 'enum', 'enum64']

/** The id of a type by its name, as C spells it or without the keyword. */
function typeCalled({ btf, path }: BpfObject, type: string): number {
  if (btf === undefined) throw new UsageError(`--type: ${path} has no BTF, which clang writes with -g`)
  const [, keyword, name = type] = /^(struct|union|enum) (.+)$/.exec(type) ?? []
  const kinds = KINDS.filter((kind) => keyword === undefined || kind.startsWith(keyword))
  const found = kinds.map((kind) => btf.find(name, kind)).find((its) => its !== undefined) ?? btf.require(name)
  // Refuses what has no values; a further type may be an event's.
  codecOf(btf, found.id, { openEnd: true })
  return found.id
}

/** The object in relation to the module, and how that finds files. */
function besides(file: string, output: string | undefined): ObjectSource {
  const folder = output === undefined ? process.cwd() : dirname(resolve(output))
  const path = relative(folder, resolve(file)).split(sep).join('/')
  const esm = output?.endsWith('.mts') === true || (output?.endsWith('.cts') !== true && isModuleFolder(folder))
  return { path, modules: esm ? 'esm' : 'commonjs' }
}

/** Whether the nearest package.json makes ES modules of files that do not say what they are. */
function isModuleFolder(folder: string): boolean {
  const manifest = join(folder, 'package.json')
  if (existsSync(manifest)) return /"type"\s*:\s*"module"/.test(readFileSync(manifest, 'utf8'))
  const above = dirname(folder)
  return above !== folder && isModuleFolder(above)
}
