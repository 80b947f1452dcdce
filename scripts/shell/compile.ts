import { existsSync } from 'node:fs'
import * as ts from 'typescript'

/** A line of the shell, or several that belong together, as JavaScript. */
export interface Compiled {
  readonly code: string
  /** Nothing but declarations: there is no value to show. */
  readonly declares: boolean
  /** What is declared by variables and imports, which may fail. */
  readonly names: readonly string[]
}

/** What is not finished: the next line goes on with it. */
export class Unfinished extends Error {}

/**
 * TypeScript as a prompt takes it. Declarations at the top may be made again, as a recipe is pasted twice; `using` does not
 * end with its line; an import is one more declaration, and what is exported is declared. Throws Unfinished, SyntaxError.
 */
export function compile(text: string): Compiled {
  const asExpression = /^\s*\{/.test(text) && !/;\s*$/.test(text) ? tryCompile(`(${text.trimEnd()}\n)`) : undefined
  return asExpression ?? compiled(text)
}

function tryCompile(text: string): Compiled | undefined {
  try {
    return compiled(text)
  } catch {
    // Then it is a block.
    return undefined
  }
}

function compiled(text: string): Compiled {
  const source = ts.createSourceFile('shell.ts', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
  checkSyntax(source, text)
  let code = text
  // From the last on, so that the places of those before stay what they are.
  for (const statement of [...source.statements].reverse()) {
    const edit = editOf(statement, source)
    if (edit !== undefined) code = code.slice(0, edit.from) + edit.text + code.slice(edit.to)
  }
  const { outputText } = ts.transpileModule(code, { compilerOptions: OPTIONS })
  const names = source.statements.flatMap((statement) => namesOf(statement))
  return { code: outputText, declares: source.statements.every(isDeclaration), names }
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleDetection: ts.ModuleDetectionKind.Legacy,
  alwaysStrict: false,
}

function checkSyntax(source: ts.SourceFile, text: string): void {
  const { parseDiagnostics = [] } = source as ts.SourceFile & { parseDiagnostics?: readonly ts.Diagnostic[] }
  const [first] = parseDiagnostics
  if (first === undefined) return
  const message = ts.flattenDiagnosticMessageText(first.messageText, '\n')
  const end = text.trimEnd().length
  if ((first.start ?? 0) >= end || OPEN_ENDED.has(first.code)) throw new Unfinished(message)
  throw new SyntaxError(message)
}

/** Unterminated template, comment: they are told where they begin. */
const OPEN_ENDED: ReadonlySet<number> = new Set([1160, 1010])

interface Edit {
  readonly from: number
  readonly to: number
  readonly text: string
}

function editOf(statement: ts.Statement, source: ts.SourceFile): Edit | undefined {
  const from = statement.getStart(source)
  if (ts.isImportDeclaration(statement)) return { from, to: statement.end, text: requireOf(statement) }
  if (ts.isImportEqualsDeclaration(statement) && ts.isExternalModuleReference(statement.moduleReference)) {
    const { expression } = statement.moduleReference
    return { from, to: statement.end, text: `var ${statement.name.text} = require(${expression.getText()});` }
  }
  if (ts.isExportAssignment(statement) || ts.isExportDeclaration(statement)) throw new SyntaxError(NOTHING_EXPORTED)
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : []
  const exporting = modifiers.filter(isExporting)
  // `declare const` is for TypeScript alone.
  if (ts.isVariableStatement(statement) && modifiers.length === exporting.length) {
    const [first] = statement.declarationList.declarations
    return first === undefined ? undefined : { from, to: first.getStart(source), text: 'var ' }
  }
  const last = exporting.at(-1)
  if (last === undefined) return undefined
  const hasName =
    (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name !== undefined
  if (last.kind === ts.SyntaxKind.DefaultKeyword && !hasName) throw new SyntaxError(NOTHING_EXPORTED)
  return { from, to: last.end, text: '' }
}

const NOTHING_EXPORTED = 'a prompt exports nothing: what it declares is there for the next line'

function isExporting({ kind }: ts.Modifier): boolean {
  return kind === ts.SyntaxKind.ExportKeyword || kind === ts.SyntaxKind.DefaultKeyword
}

/** As esModuleInterop has it: what is no ES module is its own default. */
const DEFAULT_OF = '((its) => (its?.__esModule ? its.default : its))'

/** `import d, { a as b, type T } from 'm'` */
function requireOf({ importClause, moduleSpecifier }: ts.ImportDeclaration): string {
  const required = `require(${fileOf(moduleSpecifier as ts.StringLiteral)})`
  if (importClause === undefined) return `void ${required};`
  if (importClause.isTypeOnly) return ''
  const { name, namedBindings } = importClause
  const made: string[] = name === undefined ? [] : [`${name.text} = ${DEFAULT_OF}(${required})`]
  const names: string[] = []
  if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) {
    made.push(`${namedBindings.name.text} = ${required}`)
  } else {
    for (const each of namedBindings?.elements ?? []) {
      if (each.isTypeOnly) continue
      const theirs = (each.propertyName ?? each.name).getText()
      if (theirs === 'default') made.push(`${each.name.text} = ${DEFAULT_OF}(${required})`)
      else names.push(`${theirs}: ${each.name.text}`)
    }
  }
  if (names.length > 0) made.push(`{ ${names.join(', ')} } = ${required}`)
  return made.length === 0 ? '' : `var ${made.join(', ')};`
}

/** TypeScript calls './flows.ts' what it will be: './flows.js'. */
function fileOf(specifier: ts.StringLiteral): string {
  const [, stem] = /^(\.{1,2}\/.+\.[cm]?)js$/.exec(specifier.text) ?? []
  if (stem === undefined || existsSync(specifier.text) || !existsSync(`${stem}ts`)) return specifier.getText()
  return JSON.stringify(`${stem}ts`)
}

/** What a statement declares as a variable or by import. */
export function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => boundBy(name))
  }
  if (ts.isImportEqualsDeclaration(statement)) return [statement.name.text]
  if (!ts.isImportDeclaration(statement) || statement.importClause?.isTypeOnly !== false) return []
  const { name, namedBindings } = statement.importClause
  const own = name === undefined ? [] : [name.text]
  if (namedBindings === undefined) return own
  if (ts.isNamespaceImport(namedBindings)) return [...own, namedBindings.name.text]
  return [...own, ...namedBindings.elements.filter((each) => !each.isTypeOnly).map((each) => each.name.text)]
}

/** `a`, or what is in `{ a, b: [c] }`. */
function boundBy(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text]
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundBy(element.name)))
}

function isDeclaration(statement: ts.Statement): boolean {
  return (
    ts.isImportDeclaration(statement) ||
    ts.isImportEqualsDeclaration(statement) ||
    ts.isVariableStatement(statement) ||
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEmptyStatement(statement)
  )
}
