/**
 * Counts how often each block of the library's code runs: a counter at the start of every function, branch and loop, put
 * in while TypeScript compiles the file. The inspector's precise coverage tells the same, but asking it takes longer than
 * most inputs do.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import * as ts from 'typescript'

/** More blocks than there are. */
const MOST_BLOCKS = 16_384

/**
 * Rounds of one block for one input, of which hundreds of questions are asked: past that it is as good as endless, and is
 * told with its place.
 */
const MOST_ROUNDS = 100_000_000

export interface Block {
  /** Within the clone. */
  readonly file: string
  readonly line: number
}

/** A block that was run too often. */
export class EndlessError extends Error {
  override readonly name = 'EndlessError'
}

/** Where the counters are that compiled code counts in. */
interface Shared {
  readonly counters: Uint32Array
  check(block: number): void
}

const GLOBAL = '__fuzz'

/** Of what is kept: another number makes all of it anew. */
const FORMAT = 3

export class Coverage {
  readonly counters = new Uint32Array(MOST_BLOCKS)
  readonly blocks: Block[] = []
  /** The last block that ran too often, also where a catch has swallowed the error. */
  endless: Block | undefined

  /** Compiles all files from now on, and those in these folders with counters. */
  install(root: string, folders: readonly string[]): void {
    const shared: Shared = {
      counters: this.counters,
      check: (block) => {
        const { file, line } = this.blocks[block] as Block
        this.endless = { file, line }
        throw new EndlessError(`${file}:${line} runs without end`)
      },
    }
    Object.assign(globalThis, { [GLOBAL]: shared })
    const cache = join(root, '.cache', 'fuzz')
    mkdirSync(cache, { recursive: true })
    const { extensions } = require as unknown as { extensions: Record<string, Compile> }
    extensions['.ts'] = (module, path) => {
      const file = relative(root, path).split(sep).join('/')
      const counted = folders.some((folder) => file.startsWith(`${folder}/`))
      module._compile(this.#compiled(file, readFileSync(path, 'utf8'), counted, cache), path)
    }
  }

  /** Sets all counters to zero, for the next input. */
  clear(): void {
    this.counters.fill(0, 0, this.blocks.length)
    this.endless = undefined
  }

  /** What TypeScript makes of a file; kept between runs, as to compile them all takes longer than many a run. */
  #compiled(file: string, text: string, counted: boolean, cache: string): string {
    const first = this.blocks.length
    const hash = createHash('sha256')
      .update(`${FORMAT} ${ts.version} ${first} ${counted} ${file}\n${text}`)
      .digest('hex')
    const path = join(cache, `${hash}.json`)
    if (existsSync(path)) {
      const known = JSON.parse(readFileSync(path, 'utf8')) as { text: string; lines: number[] }
      for (const line of known.lines) this.blocks.push({ file, line })
      return known.text
    }
    const { outputText } = ts.transpileModule(text, {
      fileName: file,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.CommonJS,
        esModuleInterop: true,
        inlineSourceMap: true,
      },
      transformers: counted ? { before: [(context) => (source) => this.#counted(file, source, context)] } : {},
    })
    const head = `$1const ${GLOBAL}_ = globalThis.${GLOBAL}, ${GLOBAL}C = ${GLOBAL}_.counters;`
    const made = counted ? outputText.replace(/^("use strict";)?/, head) : outputText
    const lines = this.blocks.slice(first).map(({ line }) => line)
    // Others may be about to read it.
    writeFileSync(`${path}.${process.pid}`, JSON.stringify({ text: made, lines }))
    renameSync(`${path}.${process.pid}`, path)
    return made
  }

  #counted(file: string, source: ts.SourceFile, context: ts.TransformationContext): ts.SourceFile {
    const { factory } = context
    const identifier = (name: string): ts.Identifier => factory.createIdentifier(`${GLOBAL}${name}`)

    /** `++counters[n] > MOST && check(n)` */
    const count = (node: ts.Node): ts.Expression => {
      const block = this.blocks.length
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
      this.blocks.push({ file, line: line + 1 })
      const counter = factory.createElementAccessExpression(identifier('C'), block)
      const check = factory.createCallExpression(
        factory.createPropertyAccessExpression(identifier('_'), 'check'),
        undefined,
        [factory.createNumericLiteral(block)],
      )
      return factory.createLogicalAnd(
        factory.createGreaterThan(factory.createPrefixIncrement(counter), factory.createNumericLiteral(MOST_ROUNDS)),
        check,
      )
    }
    const counting = (node: ts.Node): ts.Statement => factory.createExpressionStatement(count(node))
    const before = (original: ts.Node, expression: ts.Expression): ts.Expression =>
      factory.createParenthesizedExpression(
        factory.createComma(factory.createParenthesizedExpression(count(original)), expression),
      )
    const inBlock = (original: ts.Node, statement: ts.Statement): ts.Statement =>
      ts.isBlock(statement)
        ? factory.updateBlock(statement, [counting(original), ...statement.statements])
        : factory.createBlock([counting(original), statement])

    const visit = (node: ts.Node): ts.Node => {
      const original = node
      const visited = ts.visitEachChild(node, visit, context)
      if (ts.isIfStatement(visited) && ts.isIfStatement(original)) {
        const { thenStatement, elseStatement } = original
        return factory.updateIfStatement(
          visited,
          visited.expression,
          inBlock(thenStatement, visited.thenStatement),
          elseStatement === undefined || visited.elseStatement === undefined
            ? factory.createBlock([counting(original)])
            : inBlock(elseStatement, visited.elseStatement),
        )
      }
      if (ts.isConditionalExpression(visited) && ts.isConditionalExpression(original)) {
        return factory.updateConditionalExpression(
          visited,
          visited.condition,
          visited.questionToken,
          before(original.whenTrue, visited.whenTrue),
          visited.colonToken,
          before(original.whenFalse, visited.whenFalse),
        )
      }
      if (ts.isBinaryExpression(visited) && isShortCircuit(visited.operatorToken.kind)) {
        const { left, operatorToken, right } = visited
        return factory.updateBinaryExpression(visited, left, operatorToken, before(original, right))
      }
      if (ts.isForStatement(visited)) {
        const { initializer, condition, incrementor, statement } = visited
        return factory.updateForStatement(visited, initializer, condition, incrementor, inBlock(original, statement))
      }
      if (ts.isForOfStatement(visited)) {
        const { awaitModifier, initializer, expression, statement } = visited
        return factory.updateForOfStatement(
          visited,
          awaitModifier,
          initializer,
          expression,
          inBlock(original, statement),
        )
      }
      if (ts.isWhileStatement(visited)) {
        return factory.updateWhileStatement(visited, visited.expression, inBlock(original, visited.statement))
      }
      if (ts.isDoStatement(visited)) {
        return factory.updateDoStatement(visited, inBlock(original, visited.statement), visited.expression)
      }
      if (ts.isCaseClause(visited) && visited.statements.length > 0) {
        return factory.updateCaseClause(visited, visited.expression, [counting(original), ...visited.statements])
      }
      if (ts.isDefaultClause(visited)) {
        return factory.updateDefaultClause(visited, [counting(original), ...visited.statements])
      }
      if (ts.isArrowFunction(visited) && !ts.isBlock(visited.body)) {
        const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = visited
        return factory.updateArrowFunction(
          ...([visited, modifiers, typeParameters, parameters, type, equalsGreaterThanToken] as const),
          before(original, body),
        )
      }
      // Not constructors: what they are called from has been counted, and super() comes first in them.
      if (ts.isBlock(visited) && isCounted(original.parent) && ts.isBlock(original)) {
        return factory.updateBlock(visited, [counting(original), ...visited.statements])
      }
      return visited
    }
    return ts.visitNode(source, visit) as ts.SourceFile
  }
}

type Compile = (module: NodeModule & { _compile(text: string, path: string): void }, path: string) => void

function isShortCircuit(kind: ts.SyntaxKind): boolean {
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    kind === ts.SyntaxKind.QuestionQuestionToken
  )
}

function isCounted(parent: ts.Node | undefined): boolean {
  return (
    parent !== undefined &&
    (ts.isFunctionDeclaration(parent) ||
      ts.isFunctionExpression(parent) ||
      ts.isMethodDeclaration(parent) ||
      ts.isArrowFunction(parent) ||
      ts.isGetAccessor(parent) ||
      ts.isSetAccessor(parent) ||
      ts.isCatchClause(parent))
  )
}
