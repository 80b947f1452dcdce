/** Specs run from their TypeScript, through ts-node; in the guests of `npm run test:kernels` from what tsc has made of it. */

export const COMPILED = __filename.endsWith('.js')

/** How the project's own files end. */
export const EXTENSION = COMPILED ? '.js' : '.ts'

/** JavaScript that lets a process load the project's files. */
export const LOADER = COMPILED ? '' : "require('ts-node/register/transpile-only')"

/** The same as options of node. */
export const LOADER_OPTIONS: readonly string[] = COMPILED ? [] : ['-r', 'ts-node/register/transpile-only']
