import { propertyName, typeName } from '../btf/print'
import type { BpfObject } from '../elf'
import { ANY_MAP, MAP_CLASSES } from './map-type'
import { base64, importOf, indented, LINE, oneLine, withParameters } from './module-text'
import { ShapeText, type UntoldInner } from './shape-text'
import { ValueTypes } from './value-types'

/** Where a module has its object from: bytes that it holds, or a file beside it, found as its module system finds files. */
export type ObjectSource =
  | { readonly bytes: Uint8Array }
  | { readonly path: string; readonly modules: 'commonjs' | 'esm' }

export interface GenerateOptions {
  /** What the object is called: 'flows.bpf.o'. */
  readonly file: string
  /** What is exported for it: 'Flows'. */
  readonly name: string
  readonly source: ObjectSource
  /** Ids of further types in its BTF to be written. */
  readonly types: readonly number[]
}

/** What a module needs by these very names. */
const OWN_NAMES: readonly string[] = [
  ...['BpfObject', 'Btf', 'Buffer', 'LoadedObject', 'LoadOptions', 'MapSpec', 'OBJECT', 'Program', 'Readonly'],
  ...MAP_CLASSES,
]

/** What is exported for an object of that file name; never what the module needs itself. */
export function nameFor(file: string): string {
  const name = typeName(file.replace(/(\.bpf)?\.o$/, ''))
  return isTaken(name) ? `${name}Object` : name
}

/** Whether a module could not export something by that name. */
export function isTaken(name: string): boolean {
  return OWN_NAMES.includes(name) || ['Array', 'Codec', 'Map', 'Object', 'StructCodec', 'Uint8Array'].includes(name)
}

