import { explainFailure, missingPrivilege } from '../support/privilege'
import { tell } from './story'

/** `npm start`: the life of a map-in-map on this kernel. Exits 1, and says why, where it cannot be shown. */
async function main(): Promise<number> {
  const missing = missingPrivilege()
  if (missing !== undefined) {
    console.error(missing)
    return 1
  }
  try {
    await tell((line) => console.log(line))
    return 0
  } catch (error) {
    console.error(explainFailure(error))
    return 1
  }
}

void main().then((code) => {
  process.exitCode = code
})
