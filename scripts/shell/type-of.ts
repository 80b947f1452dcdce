import { join } from 'node:path'
import * as ts from 'typescript'
import { ROOT } from '../build'
import { namesOf } from './compile'

/** The type of an expression behind what was typed before, as an editor shows it. */
export function typeOf(lines: readonly string[], expression: string): string {
  if (expression.trim() === '') return '.type wants an expression: .type hits.get'
  const file = join(ROOT, 'shell.mts')
  const text = moduleOf(lines, expression)
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT)
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.getSourceFile = (name, version, ...rest) =>
    name === file ? ts.createSourceFile(name, text, version, true) : getSourceFile.call(host, name, version, ...rest)
  host.fileExists = (name) => name === file || fileExists.call(host, name)
  host.readFile = (name) => (name === file ? text : readFile.call(host, name))
  const program = ts.createProgram([file], { ...options, noUnusedLocals: false }, host)
  const source = program.getSourceFile(file)
  let last = source?.statements.at(-1)
  while (last !== undefined && ts.isBlock(last)) last = last.statements.at(-1)
  if (last === undefined || !ts.isExpressionStatement(last) || !ts.isParenthesizedExpression(last.expression)) {
    return `${expression} is no expression`
  }
  const checker = program.getTypeChecker()
  const { expression: node } = last.expression
  return checker.typeToString(checker.getTypeAtLocation(node), node, FORMAT)
}

/** Types that were not imported go by their names too, not by the paths of their modules. */
const FORMAT = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope

/**
 * The lines as TypeScript takes them, and the expression in parentheses behind them. What a prompt lets declare again is
 * in a block around all that follows; imports are in front.
 */
function moduleOf(lines: readonly string[], expression: string): string {
  const imports = new Set<string>()
  let body = ''
  let blocks = 0
  const names = new Set<string>()
  for (const line of lines) {
    const source = ts.createSourceFile('shell.ts', line, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
    for (const statement of source.statements) {
      const text = statement.getText(source)
      const declared = declaredBy(statement)
      if (ts.isImportDeclaration(statement)) {
        imports.add(text)
      } else if (declared.some((name) => names.has(name))) {
        blocks++
        names.clear()
        body += '{\n'
      }
      for (const name of declared) names.add(name)
      // Lines that end without a semicolon would go on with the next, and the last of them would call what it gives.
      if (!ts.isImportDeclaration(statement)) body += `${text}\n;`
    }
  }
  return `${[...imports].join('\n')}\n;${body}(${expression}\n)\n${'}'.repeat(blocks)}`
}

function declaredBy(statement: ts.Statement): string[] {
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement)
  ) {
    return statement.name === undefined ? [] : [statement.name.text]
  }
  return namesOf(statement)
}