/** A module with the types of an object, and what loads it: the same text for the same object, with no look at the kernel. */
export function generate(object: BpfObject, options: GenerateOptions): string {
  const { name } = options
  const types = new ValueTypes(object.btf)
  const taken = [name, `${name}Shape`, ...OWN_NAMES]
  const shape = new ShapeText(object, types, taken)
  for (const id of options.types) types.event(id, `type_${id}`, `Type ${id}`)
  const parameters = shape.untold.map(({ parameter }) => parameter)
  let lazy = false
  let openEnds = false
  types.settle([...taken, ...parameters], (type, size, align, openEnd) => {
    lazy = true
    openEnds ||= openEnd
    const which = typeof type === 'number' ? type : `'${type}'`
    return `fromBtf(${which}, ${size}, ${align})`
  })
  const loader = loaderText(options, shape.untold)
  const imports = [
    ...types.imports,
    ...shape.imports.map((its) => `type ${its}`),
    ...(shape.lines().some((line) => line.includes('Program')) ? ['type Program'] : []),
    ...(shape.untold.length === 0 ? [] : [`type ${ANY_MAP}`, 'type MapSpec']),
    ...(lazy ? ['type Btf', 'type Codec', 'codecOf'] : []),
    ...['BpfObject', 'type LoadedObject', 'type LoadOptions'],
  ]
  return `${[
    `// Made by \`ebpf-ts gen\` from ${oneLine(options.file)}. Do not change it: change the source, and make it again.`,
    [...nodeImports(options.source), importOf(imports, 'ebpf-ts')].join('\n'),
    ...types.declarations,
    [
      `/** What is in ${oneLine(options.file)}, by the names of its source. */`,
      withParameters(`export interface ${name}Shape`, parametersOf(shape.untold).declared, ' {'),
      ...indented(shape.lines()),
      '}',
    ].join('\n'),
    ...loader,
    ...(lazy ? [fromBtf(name, openEnds)] : []),
    objectText(options),
  ].join('\n\n')}\n`
}

/** How the type parameters of a shape are declared, with and without what they are by themselves, and handed on. */
function parametersOf(untold: readonly UntoldInner[]) {
  const names = untold.map(({ parameter }) => parameter)
  return {
    declared: names.map((name) => `${name} extends ${ANY_MAP} = ${ANY_MAP}`),
    bounds: names.map((name) => `${name} extends ${ANY_MAP}`),
    given: names.length === 0 ? '' : `<${names.join(', ')}>`,
  }
}

/** `start<A, B>: Name<Shape>end`: what is too long for a line is laid out as formatters do. */
function ofShape(
  start: string,
  parameters: readonly string[],
  before: string,
  shape: string,
  end = '',
  outside = 0,
): string {
  const flat = `${start}${parameters.length === 0 ? '' : `<${parameters.join(', ')}>`}${before}<`
  const fits = (text: string) => outside + text.length <= LINE
  if (!fits(`${flat}${shape}>${end}`) && fits(flat)) return `${flat}\n  ${shape}\n>${end}`
  return withParameters(start, parameters, `${before}<${shape}>${end}`, outside)
}

function nodeImports(source: ObjectSource): string[] {
  if ('bytes' in source) return []
  return source.modules === 'esm' ? ["import { fileURLToPath } from 'node:url'"] : ["import { join } from 'node:path'"]
}

function loaderText({ name, file, source }: GenerateOptions, untold: readonly UntoldInner[]): string[] {
  const { declared, bounds, given } = parametersOf(untold)
  const shape = `${name}Shape${given}`
  const options =
    untold.length === 0
      ? [`load(options?: LoadOptions<${shape}>): ${name} {`]
      : [
          withParameters('load', bounds, '(', 2),
          `  options: LoadOptions<${shape}> & {`,
          ...indented(indented(innerText(untold))),
          '  },',
          `): ${name}${given} {`,
        ]
  const type = ofShape(`export type ${name}`, declared, ' = LoadedObject', shape)
  return [
    `/** ${oneLine(file)} in the kernel, and the owner of all that it has there. */\n${type}`,
    [
      `export const ${name} = {`,
      ...indented([
        '/** The object before it is loaded, for what is to be changed first: sizes, constants, programs that are left out. */',
        ofShape('open', declared, '(): BpfObject', shape, ' {', 2),
        ...indented(openText(`return BpfObject.open<${shape}>`, source, file)),
        '},',
        '',
        `/** Makes all of it in the kernel, or nothing: \`using app = ${name}.load()\`. The caller owns it. */`,
        ...options,
        `  return ${name}.open${given}().load(options)`,
        '},',
      ]),
      '}',
    ].join('\n'),
  ]
}

/** The member of the options that says what is in the outer maps. */
function innerText(untold: readonly UntoldInner[]): string[] {
  const members = untold.map(({ map, parameter }) => `readonly ${propertyName(map)}: MapSpec<${parameter}>`)
  const line = `readonly inner: { ${members.join('; ')} }`
  return 6 + line.length <= LINE ? [line] : ['readonly inner: {', ...indented(members), '}']
}

/** The call that opens the object. */
function openText(start: string, source: ObjectSource, file: string): string[] {
  if (!('bytes' in source)) return [`${start}(OBJECT)`]
  const [bytes, name] = ["Buffer.from(OBJECT, 'base64')", `name: ${quoted(file)}`]
  const line = `${start}(${bytes}, { ${name} })`
  if (4 + line.length <= LINE) return [line]
  const first = `${start}(${bytes}, {`
  if (4 + first.length <= LINE) return [first, `  ${name},`, '})']
  return [`${start}(`, `  ${bytes},`, `  { ${name} },`, ')']
}

/** The object itself, or where it is. */
function objectText({ source, file }: GenerateOptions): string {
  if ('bytes' in source) {
    return `/** ${oneLine(file)}, ${source.bytes.length} bytes. */\nconst OBJECT = \`\n${base64(source.bytes)}\n\``
  }
  if (source.modules === 'commonjs') return `const OBJECT = join(__dirname, ${quoted(source.path)})`
  const url = encodeURI(source.path).replaceAll('?', '%3F').replaceAll('#', '%23')
  return `const OBJECT = fileURLToPath(new URL(${quoted(url)}, import.meta.url))`
}

function quoted(text: string): string {
  return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
}

function fromBtf(name: string, openEnds: boolean): string {
  return `/** Reads what the object's BTF alone describes, such as unions and bit fields: made when it is first used. */
function fromBtf<T>(type: string | number, size: number, align: number): Codec<T> {
  let codec: Codec<T> | undefined
  const made = () => {
    codec ??= codecOf<T>(${name}.open().btf as Btf, type${openEnds ? ', { openEnd: true }' : ''})
    return codec
  }
  return {
    name: String(type),
    size,
    align,
    write: (view, offset, value) => made().write(view, offset, value),
    read: (view, offset) => made().read(view, offset),
  }
}`
}
