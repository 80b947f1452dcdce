import { parseArgs } from 'node:util'
import { whileHeard } from '../support/outputs'
import { explainFailure, missingPrivilege } from '../support/privilege'
import { StoryError, UsageError } from '../support/story'
import { story } from './story'

const USAGE = `npm start: ${story.summary.replace(': what `npm start` tells', '')}

${story.usage.trim()}

  npm start -- --many 100

npm run story tells others.`

/** `npm start`: the life of a map-in-map on this kernel. Exits 1, and says why, where it cannot be shown. */
async function main(args: string[]): Promise<number> {
  const options = { ...story.options, help: { type: 'boolean', short: 'h' } } as const
  let values: { many: string; help?: boolean | undefined }
  try {
    values = parseArgs({ args, options }).values
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (values.help === true) {
    console.log(USAGE)
    return 0
  }
  const missing = missingPrivilege()
  if (missing !== undefined) {
    console.error(missing)
    return 1
  }
  try {
    await story.tell((line) => console.log(line), values, whileHeard())
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${USAGE}`)
      return 2
    }
    console.error(error instanceof StoryError ? error.message : explainFailure(error))
    return 1
  }
}

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
