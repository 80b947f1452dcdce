/** Not imports: what asks the kernel is loaded by the first question, not by who loads the library. */

let loaded: typeof import('./questions') | undefined

export function questions() {
  loaded ??= require('./questions') as typeof import('./questions')
  return loaded
}

export function report() {
  return require('./report') as typeof import('./report')
}
