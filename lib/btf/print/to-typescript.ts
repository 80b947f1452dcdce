import type { Btf } from '../btf'
import { typeCalled, VALUE_ORDER } from './called'
import { Types } from './types'
import { type NameHint, type TextOptions, TypeScriptText, type ValueText } from './typescript'
import { LINE } from './typescript-text'

/** TypeScript of types, in the parts that a module is made of. */
export interface TypeScriptParts {
  /** What the declarations use of 'ebpf-ts', in order: `type Codec`, `struct`, `u64`. */
  readonly imports: readonly string[]
  /** Interfaces, types, and the codecs beside them. */
  readonly declarations: readonly string[]
  /**
   * For each of the types that were asked for, in their order: its values, and the codec that reads them; undefined where
   * only codecOf does.
   */
  readonly values: readonly { readonly type: string; readonly codec: string | undefined }[]
}

/** A type, and what stands in place of its name where it has none. */
export interface WantedType {
  readonly type: string | number
  readonly hint?: NameHint
}

/** The parts of a module with the values of types, each told by its name or id; what they share is there once. */
export function typeScriptParts(
  btf: Btf,
  wanted: readonly (string | number | WantedType)[],
  options: TextOptions = {},
): TypeScriptParts {
  const text = new TypeScriptText(new Types(btf), options)
  return parts(
    text,
    wanted.map((each) => {
      return typeof each === 'object' ? valueCalled(btf, text, each.type, each.hint) : valueCalled(btf, text, each)
    }),
  )
}

/** What `Btf#toTypeScript` says. */
export function toTypeScript(btf: Btf, what: string | number): string {
  const text = new TypeScriptText(new Types(btf))
  const value = valueCalled(btf, text, what)
  if (!/^[A-Z]\w*$/.test(value.type) || text.declarations.length === 0) {
    const name = typeCalled(btf, what, VALUE_ORDER).name
    text.alias(name === '' ? `type_${what}` : name, value)
  }
  const { imports, declarations } = parts(text, [value])
  const all = imports.length === 0 ? declarations : [importLine(imports), ...declarations]
  return `${all.join('\n\n')}\n`
}

export function importLine(names: readonly string[]): string {
  const line = `import { ${names.join(', ')} } from 'ebpf-ts'`
  return line.length <= LINE ? line : `import {\n${names.map((name) => `  ${name},\n`).join('')}} from 'ebpf-ts'`
}

function valueCalled(btf: Btf, text: TypeScriptText, what: string | number, hint?: NameHint): ValueText {
  const type = typeCalled(btf, what, VALUE_ORDER)
  const kind = type.kind === 'typedef' || type.kind === 'int' || type.kind === 'datasec' ? '' : `${type.kind} `
  return text.valueOf(type.id, type.name === '' ? `${kind}#${type.id}` : `${kind}${type.name}`, hint)
}

function parts({ imports, declarations }: TypeScriptText, values: readonly ValueText[]): TypeScriptParts {
  // Codecs that a struct of its own has none for have been looked at, too.
  const used = [...imports].filter((name) => {
    const [own = name] = name.split(' ').reverse()
    return [...declarations, ...values.map(({ codec }) => codec?.text ?? '')].some((text) => usesName(text, own))
  })
  return {
    imports: used.sort((a, b) => (bare(a) < bare(b) ? -1 : 1)),
    declarations,
    values: values.map(({ type, codec }) => ({ type, codec: codec?.text })),
  }
}

const bare = (name: string) => name.replace('type ', '')

/** Whether a text uses a name of the library, and not a property of that name. */
export function usesName(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w$'.])${name}(?![\\w$':?])`).test(text.replace(/^\/\*\*.*\*\/$/m, ''))
}
