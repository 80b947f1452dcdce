import * as ts from 'typescript'

/** A line of the shell, or several that belong together, as JavaScript. */
export interface Compiled {
  readonly code: string
  /** Nothing but declarations: there is no value to show. */
  readonly declares: boolean
}

/** What is not finished: the next line goes on with it. */
export class Unfinished extends Error {}

/**
 * TypeScript as a prompt takes it. Declarations at the top may be made again, as a recipe is pasted twice; `using` does not
 * end with its line; an import is one more declaration. Throws Unfinished, SyntaxError.
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
  return { code: outputText, declares: source.statements.every(isDeclaration) }
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
  if (!ts.isVariableStatement(statement)) return undefined
  const [first] = statement.declarationList.declarations
  const keyword = statement.declarationList.getStart(source)
  // `declare const` is for TypeScript alone.
  if (first === undefined || statement.modifiers !== undefined) return undefined
  return { from: keyword, to: first.getStart(source), text: 'var ' }
}

/** `import { a as b, type T } from 'm'` */
function requireOf({ importClause, moduleSpecifier }: ts.ImportDeclaration): string {
  const required = `require(${moduleSpecifier.getText()})`
  if (importClause === undefined) return `void ${required}`
  if (importClause.isTypeOnly) return ''
  const { name, namedBindings } = importClause
  const names: string[] = name === undefined ? [] : [`default: ${name.text}`]
  if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) {
    return `var ${namedBindings.name.text} = ${required}`
  }
  for (const each of namedBindings?.elements ?? []) {
    if (!each.isTypeOnly) names.push(`${(each.propertyName ?? each.name).getText()}: ${each.name.text}`)
  }
  return names.length === 0 ? '' : `var { ${names.join(', ')} } = ${required}`
}

function isDeclaration(statement: ts.Statement): boolean {
  return (
    ts.isImportDeclaration(statement) ||
    ts.isVariableStatement(statement) ||
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEmptyStatement(statement)
  )
}
