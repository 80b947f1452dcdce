import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './built'

/** A fenced block of the README. */
export interface Snippet {
  /** The heading above it. */
  readonly title: string
  readonly language: string
  readonly text: string
}

export function readmeSnippets(): Snippet[] {
  const snippets: Snippet[] = []
  let title = ''
  let open: { language: string; lines: string[] } | undefined
  for (const line of readFileSync(join(ROOT, 'README.md'), 'utf8').split('\n')) {
    if (open === undefined) {
      if (line.startsWith('#')) title = line.replace(/^#+ /, '')
      const fence = /^```(\w+)$/.exec(line)
      if (fence !== null) open = { language: fence[1] ?? '', lines: [] }
    } else if (line === '```') {
      snippets.push({ title, language: open.language, text: open.lines.join('\n') })
      open = undefined
    } else {
      open.lines.push(line)
    }
  }
  return snippets
}

/**
 * A snippet as a program: what it says after `// →` is checked, up to a comma, and its `await` may stand at the top.
 * Imports stay where they are, so that it is compiled as a reader would.
 */
export function asProgram({ text }: Snippet): string {
  const lines = text.split('\n').map((line) => {
    const claim = /^(.*\S)\s+\/\/ → ([^,]+)(?:,.*)?$/.exec(line)
    return claim === null ? line : `__claim(${claim[1]}, ${JSON.stringify(claim[2])})`
  })
  const imports = lines.filter((line) => line.startsWith('import '))
  const body = lines.filter((line) => !line.startsWith('import '))
  return `${imports.join('\n')}
import { inspect } from 'node:util'
let claims = 0
function __claim(value: unknown, text: string): void {
  if (inspect(value) !== text) throw new Error(\`the README says \${text}, and it is \${inspect(value)}\`)
  claims++
}
async function main(): Promise<void> {
${body.join('\n')}
}
main().then(() => console.log(\`\${claims} claims hold\`), (error) => { console.error(error); process.exitCode = 1 })
`
}
