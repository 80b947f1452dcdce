/** Specs run from their TypeScript, through ts-node; in the guests of `npm run test:kernels` from what tsc has made of it. */

export const COMPILED = __filename.endsWith('.js')

/**
 * Part of the rounds that specs of many rounds take: guests emulate their CPU, and the older ones wait for RCU with each
 * element, so that what takes seconds here would take a quarter of an hour there.
 */
export const SCALE = COMPILED ? 0.1 : 1

/** How the project's own files end. */
export const EXTENSION = COMPILED ? '.js' : '.ts'

/** JavaScript that lets a process load the project's files. */
export const LOADER = COMPILED ? '' : "require('ts-node/register/transpile-only')"

/** The same as options of node. */
export const LOADER_OPTIONS: readonly string[] = COMPILED ? [] : ['-r', 'ts-node/register/transpile-only']
