import { join } from 'node:path'
import * as ts from 'typescript'
import { ROOT } from '../build'

/** The type of an expression behind what was typed before, as an editor shows it. */
export function typeOf(lines: readonly string[], expression: string): string {
  if (expression.trim() === '') return '.type wants an expression: .type hits.get'
  const file = join(ROOT, 'shell.mts')
  // Lines that end without a semicolon would go on with the next, and the last of them would call what it gives.
  const text = `${lines.map((line) => `${line}\n;`).join('')}(${expression}\n)`
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
  const last = source?.statements.at(-1)
  if (last === undefined || !ts.isExpressionStatement(last) || !ts.isParenthesizedExpression(last.expression)) {
    return `${expression} is no expression`
  }
  const checker = program.getTypeChecker()
  const { expression: node } = last.expression
  return checker.typeToString(checker.getTypeAtLocation(node), node, FORMAT)
}

/** Types that were not imported go by their names too, not by the paths of their modules. */
const FORMAT = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope
