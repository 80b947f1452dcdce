import { whileHeard } from './support/outputs'
import { runStory } from './support/runner'

/** npm run story [-- NAME [OPTIONS]]: runs a story on this kernel, or lists them. */
const outputs = { out: (text: string) => console.log(text), error: (text: string) => console.error(text) }

void runStory(process.argv.slice(2), outputs, whileHeard()).then((code) => {
  process.exitCode = code
})
